"""A run that this process drives, in the hands of whoever started it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.events import Failure
from orchestrator.core.inputs import Answered, AnyInput, Cancel, ClearHold, Resolve, SetHold, Stop
from orchestrator.core.run_state import RunState
from orchestrator.engine import inbox, inspect
from orchestrator.engine.fold import fold
from orchestrator.engine.inbox import Message
from orchestrator.engine.values import load
from orchestrator.engine.views import RunResult, RunView, StreamEvent
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.engine.running import Running

JSON = Any


class RunHandle:
    """A run that this process drives, for whoever started it."""

    def __init__(self, running: Running) -> None:
        self._running = running

    @property
    def run_id(self) -> str:
        return self._running.run_id

    @property
    def state(self) -> RunState:
        return self._running.state

    async def wait(self) -> RunResult:
        """Wait until the run is over, waits for a person, or was stopped. Raises JournalError if it could not go on."""
        await asyncio.shield(self._running.finished)
        return inspect.run_result(self._running.state, self._running.engine.journal)

    async def finish(self) -> str:
        """`wait`, for those who only want the run's status and not the views of its tasks."""
        await asyncio.shield(self._running.finished)
        return self._running.state.status

    async def watch(self, after: int = 0) -> AsyncIterator[StreamEvent]:
        """Events from number `after` on, live, until the run is over or let go of."""
        watcher = self._running.watcher(after)
        try:
            async for event in watcher.events(until_parked=True):
                yield event
        finally:
            self._running.forget_watcher(watcher)

    def view(self) -> RunView:
        engine = self._running.engine
        return inspect.run_view(fold(engine.journal, self.run_id, self._running.state.plan), engine.journal)

    def pause(self, name: str = "user", *, by: str = "", reason: str = "") -> None:
        self._post(SetHold(name, by, reason))

    def unpause(self, name: str = "user", *, by: str = "") -> None:
        self._post(ClearHold(name, by))

    resume = unpause

    def cancel(self, *, by: str = "", reason: str = "", failure: Failure | None = None) -> None:
        """End the run for good: as cancelled, or as failed with `failure`."""
        self._post(Cancel(by or "the caller", reason, failure))

    def stop(self, *, grace: float = 30.0, by: str = "") -> None:
        """Drain: nothing new starts, running work gets `grace` seconds; the run stays resumable. Again with 0: at once."""
        self._post(Stop(by or "the caller", grace))

    def answer(self, task: str | None, value: JSON, *, by: str = "", question: str = "") -> None:
        """Answer a question of the run; `question` is the name (`key`) of the one that was read, where it has one.

        UsageError says what does not fit its form, or that it is open no more.
        """
        message = Message(kind="answer", task=task or "", value=value, by=by, question=question)
        journal = self._running.engine.journal
        given: Answered = inbox.answer(self._running.state, message, lambda stored: load(journal, stored))
        self._post(given)

    def let_go(self) -> None:
        """Nobody is here any more who could answer: stop driving the run once it only waits for people."""
        actor = self._running.actor
        if actor is not None:
            actor.park = True
            actor.knock()

    def resolve(self, task: str, how: str, *, by: str = "", value: JSON = None) -> None:
        """Say what became of an `unknown` task: `retry`, `succeeded` (with its value) or `failed`."""
        inbox.check_how(how)
        number = self._running.state.find(task)
        if number is None:
            raise NotFoundError(f"the run has no task `{task}`")
        self._post(Resolve(number, how, by, msgspec.json.encode(value)))

    def _post(self, given: AnyInput) -> None:
        actor = self._running.actor
        if actor is None or self._running.finished.done():
            raise UsageError(f"run {self.run_id} is not driven here any more", help="resume it first")
        actor.post(given)
