"""Whatever is done in whatever order, SQLite answers as the model does."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from stores.conformance import batch, begin, row

from orchestrator.stores.memory import MemoryJournal
from orchestrator.stores.sqlite import SqliteJournal, verify

NOW = 1000.0
streams = st.sampled_from(["a", "ab", "b", "è/x"])
keys = st.sampled_from(["k1", "k2", "k3", "k4"])
moments = st.sampled_from([0.0, 1.5, 10.0, 999.0, 1000.0, 1001.0])
rows = st.fixed_dictionaries(
    {"status": st.sampled_from(["running", "waiting", "failed"])},
    optional={
        "workflow": st.sampled_from(["w1", "w2"]),
        "parent": streams,
        "started_at": moments,
        "ended_at": st.none() | moments,
        "wake_at": st.none() | moments,
        "concurrency_key": st.sampled_from(["", "c"]),
        "summary": st.dictionaries(st.text(max_size=3), st.none() | st.booleans() | st.integers(-5, 5), max_size=2),
    },
)


class Comparison(RuleBasedStateMachine):
    @initialize(threaded=st.booleans(), synchronous=st.sampled_from(["FULL", "NORMAL"]))
    def open_both(self, threaded: bool, synchronous: Any) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.options: dict[str, Any] = {"threaded": threaded, "synchronous": synchronous, "now": lambda: NOW}
        self.model = MemoryJournal(now=lambda: NOW)
        self.first = SqliteJournal(self.folder, **self.options)
        self.second = SqliteJournal(self.folder, **self.options)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.first.close()
            self.second.close()
            shutil.rmtree(self.folder)

    def same(self, second: bool, ask: Any) -> Any:
        expected, found = ask(self.model), ask(self.second if second else self.first)
        assert found == expected
        return found

    @rule(
        second=st.booleans(),
        stream=streams,
        facts=rows,
        count=st.integers(0, 40),
        off=st.sampled_from([0, 0, 0, 0, 0, 1, -1]),
        consumed=st.lists(keys, max_size=2, unique=True),
        seen=st.none() | st.integers(0, 4),
    )
    def append(
        self,
        second: bool,
        stream: str,
        facts: dict[str, Any],
        count: int,
        off: int,
        consumed: list[str],
        seen: int | None,
    ) -> None:
        known = self.model.row(stream)
        item = batch(
            stream,
            (known.last if known else 0) + off,
            count,
            row=row(stream, **facts),
            consumed=tuple(consumed),
            inbox_seen=seen,
        )
        self.same(second, lambda journal: type(begin(journal, item).wait()))

    @rule(second=st.booleans(), stream=streams, key=keys, payload=st.binary(max_size=5))
    def send(self, second: bool, stream: str, key: str, payload: bytes) -> None:
        self.same(second, lambda journal: journal.send(stream, key, payload))

    @rule(second=st.booleans(), key=keys, value=st.binary(max_size=5), expires_at=moments)
    def remember(self, second: bool, key: str, value: bytes, expires_at: float) -> None:
        self.same(second, lambda journal: journal.remember(key, value, expires_at))

    @rule(second=st.booleans(), key=keys, now=st.sampled_from([NOW, NOW + 1]))
    def recall(self, second: bool, key: str, now: float) -> None:
        self.same(second, lambda journal: journal.recall(key, now))

    @rule(second=st.booleans(), stream=streams, after=st.integers(0, 60))
    def read(self, second: bool, stream: str, after: int) -> None:
        self.same(second, lambda journal: list(journal.read(stream, after)))

    @rule(
        second=st.booleans(),
        filters=st.fixed_dictionaries(
            {},
            optional={
                "prefix": st.sampled_from(["", "a", "è"]),
                "status": st.lists(st.sampled_from(["running", "failed"]), unique=True).map(tuple),
                "workflow": st.sampled_from(["", "w1"]),
                "parent": st.none() | st.just("") | streams,
                "concurrency_key": st.sampled_from(["", "c"]),
                "limit": st.integers(0, 3),
            },
        ),
    )
    def rows(self, second: bool, filters: dict[str, Any]) -> None:
        self.same(second, lambda journal: journal.rows(**filters))

    @rule(second=st.booleans(), now=moments)
    def due(self, second: bool, now: float) -> None:
        self.same(second, lambda journal: journal.due(now))

    @rule()
    def reopen(self) -> None:
        self.first.close()
        self.first = SqliteJournal(self.folder, **self.options)

    @rule()
    def checkpoint(self) -> None:
        self.second._writer.checkpoint()

    @invariant()
    def rows_and_inboxes_agree(self) -> None:
        if hasattr(self, "model"):
            for stream in ("a", "b"):
                self.same(False, lambda journal, stream=stream: (journal.row(stream), journal.inbox(stream)))

    @invariant()
    def the_folder_verifies(self) -> None:
        if hasattr(self, "model"):
            assert [finding for finding in verify(self.folder) if finding.about != "folder"] == []


Comparison.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
test_sqlite_answers_as_the_memory_journal_does = pytest.mark.timeout(300)(Comparison.TestCase)
