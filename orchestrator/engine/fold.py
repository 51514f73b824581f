"""From a journal back to a state: folding what was recorded, whole or bit by bit."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from orchestrator.core.events import AnyEvent, EventBatch, RunStarted, decode_batch
from orchestrator.core.evolve import evolve
from orchestrator.core.evolve_moves import ImpossibleEventError
from orchestrator.core.plan import Plan, decode_plan
from orchestrator.core.run_state import RunState
from orchestrator.errors import JournalError, NotFoundError
from orchestrator.ports.journal import Journal


def started_event(journal: Journal, run_id: str) -> RunStarted:
    """A run's first event. NotFoundError if there is no such run."""
    for batch in journal.read(run_id):
        for event in _decode(run_id, batch.payload).events:
            if isinstance(event, RunStarted):
                return event
        break
    raise NotFoundError(f"there is no run {run_id}")


def pinned_plan(journal: Journal, run_id: str) -> Plan:
    """The plan a run was started with."""
    try:
        return decode_plan(journal.get_blob(started_event(journal, run_id).plan))
    except msgspec.DecodeError as error:
        raise JournalError(f"the plan of run {run_id} cannot be read: {error}") from error


def _decode(run_id: str, payload: bytes) -> EventBatch:
    try:
        return decode_batch(payload)
    except msgspec.DecodeError as error:
        raise JournalError(f"an event of run {run_id} cannot be read: {error}") from error


class Folder:
    """Folds a run's stream as it grows; `more` yields each event after it was folded."""

    def __init__(self, journal: Journal, run_id: str, plan: Plan | None = None) -> None:
        self.journal = journal
        self.run_id = run_id
        self.state = RunState(plan or pinned_plan(journal, run_id))

    def more(self) -> Iterator[AnyEvent]:
        state = self.state
        for batch in self.journal.read(self.run_id, after=state.last):
            if not batch.count:
                continue
            if batch.first != state.last + 1:
                raise JournalError(f"run {self.run_id}: event {state.last + 1} is missing")
            decoded = _decode(self.run_id, batch.payload)
            state.at = decoded.at
            for event in decoded.events:
                try:
                    evolve(state, event)
                except ImpossibleEventError as error:
                    raise JournalError(f"run {self.run_id} cannot be read: {error}") from error
                yield event
        state.begun.clear()
        state.dropped.clear()
        state.set_timers.clear()


def fold(journal: Journal, run_id: str, plan: Plan | None = None) -> RunState:
    """The state of a run as its journal tells it. NotFoundError, JournalError."""
    folder = Folder(journal, run_id, plan)
    for _ in folder.more():
        pass
    return folder.state
