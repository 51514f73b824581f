"""The journal in one SQLite file, shared by all processes of a project (`journal.db` in the state folder).

Writes go through `Writer`; reads use connections of their own and never wait, whatever is being written. Claims, blobs
and the knock are files beside it, each in its own module.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import apsw

from orchestrator.errors import JournalError, JournalFullError
from orchestrator.host.space import no_space
from orchestrator.ports.journal import Batch, Done, InboxMessage, StoredBatch, StreamRow
from orchestrator.stores import _batches as batches
from orchestrator.stores._blobs import Blobs
from orchestrator.stores._claims import Claims
from orchestrator.stores._connections import (
    FILE_NAME,
    SharedLock,
    bring_up_to_date,
    connect,
    translated,
)
from orchestrator.stores._disk import sync_folder
from orchestrator.stores._full import FullNotes
from orchestrator.stores._writer import Writer
from orchestrator.stores._writes import NUMBER_BITS, Append, Remember, Send, checksum

if TYPE_CHECKING:
    from orchestrator.stores._knock import Knock
    from orchestrator.stores._verify import Finding

_ROW: Final = (
    "name, status, workflow, parent, started_at, ended_at, wake_at, concurrency_key, summary, last, inbox FROM streams"
)
_READ_AT_ONCE: Final = 256
"""Batches fetched by one query of `read`: no transaction stays open while the reader thinks."""
_READERS_KEPT: Final = 4


class SqliteJournal:
    """`Journal` in `state_dir`, which is made (0700) if it is not there.

    `synchronous="FULL"`: an acknowledged append survives a power cut; `done` comes from the writer thread. `"NORMAL"`: it
    survives the death of the process, not always a power cut; `append` commits and calls `done` before it returns.
    `busy_timeout` (seconds) is the patience with other processes that write. `now` (epoch seconds) dates the cache.

    Raises JournalVersionError if a newer program wrote the journal, JournalError if it cannot be opened.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        busy_timeout: float = 60.0,
        threaded: bool | None = None,
        vfs: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.state_dir = state_dir
        self._path = state_dir / FILE_NAME
        self._synchronous = synchronous
        self._patience = busy_timeout
        self._vfs = vfs
        self._now = now
        self._pid = os.getpid()
        self._closed = False
        self._readers: list[apsw.Connection] = []
        self._readers_lock = threading.Lock()
        with _folder_errors(state_dir):
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = SharedLock(state_dir)
        try:
            with translated(), _folder_errors(state_dir):
                first = self._open_file()
        except BaseException:
            self._lock.close()
            raise
        self._readers.append(first)
        self._blobs = Blobs(state_dir / "blobs")
        self._claims = Claims(state_dir / "claims")
        self._full = FullNotes(state_dir / "full")
        self._knock: Knock | None = None
        self._writer = Writer(
            self._path, self._connect, threaded=synchronous == "FULL" if threaded is None else threaded
        )

    def _connect(self) -> apsw.Connection:
        return connect(self._path, synchronous=self._synchronous, patience=self._patience, vfs=self._vfs)

    def _connect_reader(self) -> apsw.Connection:
        return connect(self._path, patience=self._patience, vfs=self._vfs, readonly=True)

    def _open_file(self) -> apsw.Connection:
        """Make the file, or bring it up to date, or find that it is; returns what becomes the first reader."""
        # Never opened without O_EXCL: closing it again would drop the locks that SQLite holds on it in this process.
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            sync_folder(self.state_dir)
        # EXTRA: the rollback journal of the very first transaction must not come back after a power cut.
        db = connect(self._path, synchronous="EXTRA", patience=self._patience, vfs=self._vfs)
        try:
            bring_up_to_date(db, self._path, self._lock, vfs=self._vfs)
            db.pragma("query_only", 1)
        except BaseException:
            db.close()
            raise
        return db

    # Events

    def append(self, batch: Batch, done: Done) -> None:
        error = self._unusable() or batches.malformed(batch)
        if error is None:
            try:
                write = Append(batch, batches.encode_summary(batch.row), done)
            except JournalError as problem:
                error = problem
        if error is not None:
            done(error)
        else:
            self._writer.submit(write)

    def read(self, stream: str, after: int = 0) -> Iterator[StoredBatch]:
        self._check()
        return self._read(stream, after)

    def _read(self, stream: str, after: int) -> Iterator[StoredBatch]:
        with self._reader() as db:
            start: Any = db.execute(_START, (stream, after)).fetchone()
        if start is None:
            return
        base, next_id = start
        while True:
            with self._reader() as db:
                rows: list[Any] = db.execute(_BATCHES, (next_id, base + (1 << NUMBER_BITS), _READ_AT_ONCE)).fetchall()
            for id_, count, crc, payload in rows:
                first = id_ - base
                if checksum(stream, first, count, payload) != crc:
                    raise JournalError(
                        f"the journal is damaged: events {first} to {first + count - 1} of {stream} are not what was "
                        "written",
                        help="run `whisper-flow doctor`, restore a backup",
                    )
                if first + count - 1 > after:
                    yield StoredBatch(first, count, payload)
                next_id = id_ + count
            if len(rows) < _READ_AT_ONCE:
                return

    # Rows

    def row(self, stream: str) -> StreamRow | None:
        with self._reader() as db:
            found = db.execute(f"SELECT {_ROW} WHERE name = ? AND status IS NOT NULL", (stream,)).fetchone()
        return None if found is None else _row(found)

    def rows(
        self,
        *,
        prefix: str = "",
        status: tuple[str, ...] = (),
        workflow: str = "",
        parent: str | None = None,
        concurrency_key: str = "",
        limit: int = 1000,
    ) -> list[StreamRow]:
        where = ["status IS NOT NULL"]
        values: list[str | int] = []
        if prefix:
            where.append("name >= ? AND name < ?")
            values += [prefix, prefix + "\U0010ffff"]
        if status:
            where.append(f"status IN ({', '.join('?' * len(status))})")
            values += status
        if workflow:
            where.append("workflow = ?")
            values.append(workflow)
        if parent is not None:
            where.append("parent = ?")
            values.append(parent)
        if concurrency_key:
            where.append("concurrency_key = ? AND concurrency_key <> ''")
            values.append(concurrency_key)
        values.append(max(limit, 0))
        query = f"SELECT {_ROW} WHERE {' AND '.join(where)} ORDER BY started_at DESC, name DESC LIMIT ?"
        with self._reader() as db:
            return [_row(found) for found in db.execute(query, tuple(values)).fetchall()]

    def due(self, now: float) -> list[str]:
        with self._reader() as db:
            names: list[Any] = db.execute(_DUE, (now,)).fetchall()
        return [name for (name,) in names]

    # Inbox

    def send(self, stream: str, key: str, payload: bytes) -> bool:
        if not stream or "\0" in stream:
            raise JournalError(f"a stream needs a name without NUL, not {stream!r}")
        answer = _Answer()
        message = Send(stream, key, payload, answer)
        self._submit_and_wait(message, answer)
        if message.added:
            self._knocker().knock()
        return message.added

    def inbox(self, stream: str) -> list[InboxMessage]:
        with self._reader() as db:
            messages: list[Any] = db.execute(_INBOX, (stream,)).fetchall()
        return [InboxMessage(key, payload) for key, payload in messages]

    def listen(self, stream: str, callback: Callable[[str], None], *, events: bool = False) -> Callable[[], None]:
        self._check()
        with translated():
            return self._knocker().listen(stream, callback, events=events)

    def _knocker(self) -> Knock:
        from orchestrator.stores._knock import Knock  # a run that sends nothing starts without it

        with self._readers_lock:
            if self._knock is None:
                self._knock = Knock(self.state_dir / "knock", self._connect_reader)
            return self._knock

    # Claims

    def claim(self, stream: str) -> AbstractContextManager[None]:
        self._check()
        return self._claims.claim(stream)

    def holder(self, stream: str) -> str | None:
        self._check()
        return self._claims.holder(stream)

    def note_full(self, stream: str) -> None:
        self._full.leave(stream)

    def forget_full(self, stream: str) -> None:
        self._full.remove(stream)

    def full_since(self, stream: str) -> float | None:
        return self._full.since(stream)

    # Blobs and cache

    def put_blob(self, data: bytes) -> str:
        self._check()
        return self._blobs.put(data)

    def get_blob(self, digest: str) -> bytes:
        self._check()
        return self._blobs.get(digest)

    def remember(self, key: str, value: bytes, expires_at: float) -> None:
        answer = _Answer()
        self._submit_and_wait(Remember(key, value, expires_at, self._now(), answer), answer)

    def recall(self, key: str, now: float) -> bytes | None:
        with self._reader() as db:
            found: Any = db.execute("SELECT value FROM cache WHERE key = ? AND expires_at > ?", (key, now)).fetchone()
        return None if found is None else bytes(found[0])

    # Life

    def close(self) -> None:
        if self._closed or os.getpid() != self._pid:
            return
        self._writer.close()
        self._closed = True
        if self._knock is not None:
            self._knock.close()
        with self._readers_lock:
            readers, self._readers = self._readers, []
        for reader in readers:
            reader.close()
        self._lock.close()

    def _submit_and_wait(self, write: Send | Remember, answer: _Answer) -> None:
        self._check()
        self._writer.submit(write)
        answer.wait()

    def _unusable(self) -> JournalError | None:
        if self._closed:
            return JournalError("the journal is closed")
        if os.getpid() != self._pid:
            return JournalError("a forked process must open the journal anew")
        return None

    def _check(self) -> None:
        error = self._unusable()
        if error is not None:
            raise error

    @contextmanager
    def _reader(self) -> Iterator[apsw.Connection]:
        """A connection for one query; kept for the next one."""
        self._check()
        with translated():
            with self._readers_lock:
                db = self._readers.pop() if self._readers else None
            if db is None:
                db = self._connect_reader()
            try:
                yield db
            except apsw.Error:
                db.close()
                raise
            with self._readers_lock:
                keep = len(self._readers) < _READERS_KEPT and not self._closed
                if keep:
                    self._readers.append(db)
            if not keep:
                db.close()


