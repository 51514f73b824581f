"""Making files and names durable, and waiting for other processes: what several stores need of the machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import threading
from pathlib import Path


def sync_file(fd: int) -> None:
    """Return when the file's content survives a power cut."""
    if sys.platform == "darwin":
        # There fsync leaves the data in the drive's own memory.
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
    os.fsync(fd)


def sync_folder(folder: Path) -> None:
    """Return when the names in the folder (created, renamed, removed) survive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_file(fd)
    finally:
        os.close(fd)


def pause(seconds: float) -> None:
    """Let others go first: what we wait for is another process's file lock, and that sends no signal."""
    threading.Event().wait(seconds)
