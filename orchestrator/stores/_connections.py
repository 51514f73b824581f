"""Opening the journal's file: settings, patience with other processes, versions and migrations.

`journal.lock` is held shared by every process that has the journal open and exclusively by the one that creates or
migrates it: so nobody finds the tables changed under an open journal.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import apsw

from orchestrator.errors import JournalError, JournalFullError, JournalVersionError
from orchestrator.host.space import NO_SPACE
from orchestrator.stores._disk import pause, sync_folder

FILE_NAME: Final = "journal.db"
LOCK_NAME: Final = "journal.lock"
SCHEMA_VERSION: Final = 1
"""Of this engine: the number of the last file in `migrations/`."""
APPLICATION_ID: Final = 0x57464A31
"""Says whose file it is: "WFJ1"."""
MIGRATIONS: Final = Path(__file__).with_name("migrations")

_WAL_KEPT_BYTES: Final = 2 * 1024 * 1024
_PATIENCE_FOR_THE_LOCK: Final = 15.0
"""Seconds to wait for other processes to let a migration in."""


def connect(
    path: Path, *, synchronous: str = "FULL", patience: float = 60.0, vfs: str | None = None, readonly: bool = False
) -> apsw.Connection:
    """A connection to the existing file, with our settings.

    `patience` is how many seconds a lock held by another process is waited for.
    """
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    try:
        db.set_busy_handler(_Patience(patience))
        # A journal somebody prepared may not make us run anything.
        db.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        db.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
        # Closing is quick and deletes nothing; the next process goes on in the same WAL.
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        db.pragma("synchronous", synchronous)
        db.pragma("temp_store", "MEMORY")
        # The writer decides when, and after a burst the WAL gives its space back.
        db.pragma("wal_autocheckpoint", 0)
        db.pragma("journal_size_limit", _WAL_KEPT_BYTES)
        if readonly:
            db.pragma("query_only", 1)
        if sys.platform == "darwin":
            db.pragma("fullfsync", 1)
            db.pragma("checkpoint_fullfsync", 1)
    except BaseException:
        db.close()
        raise
    return db


class _Patience:
    """Busy handler: short, uneven waits, so that many processes share the file fairly, until patience ends."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since = 0.0

    def __call__(self, calls_before: int) -> bool:
        now = time.monotonic()
        if calls_before == 0:
            self._since = now
        # Who waits longest asks most often: ten processes with even waits can starve one of them for seconds.
        longest = 0.004 if now - self._since < 0.1 else 0.001
        pause(random.uniform(0.0002, longest))  # noqa: S311 - spreads waits, decides nothing
        return now - self._since < self._seconds


@contextlib.contextmanager
def translated(db: apsw.Connection | None = None) -> Iterator[None]:
    """SQLite's errors as ours, within the block."""
    try:
        yield
    except apsw.Error as error:
        raise as_journal_error(error, db) from error


def as_journal_error(error: apsw.Error, db: apsw.Connection | None = None) -> JournalError:
    """What a caller should know of an error of SQLite."""
    if isinstance(error, apsw.FullError) or (isinstance(error, apsw.IOError) and _no_space(db)):
        return JournalFullError(
            "no space is left for the journal: nothing was written", help="free some space; the run can then be resumed"
        )
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return JournalError(
            "another program has kept the journal locked for too long",
            help="look for a stopped process or an open database shell on the state folder",
        )
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return JournalError(f"the journal is damaged: {error}", help="run `whisper-flow doctor`, restore a backup")
    return JournalError(f"the journal's file could not be used: {error}")


def _no_space(db: apsw.Connection | None) -> bool:
    return db is not None and db.system_errno in NO_SPACE


def version_of(db: apsw.Connection) -> int:
    """0 for a file that was never a journal; refuses other programs' files and newer journals."""
    version = int(db.pragma("user_version"))
    if version > SCHEMA_VERSION:
        raise JournalVersionError(
            f"this journal has version {version}, newer than the {SCHEMA_VERSION} this program knows",
            help="use the newer whisper-flow, or another state folder",
        )
    if version and db.pragma("application_id") != APPLICATION_ID:
        raise JournalError("the file in the journal's place belongs to another program")
    return version


class SharedLock:
    """Our share of `journal.lock`, held as long as the journal is open."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def alone(self, still_needed: Callable[[], bool]) -> bool:
        """Trade the share for the whole lock, unless meanwhile another process made `still_needed` false."""
        deadline = time.monotonic() + _PATIENCE_FOR_THE_LOCK
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Asking gave up our share; take it again to look in peace.
                fcntl.flock(self._fd, fcntl.LOCK_SH)
                if not still_needed():
                    return False
                fcntl.flock(self._fd, fcntl.LOCK_UN)
                if time.monotonic() > deadline:
                    raise JournalError(
                        "the journal must be migrated, but another process has it open",
                        help="stop running workflows and the daemon, then try again",
                    ) from None
                pause(random.uniform(0.001, 0.01))  # noqa: S311
            else:
                if still_needed():
                    return True
                fcntl.flock(self._fd, fcntl.LOCK_SH)
                return False

    def share(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def bring_up_to_date(db: apsw.Connection, path: Path, lock: SharedLock, *, vfs: str | None = None) -> None:
    """Create or migrate the journal, copying an older one to `journal.db.v<old>` first."""
    if version_of(db) == SCHEMA_VERSION:
        return
    if not lock.alone(lambda: version_of(db) < SCHEMA_VERSION):
        return
    try:
        old = version_of(db)
        if old:
            copy_to(path, path.with_name(f"{path.name}.v{old}"), vfs=vfs)
        elif db.execute("SELECT count(*) FROM sqlite_schema").get:
            raise JournalError("the file in the journal's place belongs to another program")
        _migrate(db, old)
    finally:
        lock.share()


def _migrate(db: apsw.Connection, old: int) -> None:
    if db.pragma("journal_mode", "wal") != "wal":
        raise JournalError("the state folder's file system cannot hold a journal", help="use a local disk for --state")
    for number, script in migrations():
        if not old < number <= SCHEMA_VERSION:
            continue
        # Each migration and its number are one transaction: a cut in between leaves the older journal.
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute(script).fetchall()  # to its end: a script stops at a row that nobody takes
            db.pragma("user_version", number)
            db.pragma("application_id", APPLICATION_ID)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def migrations() -> list[tuple[int, str]]:
    """(number, script) of every migration, in order."""
    return [(int(file.name[:3]), file.read_text("utf-8")) for file in sorted(MIGRATIONS.glob("[0-9][0-9][0-9]_*.sql"))]


def copy_to(path: Path, target: Path, *, vfs: str | None = None) -> None:
    """SQLite's own online copy: consistent while others read and write. The target appears whole or not at all."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        source = connect(path, vfs=vfs, readonly=True)
        try:
            with contextlib.closing(apsw.Connection(str(part))) as copy:
                copy.pragma("synchronous", "FULL")
                with copy.backup("main", source, "main") as backup:
                    while not backup.done:
                        backup.step(1024)
                copy.pragma("journal_mode", "delete")
        finally:
            source.close()
        part.replace(target)
        sync_folder(target.parent)
    finally:
        part.unlink(missing_ok=True)
