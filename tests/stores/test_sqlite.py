from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from stores.conformance import NOW, JournalConformance

from orchestrator.ports.journal import Journal
from orchestrator.stores.sqlite import SqliteJournal


class _SqliteConformance(JournalConformance):
    synchronous: Literal["FULL", "NORMAL"]

    @pytest.fixture
    def open_journal(self, tmp_path: Path) -> Iterator[Callable[[], Journal]]:
        opened: list[Journal] = []

        def open_journal() -> Journal:
            opened.append(SqliteJournal(tmp_path / "state", synchronous=self.synchronous, now=lambda: NOW))
            return opened[-1]

        yield open_journal
        for journal in opened:
            journal.close()


class TestSqliteFull(_SqliteConformance):
    synchronous = "FULL"


class TestSqliteNormal(_SqliteConformance):
    synchronous = "NORMAL"
