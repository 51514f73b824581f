"""The tape's file while it is recorded: one writer, whole lines, each on the disk before anybody relies on it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orchestrator.ai.tapes.format import Header, encode_line, parse_tape
from orchestrator.errors import UsageError, WhisperFlowError
from orchestrator.host.whole_files import replace_file


class TapeWriter:
    """Appends to one tape; a second writer of the same file is refused. Safe to call from several threads."""

    def __init__(self, path: Path, header: Header, *, go_on: bool = False, force: bool = False) -> None:
        """`go_on`: append to what is there, without its torn last line; `force`: replace what is there, once there is something
        to replace it by. A tape without an entry may always be recorded over.

        Raises UsageError if there is a tape already, TapeError for a file that is none, WhisperFlowError if it cannot be written.
        """
        self.path = path
        self._header: bytes | None = None
        """To be written, in place of what is there, before the first entry."""
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            exists = path.exists() and path.stat().st_size > 0
            worth = exists and bool(parse_tape(path.read_bytes(), str(path)).entries)
            if worth and not go_on and not force:
                raise UsageError(f"there is a tape {path} already", help="`--force` records over it; or name another")
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            self._claim()
            self.taken_over = self._begin(header, go_on=go_on and exists, later=worth)
        except BaseException:
            os.close(self._fd)
            raise

    def _claim(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"tape {self.path} is being recorded by another process") from None

    def _begin(self, header: Header, *, go_on: bool, later: bool) -> list[dict[str, Any]]:
        """The entries that stand on the tape already."""
        if go_on and os.fstat(self._fd).st_size:
            data = self.path.read_bytes()
            known = parse_tape(data, str(self.path))
            if known.torn:
                os.ftruncate(self._fd, len(data) - known.torn)
            elif not data.endswith(b"\n"):
                os.write(self._fd, b"\n")
            os.fsync(self._fd)
            return [entry.data for entry in known.entries]
        if later:
            self._header = header.line()
            return []
        os.ftruncate(self._fd, 0)
        self._write(header.line())
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return []

    def append(self, entry: dict[str, Any]) -> None:
        """Return once the entry is durable. Raises WhisperFlowError if it cannot be."""
        line = encode_line(entry)
        with self._lock:
            if self._header is not None:
                os.ftruncate(self._fd, 0)
                line, self._header = self._header + line, None
            self._write(line)

    def _write(self, line: bytes) -> None:
        before = os.fstat(self._fd).st_size
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(self._fd, left) :]
            os.fsync(self._fd)
        except OSError as error:
            # Half a line in the middle of a tape would spoil it.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, before)
            raise _unwritable(self.path, error) from error

    def close(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _unwritable(path: Path, error: OSError) -> WhisperFlowError:
    return WhisperFlowError(f"tape {path} cannot be written: {error.strerror}", help="name another place for it")


def rewrite_tape(path: Path, data: bytes) -> None:
    """The whole tape anew, or as it was."""
    try:
        replace_file(path, data)
    except OSError as error:
        raise _unwritable(path, error) from error
