"""Files that people and programs read while we write: they see the old one or the new one, never half of it."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600


def replace_file(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Put `data` in the place of what is there, in a folder that exists; durable when this returns, whole whatever happens.

    `mode` are its permissions; None keeps those of the old file, and makes a new one its owner's alone. Raises OSError.
    """
    if mode is None:
        mode = path.stat().st_mode & 0o777 if path.exists() else PRIVATE
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Its entry is durable, too; a folder that may be written and not read cannot be asked for that."""
    with suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
