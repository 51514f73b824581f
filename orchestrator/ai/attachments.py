"""Files for a model: a path inside the project, or a stored file value, as message parts."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from orchestrator.core.messages import File, Image
from orchestrator.errors import TaskError
from orchestrator.ports.journal import Journal

FILE_SIZE_MAX: Final = 20 * 1024 * 1024
IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


def attachments(files: list[Any], project: Path | None, journal: Journal | None) -> list[Image | File]:
    """One part for each of `files`. Raises TaskError `invalid_input` for what cannot be read or is no file."""
    return [_attachment(file, project, journal) for file in files]


def _attachment(file: Any, project: Path | None, journal: Journal | None) -> Image | File:
    if isinstance(file, Mapping) and isinstance(file.get("sha256"), str) and journal is not None:
        name = str(file.get("name") or file.get("path") or file["sha256"][:12])
        media_type = str(file.get("media_type") or _media_type(name))
        if media_type in IMAGE_TYPES:
            return Image(media_type, digest=file["sha256"])
        return File(name, media_type, digest=file["sha256"])
    path = file.get("path") if isinstance(file, Mapping) else file
    if not isinstance(path, str):
        raise TaskError("invalid_input", f"{file!r} is not a path or a file", help="`files` holds paths or file values")
    return _read(path, project)


def _read(name: str, project: Path | None) -> Image | File:
    root = (project or Path()).resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise TaskError("invalid_input", f"file {name!r} is outside the project")
    try:
        if not path.is_file():
            raise TaskError("invalid_input", f"there is no file {name!r}")
        if path.stat().st_size > FILE_SIZE_MAX:
            raise TaskError("invalid_input", f"file {name!r} is larger than {FILE_SIZE_MAX // 2**20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise TaskError("invalid_input", f"file {name!r} cannot be read: {error.strerror}") from error
    media_type = _media_type(path.name, data)
    return Image(media_type, data=data) if media_type in IMAGE_TYPES else File(path.name, media_type, data=data)


def _media_type(name: str, data: bytes | None = None) -> str:
    guessed = mimetypes.guess_type(name)[0]
    if guessed is not None and (guessed in IMAGE_TYPES or not guessed.startswith("text/")):
        return guessed
    if data is None:
        return guessed or "application/octet-stream"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return guessed or "text/plain"
