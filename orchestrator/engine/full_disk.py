"""The hold `disk_full`: of a run whose next events found no space.

It cannot stand in the journal, where nothing can be written; so the journal keeps a note beside itself, and whoever looks at
the run is shown a hold like any other. Resuming lifts it with the first event that is recorded again.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from orchestrator.errors import JournalFullError
from orchestrator.ports.journal import Journal, StreamRow

JSON = Any

NAME: Final = "disk_full"
REASON: Final = "no space was left to record what happened; make room, then `resume` goes on"


def hold(journal: Journal, run_id: str, error: JournalFullError) -> JournalFullError:
    """Hold a run that has begun; the error that says so to whoever waits for it."""
    journal.note_full(run_id)
    held = JournalFullError(
        f"run {run_id} is held (`{NAME}`): {error.message}",
        help=f"nothing that was recorded is lost: free some space, then `whisper-flow resume {run_id}` goes on",
    )
    held.__cause__ = error
    return held


def hold_of(journal: Journal, run_id: str) -> dict[str, dict[str, JSON]]:
    """The hold as `RunView.holds` has it; empty if the run is not held so."""
    since = journal.full_since(run_id)
    return {} if since is None else {NAME: {"by": "engine", "reason": REASON, "at": since}}


def status_of(status: str, holds: dict[str, dict[str, JSON]]) -> str:
    """What a run is that was at work when the space ended."""
    return "paused" if status == "running" and NAME in holds else status


def as_held(journal: Journal, row: StreamRow) -> StreamRow:
    """The row as lists show it."""
    if row.ended_at is not None or journal.full_since(row.stream) is None:
        return row
    reason = f"{NAME}: {REASON}"
    status = "paused" if row.status == "running" else row.status
    return msgspec.structs.replace(row, status=status, summary={**row.summary, "reason": reason, "held": NAME})
