"""The one writer of a process: takes every write that waits, commits them together, tells each its verdict.

FULL commits on a thread of its own, because a sync of the disk takes long; NORMAL commits on the calling thread, because
it does not. Moving the WAL into the database file (a checkpoint) is done beside both, on another connection, so that a
commit waits for the last few pages at most.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import apsw

from orchestrator.errors import JournalError
from orchestrator.stores._connections import as_journal_error
from orchestrator.stores._writes import Store, Write

if TYPE_CHECKING:
    from logging import Logger

GROUP_LIMIT: Final = 512
"""Writes in one transaction; the others wait for the next."""
PAGE_BYTES: Final = 4096
CHECKPOINT_PAGES: Final = 1000
"""Pages written into the WAL by us that call for a checkpoint."""
CLOSING_PAGES: Final = 250
"""Pages left in the WAL for the next process to go on with; more are moved at closing."""
STUBBORN_PAGES: Final = 16_000
"""Pages at which we wait for readers to let go, so that the WAL stays bounded."""


class Writer:
    """`connect` opens the writing connection to `path`, and again after the disk failed under the old one."""

    def __init__(self, path: Path, connect: Callable[[], apsw.Connection], *, threaded: bool) -> None:
        self._path = path
        self._file = path.stat()
        self._connect = connect
        self._gate = threading.Lock()
        """Guards `_closed` and the order of the queue."""
        self._committing = threading.Lock()
        """Guards the writing connection."""
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._closed = False
        self._store: Store | None = None
        self._written = _Written()
        self._checkpoints: _Checkpoints | None = None
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(target=self._loop, name="journal writer", daemon=True)
            self._thread.start()

    # Taking writes

    def submit(self, write: Write) -> None:
        """Commit it soon (threaded) or before returning. Its `finish` is called exactly once, no lock held."""
        with self._gate:
            closed = self._closed
            if not closed and self._thread is not None:
                self._queue.put(write)
        if closed:
            write.finish(JournalError("the journal is closed"))
        elif self._thread is None:
            try:
                verdict = self.commit([write])[0]
            except BaseException:
                write.finish(JournalError("the commit was interrupted"))
                raise
            write.finish(verdict)

    def _loop(self) -> None:
        while (write := self._queue.get()) is not None:
            group = [write]
            ending = False
            while len(group) < GROUP_LIMIT and not ending and not self._queue.empty():
                more = self._queue.get()
                if more is None:
                    ending = True
                else:
                    group.append(more)
            self._commit_and_tell(group)
            if ending:
                return

    def _commit_and_tell(self, group: list[Write]) -> None:
        for write, verdict in zip(group, self.commit(group), strict=True):
            try:
                write.finish(verdict)
            except Exception:  # noqa: BLE001 - whatever befell the one who took this answer, the others are still owed
                _log().exception("a caller of the journal failed to take its answer")

    def close(self) -> None:
        """Commit what waits, then let go. Idempotent."""
        with self._gate:
            first, self._closed = not self._closed, True
            if first and self._thread is not None:
                self._queue.put(None)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        with self._committing:
            checkpoints, self._checkpoints = self._checkpoints, None
        if checkpoints is not None:
            checkpoints.close()
        with self._committing:
            self._close_store(checkpoint=self._pages() >= CLOSING_PAGES or self._wal_is_large())

    # Committing

    def commit(self, group: Sequence[Write]) -> list[BaseException | None]:
        """One transaction for all; the verdict on each, in order. Also for tests that want to choose the group."""
        with self._committing:
            verdicts = self._transaction(group)
            if not self._closed and self._pages() >= CHECKPOINT_PAGES:
                self._written.begin_again()
                self._checkpoint_soon()
        return verdicts

    def _transaction(self, group: Sequence[Write]) -> list[BaseException | None]:
        db: apsw.Connection | None = None
        try:
            self._refuse_a_lost_file()
            store = self._open_store()
            db = store.db
            db.execute("BEGIN IMMEDIATE")
            verdicts: list[BaseException | None] = [write.apply(store) for write in group]
            db.execute("COMMIT")
        except (apsw.FullError, apsw.IOError, apsw.BusyError, apsw.CantOpenError) as error:
            failure = as_journal_error(error, db)
            self._back_out(reopen=not isinstance(error, (apsw.FullError, apsw.BusyError)))
            return [failure] * len(group)
        except Exception as error:  # noqa: BLE001 - whatever one write does wrong, the others are innocent
            self._back_out(reopen=False)
            if len(group) > 1:
                return [verdict for write in group for verdict in self._transaction([write])]
            return [_as_verdict(error)]
        except BaseException:
            self._back_out(reopen=False)
            raise
        return verdicts

    def _refuse_a_lost_file(self) -> None:
        """Whoever removed the state folder took the journal's name away: what we write now, nobody would find."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self._path), self._file):  # noqa: PTH116 - a microsecond at each commit
                return
        raise JournalError(
            f"the journal {str(self._path)!r} was removed or replaced while it was open: nothing more can be recorded",
            help="stop this process; what was recorded before went with the file",
        )

    def _open_store(self) -> Store:
        if self._store is None:
            db = self._connect()
            self._written.reopened()
            self._store = Store(db)
        return self._store

    def _pages(self) -> int:
        return 0 if self._store is None else self._written.pages(self._store.db)

    def _wal_is_large(self) -> bool:
        """Many short-lived processes wrote a little each, and none of them enough to move it."""
        with contextlib.suppress(OSError):
            return os.stat(f"{self._path}-wal").st_size >= CHECKPOINT_PAGES * PAGE_BYTES  # noqa: PTH116
        return False

    def _back_out(self, *, reopen: bool) -> None:
        """Undo a transaction. What we believed about the streams may be wrong now, so forget it."""
        store = self._store
        if store is None:
            return
        store.known.clear()
        try:
            if store.db.in_transaction:
                store.db.execute("ROLLBACK")
        except apsw.Error:
            reopen = True
        if reopen:
            self._close_store(checkpoint=False)

    def _close_store(self, *, checkpoint: bool) -> None:
        store, self._store = self._store, None
        if store is None:
            return
        if checkpoint:
            # Truncated, because the next process to open a WAL believes that nothing of it was moved yet. If others are
            # busy with it, or the disk is full, this is theirs to do.
            store.db.set_busy_timeout(0)
            with contextlib.suppress(apsw.Error):
                store.db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        with contextlib.suppress(apsw.Error):
            store.db.close()

    # Checkpoints

    def _checkpoint_soon(self) -> None:
        if self._checkpoints is None:
            self._checkpoints = _Checkpoints(self.checkpoint)
        self._checkpoints.wanted.set()

    def checkpoint(self) -> None:
        """Move the WAL into the database file; most of it while commits go on."""
        with contextlib.closing(self._connect()) as db:
            db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            # What was committed meanwhile is little. With it moved too, the next commit starts the WAL afresh.
            with self._committing:
                pages, _ = db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if pages > STUBBORN_PAGES:
                db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)


