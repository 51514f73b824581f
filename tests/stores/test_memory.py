from __future__ import annotations

from collections.abc import Callable

import pytest
from stores.conformance import NOW, JournalConformance, batch, begin

from orchestrator.ports.journal import Journal
from orchestrator.stores.memory import MemoryJournal


class TestMemoryJournal(JournalConformance):
    @pytest.fixture
    def open_journal(self) -> Callable[[], Journal]:
        return lambda: MemoryJournal(now=lambda: NOW)


def test_done_is_called_before_append_returns() -> None:
    verdict = begin(MemoryJournal(), batch("r", 0))
    assert verdict.calls == [None]


def test_done_may_append_again() -> None:
    journal = MemoryJournal()
    inner = []
    journal.append(batch("r", 0), lambda _: inner.append(begin(journal, batch("r", 1)).wait()))
    assert inner == [None]
