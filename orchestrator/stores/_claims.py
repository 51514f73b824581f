"""Who drives a run: a lock of the operating system on one small file per claimed run, `claims/<run id>`.

The lock ends with the process that holds it, whatever kills it. The file only says who that is; one that was left behind
means nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.errors import JournalError, JournalFullError, RunBusyError
from orchestrator.host.space import no_space
from orchestrator.stores._disk import pause

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_ATTEMPTS: Final = 5


class Note(msgspec.Struct, frozen=True):
    """What a claim's file says. `since` is UTC, ISO 8601."""

    stream: str
    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}"


def file_name(stream: str) -> str:
    """A stream's name as a file's."""
    return stream if _PLAIN_NAME.fullmatch(stream) else "h." + hashlib.sha256(stream.encode()).hexdigest()


class Claims:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._held: set[int] = set()
        # A child forked without exec would keep our locks alive after our death.
        _everyone.add(self)

    @contextlib.contextmanager
    def claim(self, stream: str) -> Iterator[None]:
        path = self._path(stream)
        fd = self._take(stream, path)
        self._held.add(fd)
        owner = os.getpid()
        try:
            yield
        finally:
            if os.getpid() == owner:
                self._held.discard(fd)
                # Removed while it is still ours: whoever opened it before us notices and looks again.
                with contextlib.suppress(OSError):
                    if _is_at(fd, path):
                        path.unlink()
                os.close(fd)

    def _take(self, stream: str, path: Path) -> int:
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for attempt in range(_ATTEMPTS):
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                if _lock(fd) and _is_at(fd, path):
                    _write_note(fd, stream)
                    return fd
                os.close(fd)
                if attempt:
                    pause(0.002)  # it may only be someone who asks who the holder is
        except OSError as error:
            raise (JournalFullError if no_space(error) else JournalError)(
                f"the claim on {stream} could not be taken: {error.strerror}"
            ) from error
        raise RunBusyError(stream, self.holder(stream) or "another process")

    def holder(self, stream: str) -> str | None:
        return read_holder(self._path(stream))

    def _path(self, stream: str) -> Path:
        return self._root / file_name(stream)

    def forget_in_child(self) -> None:
        for fd in self._held:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._held.clear()


def read_holder(path: Path) -> str | None:
    """Who holds this claim, "pid 123 on host"; None if nobody living does."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"the claim {path.name} could not be read: {error}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_note(fd)
    else:
        return None
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(fd: int, path: Path) -> bool:
    """Whether the open file is still the one with that name: a former holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _write_note(fd: int, stream: str) -> None:
    note = Note(stream, os.getpid(), os.uname().nodename, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    # The lock is the claim. On a full disk nobody learns our name, that is all.
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, msgspec.json.encode(note), 0)


def _read_note(fd: int) -> str:
    try:
        return str(msgspec.json.decode(os.pread(fd, 4096, 0), type=Note))
    except msgspec.DecodeError:
        # It was locked a moment ago and is being written.
        return "another process"


_everyone: weakref.WeakSet[Claims] = weakref.WeakSet()


def _in_child() -> None:
    for claims in list(_everyone):
        claims.forget_in_child()


os.register_at_fork(after_in_child=_in_child)