def _as_verdict(error: Exception) -> JournalError:
    if isinstance(error, apsw.Error):
        return as_journal_error(error)
    if isinstance(error, JournalError):
        return error
    return JournalError(f"the batch could not be written: {error}")


def _log() -> Logger:
    import logging  # a run that meets no trouble starts without it

    return logging.getLogger(__name__)


class _Written:
    """How many pages we wrote into the WAL since the last checkpoint.

    Counted by SQLite itself: its hook after each commit would ask for the interpreter lock once more.
    """

    def __init__(self) -> None:
        self._before = 0
        self._counted = 0

    def pages(self, db: apsw.Connection) -> int:
        self._counted = db.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0]
        return self._counted - self._before

    def begin_again(self) -> None:
        self._before = self._counted

    def reopened(self) -> None:
        self._before = self._counted = 0


class _Checkpoints:
    """The thread that runs checkpoints when they are wanted."""

    def __init__(self, checkpoint: Callable[[], None]) -> None:
        self.wanted = threading.Event()
        self._checkpoint = checkpoint
        self._ending = False
        self._thread = threading.Thread(target=self._loop, name="journal checkpoint", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        while self.wanted.wait() and not self._ending:
            self.wanted.clear()
            try:
                self._checkpoint()
            except apsw.Error as error:
                # Commits go on in the WAL; the next checkpoint moves these pages too.
                _log().warning("the journal's WAL could not be moved into its file: %s", error)

    def close(self) -> None:
        self._ending = True
        self.wanted.set()
        self._thread.join()
