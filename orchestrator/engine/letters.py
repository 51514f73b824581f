"""Words for a run, wherever it is driven: put into its inbox under a key of their own, checked first as far as can be."""

from __future__ import annotations

import uuid

import msgspec

from orchestrator.core.run_state import RunState
from orchestrator.core.status import UNKNOWN
from orchestrator.engine import inbox
from orchestrator.engine.fold import fold
from orchestrator.engine.inbox import Message
from orchestrator.engine.task_names import no_such_task
from orchestrator.engine.values import load
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.ports.clock import Clock
from orchestrator.ports.journal import Journal


class Letters:
    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    def send(self, run_id: str, message: Message) -> None:
        """Raises NotFoundError, or UsageError with what is wrong: the sender learns it, not the log of some other process."""
        row = self._journal.row(run_id)
        if row is None:
            raise NotFoundError(f"there is no run {run_id}")
        if row.status in ("succeeded", "warned", "failed", "cancelled"):
            raise UsageError(
                f"run {run_id} is over ({row.status})", help=f"`whisper-flow rerun {run_id}` makes a new run of it"
            )
        if message.kind in ("answer", "resolve"):
            message = self._checked(fold(self._journal, run_id), message)
        self._journal.send(run_id, uuid.uuid4().hex, inbox.encode(message))

    def _checked(self, state: RunState, message: Message) -> Message:
        if message.kind == "answer":
            answered = inbox.answer(state, message, lambda value: load(self._journal, value))
            return msgspec.structs.replace(message, task=state.name(answered.task), question=answered.key)
        task = state.find(message.task)
        if task is None:
            raise no_such_task(state, message.task)
        if state.statuses[task] != UNKNOWN and task not in state.parked:
            raise UsageError(f"`{message.task}` is not waiting for a decision")
        return message
