"""Large values by their SHA-256, one file each: `blobs/ab/cdef…`.

Written beside, synced, renamed, the folder synced: when `put` returns, the bytes survive a power cut, so that an event
may name them. A write that fails leaves at most a file in `blobs/new/`, which a later process removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from orchestrator.errors import JournalError, JournalFullError
from orchestrator.host.space import no_space
from orchestrator.stores._disk import sync_file, sync_folder

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_LEFT_OVER_S: Final = 3600.0
"""A file in `new/` that old belongs to no living write."""


class Blobs:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._new = root / "new"
        self._ready = False

    def put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(digest)
        with _translated(f"blob {digest} could not be stored"):
            self._prepare()
            if _holds(path, data):
                # Whoever renamed it may have died before this.
                sync_folder(path.parent)
                return digest
            self._write(path, data)
        return digest

    def _prepare(self) -> None:
        if self._ready:
            return
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._new.mkdir(mode=0o700, exist_ok=True)
        sync_folder(self._root.parent)
        self._ready = True
        for name in self.left_over(time.time()):
            with contextlib.suppress(OSError):
                (self._new / name).unlink()

    def left_over(self, now: float) -> list[str]:
        """Names in `new/` that no living write will come back for."""
        if not self._new.is_dir():
            return []
        found: list[str] = []
        with os.scandir(self._new) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # another writer gave it its name meanwhile
                    if now - entry.stat().st_mtime > _LEFT_OVER_S:
                        found.append(entry.name)
        return found

    def _write(self, path: Path, data: bytes) -> None:
        part = self._new / os.urandom(8).hex()
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
                sync_file(fd)
            finally:
                os.close(fd)
            if not path.parent.is_dir():
                path.parent.mkdir(mode=0o700, exist_ok=True)
                sync_folder(self._root)
            part.rename(path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        sync_folder(path.parent)

    def get(self, digest: str) -> bytes:
        path = self.path(digest)
        with _translated(f"blob {digest} could not be read"):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                raise JournalError(f"blob {digest} is missing", help="run `whisper-flow doctor`") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise JournalError(
                f"blob {digest} is damaged: its content has another hash", help="run `whisper-flow doctor`"
            )
        return data

    def path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise JournalError(f"{digest!r} is no SHA-256 in hex")
        return self._root / digest[:2] / digest[2:]

    def digests(self) -> Iterator[str]:
        """Every blob that is here."""
        if not self._root.is_dir():
            return
        for folder in sorted(self._root.iterdir()):
            if len(folder.name) == 2 and folder.is_dir():
                for file in sorted(folder.iterdir()):
                    yield folder.name + file.name


def _holds(path: Path, data: bytes) -> bool:
    try:
        if path.stat().st_size != len(data):
            return False
        return path.read_bytes() == data
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if no_space(error):
            raise JournalFullError(f"{what}: no space is left", help="free some space, then resume") from error
        raise JournalError(f"{what}: {error}") from error
