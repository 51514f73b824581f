"""A copy of what cannot be made again: the journal and its blobs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from orchestrator.errors import JournalError, UsageError
from orchestrator.stores._blobs import Blobs
from orchestrator.stores._connections import FILE_NAME, copy_to, translated
from orchestrator.stores._disk import sync_file, sync_folder


def backup(state_dir: Path, target: Path) -> None:
    """Copy the journal (by SQLite's own online backup) and the blobs into a new or empty folder, beside living writers.

    The copy is a state folder of the same user: give it as `--state`. UsageError if the target holds something,
    JournalError if there is nothing to copy or it cannot be copied.
    """
    source = state_dir / FILE_NAME
    if not source.exists():
        raise JournalError("there is no journal to copy")
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise UsageError(f"the folder for the backup, {str(target)!r}, is not empty")
        # First the journal: the blobs its events name were stored before them, so all of them are there afterwards.
        with translated():
            copy_to(source, target / FILE_NAME)
        theirs, ours = Blobs(state_dir / "blobs"), Blobs(target / "blobs")
        (target / "blobs").mkdir(mode=0o700)
        for digest in theirs.digests():
            ours.path(digest).parent.mkdir(mode=0o700, exist_ok=True)
            _copy(theirs.path(digest), ours.path(digest))
        for name in (".gitignore", "stamp"):
            if (state_dir / name).exists():
                _copy(state_dir / name, target / name)
        sync_folder(target)
    except OSError as error:
        raise JournalError(f"the backup failed: {error}") from error


def _copy(source: Path, target: Path) -> None:
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with source.open("rb") as reading, os.fdopen(fd, "wb") as writing:
        shutil.copyfileobj(reading, writing)
        writing.flush()
        sync_file(writing.fileno())
