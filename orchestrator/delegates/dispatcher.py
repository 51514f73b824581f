"""DelegateDispatcher: how a run tells and asks its delegates without ever waiting longer than it said it would.

One per run. `post` hands over a whole turn's notifications and returns at once; `ask_controls` asks pause and stop
once a turn; `close` waits up to a second for the lanes to run dry. Whoever needs every event reads the journal.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from orchestrator.delegates import hooks
from orchestrator.delegates.catalogue import DELEGATE_ERROR, REQUEST_PAUSE, REQUEST_STOP
from orchestrator.delegates.hooks import Hook
from orchestrator.delegates.lanes import Lane, Parcel, TaskLane, ThreadLane, call_soon
from orchestrator.delegates.manager import CONTROL_LIMIT, DelegateManager
from orchestrator.delegates.questions import Answer, Asker
from orchestrator.ports.delegate import Post

QUEUE_CAPACITY: Final = 10_000
"""Notifications one delegate may be behind before the oldest are dropped."""
DRAIN_LIMIT: Final = 1.0
"""Seconds the end of a run waits for slow delegates."""

_log = logging.getLogger("orchestrator.delegates")


class ControlAnswers(NamedTuple):
    """What the delegates answered this turn; the names say who, for the journal."""

    pause: bool
    stop: bool
    pause_by: tuple[str, ...] = ()
    stop_by: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    """Who gave no answer in time and was counted as its registration says."""


NO_OBJECTION: Final = ControlAnswers(False, False)


class DelegateDispatcher:
    """Lives on the event loop it is made in; `post` may also be called from other threads.

    `context` is added to every payload (a run's id). While it is open, `manager.notify` and `manager.ask`, also of
    managers below (the run's AI loops), go through it.
    """

    def __init__(
        self,
        manager: DelegateManager,
        *,
        sender: Any = None,
        context: dict[str, Any] | None = None,
        capacity: int = QUEUE_CAPACITY,
    ) -> None:
        self._manager = manager
        self._sender = sender
        self._context = context or {}
        self._capacity = capacity
        self._loop = asyncio.get_running_loop()
        self._lanes: list[tuple[Hook, Lane]] = []
        self._lane_of: dict[Hook, Lane] = {}
        self._lane_lock = threading.Lock()
        self._askers: list[tuple[Hook, Asker]] = []
        self._closed = False
        manager.attach(self)

    @property
    def dropped(self) -> dict[str, int]:
        """How many notifications each delegate missed because its queue was full; only those that missed any."""
        return {lane.name: lane.dropped for _, lane in tuple(self._lanes) if lane.dropped}

    # Telling

    def post(self, batch: list[Post], *, sender: Any = None, manager: DelegateManager | None = None) -> None:
        """Hand each delegate of `manager` (the run's by default) this turn's notifications, in order."""
        manager = manager or self._manager
        wanted = manager.wanted
        if not wanted or self._closed:
            return
        sender = self._sender if sender is None else sender
        parcels: dict[int, tuple[Lane, list[Parcel]]] = {}
        for event_type, payload in batch:
            if event_type not in wanted:
                continue
            payload = {**self._context, **payload}
            for hook in manager.hooks(event_type):
                lane = self._lane_of.get(hook) or self._lane(hook)
                parcels.setdefault(id(lane), (lane, []))[1].append(Parcel(hook, sender, payload))
        for lane, pile in parcels.values():
            if surplus := lane.put(pile):
                self._say_dropped(lane, surplus, pile[-1])

    def _lane(self, hook: Hook) -> Lane:
        """The lane of the hook's delegate, which may have one already from another registration."""
        with self._lane_lock:
            self._let_go_of_strangers()
            same = [lane for known, lane in self._lanes if known.target == hook.target]
            lane = same[0] if same else self._new_lane(hook)
            if not same:
                self._lanes.append((hook, lane))
            self._lane_of[hook] = lane
        return lane

    def _let_go_of_strangers(self) -> None:
        """End the lanes of delegates that are registered no more and have heard all they were to hear. The lock is held."""
        self._lane_of = {hook: lane for hook, lane in self._lane_of.items() if hook.manager.keeps(hook)}
        kept = {id(lane) for lane in self._lane_of.values()}
        for hook, lane in tuple(self._lanes):
            if id(lane) not in kept and not lane.waiting():
                lane.close()
                self._lanes.remove((hook, lane))

    def _new_lane(self, hook: Hook) -> Lane:
        if hook.is_async:
            return TaskLane(hook.name, self._capacity, self._deliver_async, self._loop)
        return ThreadLane(hook.name, self._capacity, self._deliver)

    def _deliver(self, parcel: Parcel) -> None:
        hook, sender, payload = parcel
        try:
            if hook.over or not hook.accepts(payload):
                return
            result = hook.call(sender, payload)
            if hooks.is_awaitable(result):
                asyncio.run(_awaited(result))
        except hooks.CAUGHT as error:
            self._failed(parcel, hooks.text_of(error), error)
        else:
            hook.succeeded()

    async def _deliver_async(self, parcel: Parcel) -> None:
        hook, sender, payload = parcel
        try:
            if hook.over or not hook.accepts(payload):
                return
            await hook.call(sender, payload)
        except asyncio.CancelledError as error:
            if self._closed:
                raise
            self._failed(parcel, "it was cancelled", error)
        except hooks.CAUGHT as error:
            self._failed(parcel, hooks.text_of(error), error)
        else:
            hook.succeeded()

    def _failed(self, parcel: Parcel, problem: str, error: BaseException | None) -> None:
        self._manager.failed(parcel.hook, problem, parcel.sender, error=error, tell=self._tell_error)

    def _tell_error(self, payload: dict[str, Any], sender: Any) -> None:
        self.post([(DELEGATE_ERROR, payload)], sender=sender)

    def _say_dropped(self, lane: Lane, surplus: int, parcel: Parcel) -> None:
        """At the first loss and at every doubling: a flood of warnings would be the next thing nobody can follow."""
        before = lane.dropped - surplus
        if before and lane.dropped.bit_length() == before.bit_length():
            return
        problem = f"too slow: {lane.dropped} notifications dropped so far, the oldest first"
        _log.warning("delegate %s is %s", lane.name, problem)
        if parcel.hook.event_type != DELEGATE_ERROR and DELEGATE_ERROR in self._manager.wanted:
            self._tell_error(hooks.failure_payload(parcel.hook, problem), parcel.sender)

    # Asking

    async def ask_controls(
        self, *, task_ids: Sequence[str] = (), step: str = "", limit: float = CONTROL_LIMIT
    ) -> ControlAnswers:
        """Ask `engine_request_pause` and `engine_request_stop` together, at most `limit` seconds in all. No answer
        counts as False, or as True for a delegate registered with `on_error="hold"`.
        """
        manager = self._manager
        if not manager.asks or self._closed:
            return NO_OBJECTION
        payload = {**self._context, "task_ids": list(task_ids), "step": step}
        questions = [(hook, payload) for name in (REQUEST_PAUSE, REQUEST_STOP) for hook in manager.hooks(name)]
        answers, unanswered = await self._ask(questions, self._sender, limit)
        pause = tuple(hook.name for hook, yes in answers if yes and hook.event_type == REQUEST_PAUSE)
        stop = tuple(hook.name for hook, yes in answers if yes and hook.event_type == REQUEST_STOP)
        return ControlAnswers(bool(pause), bool(stop), pause, stop, unanswered)

    async def ask(
        self,
        control_type: str,
        payload: dict[str, Any],
        *,
        sender: Any = None,
        manager: DelegateManager | None = None,
        limit: float = CONTROL_LIMIT,
    ) -> bool:
        """Ask one control of `manager` (the run's by default); any True wins."""
        manager = manager or self._manager
        payload = {**self._context, **payload}
        questions = [(hook, payload) for hook in manager.hooks(control_type)]
        answers, _ = await self._ask(questions, self._sender if sender is None else sender, limit)
        return any(yes for _, yes in answers)

    async def _ask(
        self, questions: list[tuple[Hook, dict[str, Any]]], sender: Any, limit: float
    ) -> tuple[list[tuple[Hook, bool]], tuple[str, ...]]:
        answers: list[tuple[Hook, bool]] = []
        unanswered: list[str] = []
        asked: list[tuple[Hook, Asker, asyncio.Future[Answer]]] = []
        for hook, payload in questions:
            if hook.watched.disabled:
                answers.append((hook, hook.hold))
            elif (asker := self._asker(hook)).stuck:
                answers.append((hook, hook.hold))
                unanswered.append(hook.name)
            else:
                asked.append((hook, asker, asker.ask(hook, sender, payload)))
        if asked:
            await asyncio.wait([future for _, _, future in asked], timeout=limit)
        for hook, asker, future in asked:
            yes, problem, error = _outcome(future, limit)
            if problem is not None:
                asker.give_up(future)
                yes = hook.hold
                unanswered.append(hook.name)
                self._failed(Parcel(hook, sender, {}), problem, error)
            else:
                hook.succeeded()
            answers.append((hook, yes))
        return answers, tuple(dict.fromkeys(unanswered))

    def _asker(self, hook: Hook) -> Asker:
        for known, asker in self._askers:
            if known.target == hook.target:
                return asker
        for known, asker in tuple(self._askers):
            if not known.manager.keeps(known) and not asker.stuck:
                asker.close()
                self._askers.remove((known, asker))
        asker = Asker(hook.name, self._loop, self._manager.recheck)
        self._askers.append((hook, asker))
        return asker

    # Ending

    async def drain(self, limit: float = DRAIN_LIMIT) -> bool:
        """Wait until every delegate has been told all it was to be told. False if `limit` seconds were not enough."""
        idle = [self._idle(lane) for _, lane in tuple(self._lanes) if lane.waiting()]
        if not idle:
            return True
        _, late = await asyncio.wait(idle, timeout=limit)
        return not late

    def _idle(self, lane: Lane) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()

        def told() -> None:
            if not future.done():
                future.set_result(None)

        lane.when_idle(lambda: call_soon(self._loop, told))
        return future

    async def close(self, limit: float = DRAIN_LIMIT) -> None:
        """Drain, say who was left behind, and end every lane. Idempotent; delegates that hang are left behind."""
        if self._closed:
            return
        if not await self.drain(limit):
            for _, lane in self._lanes:
                if left := lane.waiting():
                    _log.warning("delegate %s was left behind with %d notifications", lane.name, left)
        self._closed = True
        self._manager.attach(None)
        for _, lane in self._lanes:
            lane.close()
        for _, asker in self._askers:
            asker.close()


async def _awaited(awaitable: Any) -> None:
    await awaitable


def _outcome(future: asyncio.Future[Answer], limit: float) -> tuple[bool, str | None, BaseException | None]:
    """(answer, problem, what was raised) of a question whose time is up."""
    if not future.done():
        return False, f"no answer within {limit:g} s", None
    yes, error = future.result()
    if error is not None:
        return False, hooks.text_of(error), error
    return bool(yes), None, None
