"""What can be written in one transaction, each write with its own verdict.

A write checks everything before it changes anything. So one that is refused leaves nothing behind, and the others of the
same transaction do not notice it.
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple, Protocol

import apsw
import msgspec

from orchestrator.errors import JournalConflictError
from orchestrator.ports.journal import Batch, Done, StreamRow
from orchestrator.stores import _batches as batches

NUMBER_BITS: Final = 40
"""`batches.id` is the stream's number shifted by this, plus the number of the batch's first event."""
_KNOWN_LIMIT: Final = 10_000


class Known(NamedTuple):
    """A stream's row as we wrote it last. It holds as long as the file still has this `revision`."""

    number: int
    last: int
    revision: int
    facts: tuple[object, ...]


class Store:
    """The writing connection and what it remembers of the streams it wrote."""

    def __init__(self, db: apsw.Connection) -> None:
        self.db = db
        self.known: dict[str, Known] = {}

    def learn(self, stream: str, known: Known) -> None:
        if len(self.known) >= _KNOWN_LIMIT:
            self.known.clear()
        self.known[stream] = known


class Write(Protocol):
    def apply(self, store: Store) -> JournalConflictError | None:
        """Inside a transaction. A verdict other than None means: nothing was changed."""
        ...

    def finish(self, error: BaseException | None) -> None:
        """After the commit, or after the failure of the whole transaction."""
        ...


def checksum(stream: str, first: int, count: int, payload: bytes) -> int:
    """What `batches.checksum` must be: damage, and a batch that turned up in the wrong place, are seen."""
    return zlib.crc32(payload, zlib.crc32(f"{stream}\0{first}\0{count}\0".encode()))


class Append(msgspec.Struct, eq=False):
    batch: Batch
    summary: bytes
    done: Done

    def finish(self, error: BaseException | None) -> None:
        self.done(error)

    def apply(self, store: Store) -> JournalConflictError | None:
        batch = self.batch
        if batch.consumed or not self._grow(store):
            refusal = self._rewrite(store)
            if refusal is not None:
                return refusal
        if batch.count:
            first = batch.expected + 1
            number = store.known[batch.stream].number
            store.db.execute(
                "INSERT INTO batches (id, count, checksum, payload) VALUES (?, ?, ?, ?)",
                (
                    number << NUMBER_BITS | first,
                    batch.count,
                    checksum(batch.stream, first, batch.count, batch.payload),
                    batch.payload,
                ),
            )
        return None

    def _grow(self, store: Store) -> bool:
        """The usual turn: our own stream, where we left it, and nothing that an index knows has changed."""
        batch = self.batch
        known = store.known.get(batch.stream)
        if known is None or known.last != batch.expected or known.facts != _facts(batch.row):
            return False
        values: tuple[apsw.SQLiteValue, ...] = (
            batch.expected + batch.count,
            self.summary,
            known.number,
            batch.expected,
            known.revision,
        )
        if batch.inbox_seen is None:
            store.db.execute(_GROW, values)
        else:
            store.db.execute(_GROW + " AND inbox = ?", (*values, batch.inbox_seen))
        if store.db.changes() != 1:
            return False
        store.learn(batch.stream, known._replace(last=batch.expected + batch.count, revision=known.revision + 1))
        return True

    def _rewrite(self, store: Store) -> JournalConflictError | None:
        batch = self.batch
        db = store.db
        found = db.execute(
            "SELECT number, last, revision, inbox FROM streams WHERE name = ?", (batch.stream,)
        ).fetchone()
        number, last, revision, inbox = found or (None, 0, 0, 0)
        if last != batch.expected:
            return batches.moved_on(batch, last)
        if batch.inbox_seen is not None and batch.inbox_seen != inbox:
            return batches.more_mail(batch, inbox)
        for key in batch.consumed:
            if number is None or not db.execute(_WAITING, (number, key)).fetchone():
                return batches.not_waiting(batch, key)
        if number is None:
            number = add_stream(db, batch.stream)
        for key in batch.consumed:
            db.execute("UPDATE inbox SET payload = NULL WHERE stream = ? AND key = ?", (number, key))
        facts = _facts(batch.row)
        db.execute(_REWRITE, (last + batch.count, self.summary, *facts, number))
        store.learn(batch.stream, Known(number, last + batch.count, revision + 1, facts))
        return None


def _facts(row: StreamRow) -> tuple[apsw.SQLiteValue, ...]:
    """All of a row but the summary and the counters."""
    return (
        row.status,
        row.workflow,
        row.parent,
        row.started_at,
        row.ended_at,
        row.wake_at,
        row.concurrency_key,
    )


_GROW = (
    "UPDATE streams SET last = ?, summary = ?, revision = revision + 1 WHERE number = ? AND last = ? AND revision = ?"
)
_REWRITE = (
    "UPDATE streams SET last = ?, summary = ?, status = ?, workflow = ?, parent = ?, started_at = ?, ended_at = ?, "
    "wake_at = ?, concurrency_key = ?, revision = revision + 1 WHERE number = ?"
)
_WAITING = "SELECT 1 FROM inbox WHERE stream = ? AND key = ? AND payload IS NOT NULL"


def add_stream(db: apsw.Connection, name: str) -> int:
    db.execute("INSERT INTO streams (name) VALUES (?)", (name,))
    return db.last_insert_rowid()


class Send(msgspec.Struct, eq=False):
    stream: str
    key: str
    payload: bytes
    done: Done
    added: bool = False

    def finish(self, error: BaseException | None) -> None:
        self.done(error)

    def apply(self, store: Store) -> None:
        db = store.db
        found = db.execute("SELECT number FROM streams WHERE name = ?", (self.stream,)).fetchone()
        number = found[0] if found else add_stream(db, self.stream)
        db.execute(
            "INSERT OR IGNORE INTO inbox (stream, key, payload) VALUES (?, ?, ?)", (number, self.key, self.payload)
        )
        self.added = db.changes() == 1
        if self.added:
            db.execute("UPDATE streams SET inbox = inbox + 1 WHERE number = ?", (number,))


class Remember(msgspec.Struct, eq=False):
    key: str
    value: bytes
    expires_at: float
    now: float
    done: Done

    def finish(self, error: BaseException | None) -> None:
        self.done(error)

    def apply(self, store: Store) -> None:
        store.db.execute("DELETE FROM cache WHERE expires_at <= ?", (self.now,))
        store.db.execute(
            "INSERT INTO cache (key, value, expires_at) VALUES (?1, ?2, ?3) "
            "ON CONFLICT (key) DO UPDATE SET value = ?2, expires_at = ?3",
            (self.key, self.value, self.expires_at),
        )
