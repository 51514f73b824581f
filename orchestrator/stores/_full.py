"""Runs that could not be recorded any further for want of space: one empty file for each, `full/<run id>`.

An empty file needs no block of the disk, only a name; so it can mostly be made where nothing can be written. When it was
made is all it says.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from orchestrator.stores._claims import file_name


class FullNotes:
    def __init__(self, root: Path) -> None:
        self._root = root

    def leave(self, stream: str) -> bool:
        """False if not even that was possible."""
        try:
            self._root.mkdir(mode=0o700, exist_ok=True)
            (self._root / file_name(stream)).touch(mode=0o600)
        except OSError:
            return False
        return True

    def remove(self, stream: str) -> None:
        with contextlib.suppress(OSError):
            (self._root / file_name(stream)).unlink()

    def since(self, stream: str) -> float | None:
        """Epoch seconds."""
        try:
            return (self._root / file_name(stream)).stat().st_mtime
        except OSError:
            return None
