"""One run in the hands of this process: claimed, driven, told to watchers and delegates, let go of."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.core.events import AnyEvent
from orchestrator.core.expressions import render_tree
from orchestrator.core.inputs import (
    AnyInput,
    AttemptSucceeded,
    GitKnown,
    SetHold,
    Stop,
)
from orchestrator.core.run_state import RunState, next_wake
from orchestrator.delegates import DelegateDispatcher, DelegateManager
from orchestrator.engine import full_disk, inbox
from orchestrator.engine.actor import RunActor
from orchestrator.engine.admission import Credentials
from orchestrator.engine.gitinfo import git_status, head_commit
from orchestrator.engine.handle import RunHandle
from orchestrator.engine.inbox import Message
from orchestrator.engine.performer import PROCESS_VERBS, Performer, Surroundings
from orchestrator.engine.queueing import HOLD, Queue
from orchestrator.engine.spending import Spending
from orchestrator.engine.stream import currency_of
from orchestrator.engine.telling import engine_stopped, notifications
from orchestrator.engine.values import Values, load
from orchestrator.engine.watching import Feed, Watcher
from orchestrator.errors import JournalError, JournalFullError, WhisperFlowError
from orchestrator.host.environment import base_environment
from orchestrator.host.redact import Redactor
from orchestrator.ports.journal import StreamRow

if TYPE_CHECKING:
    from orchestrator.engine.engine import Engine

_log = logging.getLogger("orchestrator.engine")

JSON = Any


class Running:
    """What the engine keeps of a run that it drives."""

    def __init__(
        self,
        engine: Engine,
        run_id: str,
        state: RunState,
        inputs: dict[str, JSON],
        credentials: Credentials,
        *,
        parent: str,
    ) -> None:
        self.engine = engine
        self.run_id = run_id
        self.state = state
        self.parent = parent
        self.feed = Feed()
        self.manager = DelegateManager(engine.delegate_manager)
        self.handle = RunHandle(self)
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reusable: Mapping[str, AttemptSucceeded] = {}
        self._inputs = inputs
        self._credentials = credentials
        self._claim = contextlib.ExitStack()
        self._watchers: set[Watcher] = set()
        self._started = asyncio.Event()
        self._was_full = False
        """A note says that its last driver found no space."""
        self._git: dict[str, JSON] | None = None
        self._queue: Queue | None = None
        self.first: list[AnyInput] = []
        """What a resumed run is told right after `Recovered`."""
        self._summary: dict[str, JSON] = {}
        self.actor: RunActor | None = None
        self._task: asyncio.Task[None] | None = None

    # --- before

    def claim(self) -> None:
        """Raises RunBusyError if somebody living drives the run."""
        self._claim.enter_context(self.engine.journal.claim(self.run_id))

    def release(self) -> None:
        self._claim.close()
        if self._queue is not None:
            self._queue.leave()

    def git_commit(self) -> dict[str, JSON] | None:
        self._git = head_commit(self.engine.adapters.project.root)
        return self._git

    def queue_hold(self) -> tuple[str, ...]:
        """The hold to begin with, if the workflow bounds how many runs of it go on at once."""
        declared = self.state.plan.concurrency
        if declared is None:
            return ()
        self._queue = Queue(self.engine.journal, self.run_id, declared, self._inputs)
        return self._queue.hold()

    def recovered(self, state: RunState, inputs: dict[str, JSON], credentials: Credentials) -> None:
        self.state = state
        self._inputs = inputs
        self._credentials = credentials
        assert state.start is not None
        self._was_full = self.engine.journal.full_since(self.run_id) is not None
        self.parent = state.start.parent
        if state.start.reuse is not None:
            self.reusable = self.engine.results_of(load(self.engine.journal, state.start.reuse))
        if state.plan.concurrency is not None:
            self._queue = Queue(self.engine.journal, self.run_id, state.plan.concurrency, inputs)
            if HOLD not in state.holds and self._queue.must_wait():
                self.first.append(SetHold(HOLD, "engine"))

    # --- driving

    async def begin(self, first: Sequence[AnyInput], *, park: bool) -> None:
        """Start the driver and return once its first turn is recorded (or it failed)."""
        if PROCESS_VERBS & {node.verb for scope in self.state.plan.scopes for node in scope.nodes}:
            self.engine.services.processes.warm()
        values = self._values()
        performer = Performer(values, self._surroundings(), self.engine.clock.now)
        dispatcher = DelegateDispatcher(self.manager, sender=self.engine, context={"run_id": self.run_id})
        self.actor = RunActor(
            self.run_id,
            self.state,
            self.engine.journal,
            self.engine.clock,
            performer=performer,
            values=values,
            publish=self._publish,
            row=self._row,
            delegates=self.manager,
            dispatcher=dispatcher,
            park=park,
        )
        self._dispatcher = dispatcher
        self._task = asyncio.create_task(self._drive(self.actor, list(first)), name=f"run {self.run_id}")
        self._task.add_done_callback(_looked_at)  # what it raised reaches whoever waits through `finished`
        started = asyncio.create_task(self._started.wait())
        await asyncio.wait({started, self._task}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if self._task.done() and not self._started.is_set():
            self._task.result()

    async def _drive(self, actor: RunActor, first: list[AnyInput]) -> None:
        stop_listening = self.engine.journal.listen(self.run_id, lambda _: actor.knock())
        stop_watching_delegates = self.manager.subscribe(actor.knock)
        git = asyncio.create_task(self._learn_git(actor))
        queue = asyncio.create_task(self._queue.wait(actor)) if self._queue else None
        error: BaseException | None = None
        try:
            await actor.drive(first)
            while self._missed_a_message():
                await actor.drive([])
        except JournalFullError as full:
            error = self._held(full)
            raise error from full
        except BaseException as raised:
            error = raised
            raise
        finally:
            stop_listening()
            stop_watching_delegates()
            for beside in (git, queue):
                if beside is not None:
                    beside.cancel()
            self._tell_delegates_it_stopped(error)
            await self._dispatcher.close()
            self.engine.forget(self.run_id)
            self.release()
            for watcher in self._watchers:
                watcher.leave()
            if error is None:
                self._tell_parent()
            self._settle_future(error)

    def _held(self, error: JournalFullError) -> JournalFullError:
        """What becomes of a run that can record nothing more."""
        if self.engine.journal.row(self.run_id) is None:
            return error  # it never began
        return full_disk.hold(self.engine.journal, self.run_id, error)

    def _missed_a_message(self) -> bool:
        """Whether somebody wrote to a run that parks just then, saw that it had a driver and trusted him with it: whoever lets go looks
        once more, and goes on if nobody else does. True leaves the run claimed.
        """
        if self.state.status != "waiting" or self.engine.closing:
            return False
        self._claim.close()
        try:
            if not self.engine.journal.inbox(self.run_id):
                return False
            self.claim()
        except WhisperFlowError:
            return False
        row = self.engine.journal.row(self.run_id)
        return row is not None and row.last == self.state.last

    def _tell_delegates_it_stopped(self, error: BaseException | None) -> None:
        """A run that ended said so itself. After an error the state is worth nothing: the last word that was recorded counts."""
        if error is None:
            if not self.state.over:
                self._dispatcher.post([("engine_stopped", engine_stopped(self.state))])
            return
        said = {"error_type": "internal", "error_message": str(error) or type(error).__name__}
        stopped = engine_stopped(self.state) | {
            "status": "paused" if isinstance(error, JournalFullError) else "running"
        }
        self._dispatcher.post([("engine_error_occurred", said), ("engine_stopped", stopped)])

    def _settle_future(self, error: BaseException | None) -> None:
        if self.finished.done():
            return
        if error is None:
            self.finished.set_result(None)
        else:
            self.finished.set_exception(error)
            self.finished.exception()  # looked at: whoever waits gets it, nobody else needs to

    def _tell_parent(self) -> None:
        start = self.state.start
        if self.state.over and start is not None and start.parent:
            task = str(start.trigger.get("task", ""))
            row = self.engine.journal.row(start.parent)
            if row is not None and row.ended_at is None:
                message = Message(kind="child_ended", task=task, by=self.run_id)
                try:
                    self.engine.journal.send(start.parent, f"ended:{self.run_id}", inbox.encode(message))
                except JournalError as error:  # it is over all the same; its caller finds that out when it is resumed
                    _log.warning("run %s could not tell its caller that it is over: %s", self.run_id, error)

    async def _learn_git(self, actor: RunActor) -> None:
        if self._git is None:
            return
        status = await git_status(self.engine.adapters.project.root, self.engine.services.processes)
        if status is not None:
            actor.post(GitKnown({**self._git, **status}))

    def _values(self) -> Values:
        plan = self.state.plan
        secrets = self._credentials.secrets
        values = Values(self.state, self.engine.journal, inputs=self._inputs, env={}, secrets=secrets)
        outside = {"inputs": self._inputs, "secrets": dict(secrets)}
        rendered = render_tree(plan.env, outside.get, now=self.engine.clock.now()) if plan.env else {}
        values.env = {name: value if isinstance(value, str) else str(value) for name, value in rendered.items()}
        return values

    def _surroundings(self) -> Surroundings:
        adapters = self.engine.adapters
        secrets = self._credentials.masked
        return Surroundings(
            run_id=self.run_id,
            project=adapters.project,
            run_dir=adapters.state / "runs" / self.run_id,
            base_env=base_environment(adapters.environ, adapters.pass_env),
            secrets=secrets,
            redactor=Redactor(secrets),
            services=lambda: self.engine.services,
            limits=self.engine.limits,
            find_kind=adapters.find_kind,
            publish=self._say,
            control=self._control,
            reusable=self.reusable,
            budgets=Spending(
                self.run_id, self.state, self.engine.driving, self.engine.journal, self.engine.budgets_of_talk
            ).of,
            tool_settings=adapters.tool_settings,
            attended=lambda: self.engine.attended,
        )

    def _control(self) -> str | None:
        if self.state.stop_until is not None or self.state.cancel is not None:
            return "stop"
        return "pause" if self.state.holds else None

    # --- telling

    def _publish(self, state: RunState, now: float, events: Sequence[AnyEvent]) -> None:
        self._started.set()
        if self._was_full:
            self._was_full = False
            self.engine.journal.forget_full(self.run_id)
        if self.feed:
            self.feed.recorded()
        if self.manager.active:
            self._dispatcher.post(notifications(state, self.engine.journal, events))

    def _say(self, type: str, data: dict[str, JSON]) -> None:
        if self.feed:
            name = type if type.startswith("task_") else f"task_{type}"
            self.feed.say({"type": name, "at": self.engine.clock.now(), "seq": None, **data}, after=self.state.last)

    def _row(self, state: RunState) -> StreamRow:
        start = state.start
        return StreamRow(
            stream=self.run_id,
            status=state.status,
            workflow=state.plan.workflow,
            parent=self.parent,
            started_at=state.started_at or self.engine.clock.now(),
            ended_at=state.ended_at,
            wake_at=next_wake(state) if state.status == "waiting" else None,
            concurrency_key=self._queue.key if self._queue else "",
            summary=self._summarise(state) if start is not None else {},
        )

    def _summarise(self, state: RunState) -> dict[str, JSON]:
        """Small, and made anew only where it can have changed: at the run's own turning points."""
        unpriced = sum(usage.get("unpriced", 0) for usage in state.usages.values())
        mark = (
            state.status,
            state.status_reason,
            state.phase,
            len(state.questions),
            sum(state.costs.values()),
            unpriced,
        )
        if self._summary.get("mark") != mark:
            self._summary = {
                "mark": mark,
                "name": state.plan.name,
                "reason": state.status_reason,
                "cost": sum(state.costs.values()) if state.costs else None,
                **({"unpriced": unpriced} if unpriced else {}),
                **({"currency": currency_of(state.plan)} if state.costs else {}),
                "error": state.failure.message if state.failure else None,
                "asks": [state.name(task) for task in state.questions],
                "trigger": state.start.trigger.get("kind", "") if state.start else "",
                **({"replayed": True} if self._replayed(state) else {}),
            }
        return {name: value for name, value in self._summary.items() if name != "mark"}

    @staticmethod
    def _replayed(state: RunState) -> bool:
        """Its models were played from a tape: it counts in no figures."""
        return state.start is not None and (state.start.trigger.get("tape") or {}).get("mode") == "replay"

    # --- the end

    def watcher(self, after: int) -> Watcher:
        watcher = Watcher(self.engine.journal, self.run_id, after=after, plan=self.state.plan)
        self._watchers.add(watcher)
        self.feed.add(watcher)
        if self.finished.done():
            watcher.leave()
        return watcher

    def forget_watcher(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)
        self.feed.remove(watcher)

    async def abandon(self) -> None:
        """The engine closes under the run: stop at once, recorded and resumable."""
        if self._task is None or self._task.done():
            return
        assert self.actor is not None
        self.actor.park = True
        self.actor.post(Stop("the engine's end", 0.0))
        with contextlib.suppress(Exception):
            await asyncio.wait_for(asyncio.shield(self._task), timeout=10.0)
        if not self._task.done():
            self._task.cancel()
            with contextlib.suppress(BaseException):
                await self._task


def _looked_at(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()
