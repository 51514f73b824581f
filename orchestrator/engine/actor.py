"""The driver of one run: takes what came in, lets the core decide, appends, and only then acts.

One coroutine owns the state (rule 1), so nothing here needs a lock: between two awaits nobody else can touch it. In memory the state runs
ahead of the journal within one turn only; effects, publications and answers wait for the commit (rule 3).
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from orchestrator.core.decide_starts import starts
from orchestrator.core.effects import Conclude, Effect, Perform, Prepare, Timer
from orchestrator.core.events import AnyEvent, AttemptStarted, encode_batch
from orchestrator.core.inputs import AnyInput, AttemptInterrupted, Cancel, ClearHold, SetHold, Stop, TimerDue
from orchestrator.core.run_state import RunState, wanted
from orchestrator.core.turn import Refusal, advance
from orchestrator.delegates import DelegateDispatcher, DelegateManager
from orchestrator.engine import inbox
from orchestrator.engine.evaluate import conclude, prepare
from orchestrator.engine.performer import Performer
from orchestrator.engine.values import Values, load
from orchestrator.errors import JournalConflictError, WhisperFlowError
from orchestrator.ports.clock import Clock
from orchestrator.ports.journal import Batch, Journal, StreamRow

_log = logging.getLogger("orchestrator.engine")

DELEGATES: Final = "delegates"
"""The hold that pause delegates keep."""
ASK_AGAIN_S: Final = 0.5
"""How often delegates that said pause are asked again, if nobody says sooner that something changed."""

ABANDONED: Final = "its driver lets go of the run"
"""What an attempt is cancelled with that will be repeated by whoever folds, rather than being over for good."""
INPUTS_MAX: Final = 512
"""Most inputs one turn takes, and most evaluations done between two: a burst is worked off in slices, so that others get theirs."""

Publish = Callable[[RunState, float, Sequence[AnyEvent]], None]


class RunActor:
    """Drives a run that its caller has claimed, until it ends, parks or is stopped."""

    def __init__(
        self,
        run_id: str,
        state: RunState,
        journal: Journal,
        clock: Clock,
        *,
        performer: Performer,
        values: Values,
        publish: Publish,
        row: Callable[[RunState], StreamRow],
        delegates: DelegateManager,
        dispatcher: DelegateDispatcher,
        park: bool = True,
    ) -> None:
        self.run_id = run_id
        self.state = state
        self._journal = journal
        self._clock = clock
        self._performer = performer
        self._values = values
        self._publish = publish
        self._delegates = delegates
        self._dispatcher = dispatcher
        self.park = park
        """Whether a run that waits for people only lets go of its driver."""
        self._row = row
        self._loop = asyncio.get_running_loop()
        self._inputs: deque[AnyInput] = deque()
        self._woken = asyncio.Event()
        self._knocked = True
        self._more = False
        """The last turn was full: there is more to start."""
        self._taken: set[str] = set()
        self._early: set[int] = set()
        """Running tasks that a message left in the inbox is about."""
        self._attempts: dict[int, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        """Attempts that were cancelled and still put their things away."""
        self._evaluations: dict[Effect, None] = {}
        """`when`, items, `until` and outputs still to be worked out, in order."""
        self._timers: list[Timer] = []
        self._failure: BaseException | None = None

    # --- from outside

    def post(self, given: AnyInput) -> None:
        """Hand in an input, on the loop's own thread."""
        self._inputs.append(given)
        self._woken.set()

    def knock(self) -> None:
        """Something is in the inbox, or the delegates changed; from any thread."""
        with contextlib.suppress(
            RuntimeError
        ):  # the loop may be closed by now: then nobody drives, and nothing is lost
            self._loop.call_soon_threadsafe(self._knock)

    def _knock(self) -> None:
        self._knocked = True
        self._woken.set()

    # --- the loop

    async def drive(self, first: Sequence[AnyInput]) -> None:
        """Take turns until the run is over, waits for people, or was stopped. Raises JournalError if it cannot go on recording."""
        self._inputs.extend(first)
        self._knocked = True
        self._adopt()
        try:
            while True:
                now = self._clock.now()
                asks = self._knocked and (self._delegates.asks or DELEGATES in self.state.holds)
                inputs, consumed = self._take(now)
                if inputs or consumed or self._more or asks:
                    await self._turn(inputs, consumed, now)
                if self._failure is not None:
                    raise self._failure
                if self._done():
                    return
                if self._inputs or self._more or self._evaluations:
                    await asyncio.sleep(0)
                else:
                    await self._wait()
        finally:
            await self._end_attempts()

    def _done(self) -> bool:
        state = self.state
        if self._inputs or self._knocked or self._more or self._evaluations:
            return False
        if state.over:
            return True
        if state.status == "paused" and state.stop_until is not None:
            return True
        return state.status == "waiting" and self.park

    def _take(self, now: float) -> tuple[list[AnyInput], tuple[str, ...]]:
        inputs: list[AnyInput] = []
        self._evaluate(now)
        while self._inputs and len(inputs) < INPUTS_MAX:
            inputs.append(self._inputs.popleft())
        while self._timers and self._timers[0].at <= now and len(inputs) < INPUTS_MAX:
            timer = heapq.heappop(self._timers)
            inputs.append(TimerDue(timer.task, timer.what, timer.at))
        consumed: list[str] = []
        if self._knocked:
            self._knocked = False
            for message in self._journal.inbox(self.run_id):
                if message.key in self._taken:
                    continue
                try:
                    given = self._read_message(message.payload)
                except inbox.TooEarlyError as early:
                    self._early.add(early.task)
                    continue
                consumed.append(message.key)
                if given is not None:
                    inputs.append(given)
        self._taken.update(consumed)
        # What has come to an end counts, though somebody stops or cancels the run in the same instant.
        inputs.sort(key=lambda given: isinstance(given, Stop | Cancel))
        return inputs, tuple(consumed)

    def _evaluate(self, now: float) -> None:
        """Work out some of what waits for it; the answers are inputs like any others."""
        for effect in list(islice(self._evaluations, INPUTS_MAX)):
            del self._evaluations[effect]
            if isinstance(effect, Prepare):
                self._inputs.append(prepare(self._values, effect.task, now))
            elif isinstance(effect, Conclude):
                self._inputs.append(conclude(self._values, effect.task, effect.number, now))

    def _read_message(self, payload: bytes) -> AnyInput | None:
        try:
            return inbox.to_input(self.state, payload, lambda value: load(self._journal, value))
        except (WhisperFlowError, ValueError) as error:
            _log.warning("a message to the run was refused: %s", error)
            return None

    async def _wait(self) -> None:
        timeout = None
        if self._timers:
            timeout = max(self._timers[0].at - self._clock.now(), 0.0)
        if DELEGATES in self.state.holds:
            timeout = ASK_AGAIN_S if timeout is None else min(timeout, ASK_AGAIN_S)
        try:
            await asyncio.wait_for(self._woken.wait(), timeout)
        except TimeoutError:
            if DELEGATES in self.state.holds:
                self._knocked = True
        self._woken.clear()

    # --- one turn

    async def _turn(self, inputs: list[AnyInput], consumed: tuple[str, ...], now: float) -> None:
        state = self.state
        expected = state.last
        if not self._delegates.asks:
            if DELEGATES in state.holds:
                inputs.append(ClearHold(DELEGATES, DELEGATES))
            turn = advance(state, inputs, now)
            events, self._more = turn.events, turn.more
        else:
            first = advance(state, inputs, now, may_start=False)
            turn = advance(state, await self._ask(), now)
            events = first.events + turn.events
            self._more = turn.more
            self._say_refused(first.refusals)
        self._say_refused(turn.refusals)
        if events or consumed:
            await self._append(expected, events, consumed, now)
            self._publish(state, now, events)
        if self._early and not self._early <= state.running.keys():
            self._early.clear()
            self._knock()
        self._act()

    def _say_refused(self, refusals: Sequence[Refusal]) -> None:
        for refusal in refusals:
            _log.warning("run %s: %s was refused: %s", self.run_id, type(refusal.given).__name__, refusal.reason)

    async def _ask(self) -> list[AnyInput]:
        """What the control delegates say about the tasks about to start, as inputs: a change of answer is journaled."""
        state = self.state
        held = DELEGATES in state.holds
        about = starts(state, self._clock.now(), but_for=DELEGATES)
        if not about and not held:
            return []
        names = [state.name(event.task) for event in about if isinstance(event, AttemptStarted)]
        answer = await self._dispatcher.ask_controls(task_ids=names)
        found: list[AnyInput] = []
        if answer.stop and state.stop_until is None:
            found.append(Stop(", ".join(answer.stop_by) or DELEGATES, 30.0))
        if answer.pause and not held:
            found.append(SetHold(DELEGATES, ", ".join(answer.pause_by), "a delegate asked for a pause"))
        if held and not answer.pause:
            found.append(ClearHold(DELEGATES, DELEGATES))
        return found

    async def _append(self, expected: int, events: list[AnyEvent], consumed: tuple[str, ...], now: float) -> None:
        batch = Batch(
            stream=self.run_id,
            expected=expected,
            count=len(events),
            payload=encode_batch(now, events) if events else b"",
            row=self._row(self.state),
            consumed=consumed,
        )
        outcome: list[BaseException | None] = []
        arrived = asyncio.Event()

        def done(error: BaseException | None) -> None:
            outcome.append(error)
            if waiting:
                with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
                    self._loop.call_soon_threadsafe(arrived.set)

        waiting = True
        self._journal.append(batch, done)
        if not outcome:
            await arrived.wait()
        waiting = False
        if outcome[0] is not None:
            self._abandon(outcome[0], begun=expected > 0)
            raise outcome[0]

    def _abandon(self, error: BaseException, *, begun: bool) -> None:
        """The state ran ahead of a journal that refused it: it is worth nothing now (rule 3). Whoever resumes folds again."""
        taken = isinstance(error, JournalConflictError)
        _log.warning("%s: %s", "somebody else drives this run" if taken else "the journal failed", error)
        if isinstance(error, WhisperFlowError) and error.help is None and begun:
            follow, go_on = f"`whisper-flow watch {self.run_id}` follows it", f"`whisper-flow resume {self.run_id}`"
            error.help = follow if taken else f"nothing that was recorded is lost; {go_on} goes on"

    # --- acting on what the commit made true

    def _act(self) -> None:
        state = self.state
        dropped, begun, timers = state.dropped, state.begun, state.set_timers
        if dropped:
            state.dropped = []
            for effect in dropped:
                self._drop(effect)
        if timers:
            state.set_timers = []
            for timer in timers:
                heapq.heappush(self._timers, timer)
        if begun:
            state.begun = []
            for effect in begun:
                self._begin(effect)

    def _begin(self, effect: Effect) -> None:
        match effect:
            case Perform(task, attempt):
                if self._performer.immediate(task):
                    self._inputs.append(self._performer.perform_now(task, attempt))
                else:
                    self._attempts[task] = self._loop.create_task(
                        self._attempt(task, attempt), name=f"attempt {task}.{attempt}"
                    )
            case Prepare() | Conclude():
                self._evaluations[effect] = None

    def _drop(self, effect: Effect) -> None:
        self._evaluations.pop(effect, None)
        if isinstance(effect, Perform) and (attempt := self._attempts.pop(effect.task, None)) is not None:
            attempt.cancel()
            self._ending.add(attempt)
            attempt.add_done_callback(self._ending.discard)

    async def _attempt(self, task: int, number: int) -> None:
        try:
            report = await self._performer.perform(task, number)
        except asyncio.CancelledError:
            report = AttemptInterrupted(task, number, "its driver stopped it")
        except BaseException as error:  # noqa: BLE001  the journal or the loop itself is broken: the run cannot go on
            self._failure = error
            self._woken.set()
            return
        finally:
            if self._attempts.get(task) is asyncio.current_task():
                del self._attempts[task]
        self.post(report)

    def _adopt(self) -> None:
        """What a recovered state wants already: its timers and evaluations. Its attempts were cut and are started anew."""
        self._evaluations = {effect: None for effect in sorted(wanted(self.state)) if not isinstance(effect, Perform)}
        self._timers = [Timer(at, task, what) for (task, what), at in self.state.timers.items()]
        heapq.heapify(self._timers)

    async def _end_attempts(self) -> None:
        attempts = [attempt for attempt in self._attempts.values() if not attempt.done()]
        for attempt in attempts:
            attempt.cancel(ABANDONED)
        attempts.extend(self._ending)
        if attempts:
            await asyncio.gather(*attempts, return_exceptions=True)
