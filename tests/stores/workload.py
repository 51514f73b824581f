"""A seeded workload on a journal, with the memory journal beside it as the model of what must be there."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, Literal
from unittest.mock import patch

import apsw
from stores.conformance import Verdict, batch, row

from orchestrator.errors import JournalError, JournalFullError
from orchestrator.ports.journal import Batch, Journal
from orchestrator.stores import _writer
from orchestrator.stores._batches import encode_summary
from orchestrator.stores._writes import Append, Send
from orchestrator.stores.memory import MemoryJournal
from orchestrator.stores.sqlite import SqliteJournal, verify

STREAMS = ("a", "b", "c/d")
DISK_TROUBLE = (JournalError, JournalFullError)
State = dict[str, Any]


def state_of(journal: Journal) -> State:
    """All that a journal says of our streams, comparable."""
    return {name: (journal.row(name), list(journal.read(name)), journal.inbox(name)) for name in STREAMS}


class Workload:
    """Runs on `journal`; `states[n]` is what must be there after n commits, `acknowledged` how many were promised."""

    def __init__(self, seed: int, folder: Path, *, vfs: str, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> None:
        self.random = Random(seed)
        self.folder = folder
        self.vfs = vfs
        self.synchronous: Literal["FULL", "NORMAL"] = synchronous
        self.model = MemoryJournal()
        self.states: list[State] = [state_of(self.model)]
        self.acknowledged = 0
        self.certain = 0
        """Commits that even NORMAL has brought to the disk: those before the last checkpoint."""
        self.troubles = 0
        """How often the disk failed us, where a test makes it fail."""
        self._keys = 0
        self.journal = self._open()

    def _open(self) -> SqliteJournal:
        while True:
            try:
                return SqliteJournal(self.folder, vfs=self.vfs, synchronous=self.synchronous, threaded=False)
            except JournalError:
                self.troubles += 1
                assert self.troubles < 1000

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
        self.journal.close()

    def step(self) -> None:
        match self.random.randrange(10):
            case 0:
                try:
                    self.journal._writer.checkpoint()
                except apsw.Error:
                    self.troubles += 1
                else:
                    self.certain = self.acknowledged
            case 1:
                # Also as if much had been written: closing then moves and truncates the WAL.
                with patch.object(_writer, "CLOSING_PAGES", self.random.choice((0, _writer.CLOSING_PAGES))):
                    self.journal.close()
                self.journal = self._open()
            case _:
                self.commit([self._write() for _ in range(self.random.choice((1, 1, 1, 2, 5)))])

    def commit(self, group: list[Batch | tuple[str, str, bytes]]) -> None:
        """One transaction on the journal, the same on the model first."""
        expected = [self._on_model(item) for item in group]
        self.states.append(state_of(self.model))
        while True:
            verdicts = self.journal._writer.commit([self._as_write(item) for item in group])
            if not any(type(verdict) in DISK_TROUBLE for verdict in verdicts):
                break
            # A driver folds again and finds all of it or nothing.
            self.troubles += 1
            assert all(type(verdict) in DISK_TROUBLE for verdict in verdicts), verdicts
            found = state_of(self.journal)
            assert found in self.states[-2:], _difference(found, self.states[-2:])
            if found != self.states[-2]:
                break
        if not self.troubles:
            assert [type(verdict) for verdict in verdicts] == [type(verdict) for verdict in expected], verdicts
        self.acknowledged += 1
        if self.synchronous == "FULL":
            self.certain = self.acknowledged

    def _write(self) -> Batch | tuple[str, str, bytes]:
        random = self.random
        stream = random.choice(STREAMS)
        if random.random() < 0.3:
            self._keys += 1
            return (stream, f"key {random.randrange(self._keys + 1)}", random.randbytes(random.choice((0, 20, 5000))))
        known = self.model.row(stream)
        waiting = [message.key for message in self.model.inbox(stream)]
        return batch(
            stream,
            (known.last if known else 0) + (random.random() < 0.1),
            random.randrange(1, 60),
            payload=random.randbytes(random.choice((1, 100, 600, 2500, 9000))),
            row=row(stream, random.choice(("running", "waiting")), summary={"n": random.random()}, wake_at=1.0),
            consumed=tuple(key for key in waiting if random.random() < 0.5),
            inbox_seen=random.choice((None, None, known.inbox if known else 0)),
        )

    def _on_model(self, item: Batch | tuple[str, str, bytes]) -> BaseException | None:
        if isinstance(item, Batch):
            verdict = Verdict()
            self.model.append(item, verdict)
            return verdict.wait()
        self.model.send(*item)
        return None

    @staticmethod
    def _as_write(item: Batch | tuple[str, str, bytes]) -> Append | Send:
        if isinstance(item, Batch):
            return Append(item, encode_summary(item.row), lambda error: None)
        return Send(*item, lambda error: None)


def check_image(folder: Path, allowed: list[State]) -> None:
    """What a fresh process finds must be one of the allowed states, sound, and good to go on with."""
    journal = SqliteJournal(folder, synchronous="NORMAL")  # a faster check; the images were made as they were made
    try:
        found = state_of(journal)
        assert found in allowed, _difference(found, allowed)
        last = found["a"][0].last if found["a"][0] else 0
        verdict = Verdict()
        journal.append(batch("a", last, 3, payload=b"after the cut"), verdict)
        assert verdict.wait() is None
    finally:
        journal.close()
    wrong = [finding for finding in verify(folder) if finding.about != "folder" and finding.level == "error"]
    assert wrong == []


def _difference(found: State, allowed: list[State]) -> str:
    def lasts(state: State) -> dict[str, int]:
        return {name: facts[0].last if facts[0] else 0 for name, facts in state.items()}

    return f"found {lasts(found)}, allowed {[lasts(state) for state in allowed]}"