@contextmanager
def _folder_errors(state_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if no_space(error):
            raise JournalFullError(f"no space is left in {str(state_dir)!r}", help="free some space") from error
        raise JournalError(f"the state folder {str(state_dir)!r} cannot be used: {error.strerror}") from error


class _Answer:
    """A `done` that somebody waits for."""

    def __init__(self) -> None:
        self._told = threading.Event()
        self._error: BaseException | None = None

    def __call__(self, error: BaseException | None) -> None:
        self._error = error
        self._told.set()

    def wait(self) -> None:
        self._told.wait()
        if self._error is not None:
            raise self._error


# Where a stream's batches begin, and the batch that holds event `after + 1`, or the one before it.
_START: Final = f"""
    SELECT base, (SELECT ifnull(max(id), base + 1) FROM batches WHERE id > base AND id <= base + ?2 + 1)
      FROM (SELECT number << {NUMBER_BITS} AS base FROM streams WHERE name = ?1)
"""  # noqa: S608 - a constant of ours
_BATCHES: Final = "SELECT id, count, checksum, payload FROM batches WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
_DUE: Final = (
    "SELECT name FROM streams WHERE wake_at IS NOT NULL AND wake_at <= ? AND status IS NOT NULL ORDER BY wake_at, name"
)
_INBOX: Final = """
    SELECT i.key, i.payload FROM streams s JOIN inbox i ON i.stream = s.number
     WHERE s.name = ? AND i.payload IS NOT NULL ORDER BY i.id
"""


def _row(found: tuple[Any, ...]) -> StreamRow:
    name, status, workflow, parent, started_at, ended_at, wake_at, concurrency_key, summary, last, inbox = found
    return StreamRow(
        stream=name,
        status=status,
        workflow=workflow,
        parent=parent,
        started_at=started_at,
        ended_at=ended_at,
        wake_at=wake_at,
        concurrency_key=concurrency_key,
        summary=batches.decode_summary(summary),
        last=last,
        inbox=inbox,
    )


# For `doctor` and `backup`, which need no open journal. Imported when asked for: a run needs neither.


def verify(
    state_dir: Path, *, references: Callable[[str, bytes], Iterable[str]] | None = None, now: float | None = None
) -> list[Finding]:
    """Everything that is wrong with a state folder, worst first; [] is a clean bill. Never raises for what it finds.

    `references` gives the digests of the blobs that a stream's batch names; what it raises means that the batch cannot be
    understood.
    """
    from orchestrator.stores import _verify

    return _verify.verify(state_dir, references=references, now=now)


def backup(state_dir: Path, target: Path) -> None:
    """Copy journal and blobs into a new or empty folder while others write. UsageError, JournalError."""
    from orchestrator.stores import _backup

    _backup.backup(state_dir, target)
