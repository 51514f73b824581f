"""Who called a run: the task it was started for, and whoever stands above that one."""

from __future__ import annotations

from orchestrator.engine.fold import started_event
from orchestrator.ports.journal import Journal


class Callers:
    """Looked up in the journal, each run once."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known: dict[str, tuple[str, str] | None] = {}

    def of(self, run_id: str) -> tuple[str, str] | None:
        """(run, task) that called it; None for a run of its own."""
        if run_id not in self._known:
            row = self._journal.row(run_id) if run_id else None
            start = started_event(self._journal, run_id) if row is not None else None
            called = start is not None and start.parent
            self._known[run_id] = (start.parent, str(start.trigger.get("task", ""))) if start and called else None
        return self._known[run_id]

    def path(self, run_id: str) -> str:
        """The tasks that called it, outermost first (`build[a]/check`); empty for a run of its own."""
        called = self.of(run_id)
        return "" if called is None else "/".join(filter(None, (self.path(called[0]), called[1])))
