"""Outputs of type `file`: the path a task returns is read and kept by hash; the value becomes {path, name, size, media_type, sha256}."""

from __future__ import annotations

import mimetypes
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.ports.journal import Journal

JSON = Any
SIZE_MAX: Final = 256 * 1024 * 1024


def mentions_files(schema: Mapping[str, JSON]) -> bool:
    """Whether some value the schema describes is a `file`."""
    if schema.get("format") == "file":
        return True
    parts = [*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")]
    parts += [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    return any(isinstance(part, Mapping) and mentions_files(part) for part in parts)


def keep_files(schema: Mapping[str, JSON], value: JSON, journal: Journal, roots: tuple[Path, ...], cwd: Path) -> JSON:
    """The value with every path that the schema calls a file read, stored and described.

    Relative paths start at `cwd`; a file must lie, links resolved, inside one of `roots`. Raises TaskError `invalid_output`.
    """
    if schema.get("format") == "file":
        return _kept(value, journal, roots, cwd) if isinstance(value, str) else value
    if isinstance(value, dict):
        fields = schema.get("properties") or {}
        rest = schema.get("additionalProperties")
        return {
            name: keep_files(part, item, journal, roots, cwd)
            if isinstance(part := fields.get(name, rest), Mapping)
            else item
            for name, item in value.items()
        }
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        return [keep_files(schema["items"], item, journal, roots, cwd) for item in value]
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if isinstance(value, str) and branch.get("format") == "file":
            return _kept(value, journal, roots, cwd)
    return value


def _kept(said: str, journal: Journal, roots: tuple[Path, ...], cwd: Path) -> dict[str, JSON]:
    path = (cwd / said).resolve()
    if not any(path.is_relative_to(root.resolve()) for root in roots):
        raise TaskError("invalid_output", f"the file {said!r} is outside the project and the run's folder")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise TaskError("invalid_output", f"the file {said!r} cannot be read: {error.strerror}") from None
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > SIZE_MAX:
        os.close(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise TaskError("invalid_output", f"{said!r} is no ordinary file")
        raise TaskError(
            "invalid_output", f"the file {said!r} has {facts.st_size >> 20} MiB, {SIZE_MAX >> 20} MiB may be kept"
        )
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(SIZE_MAX)
    return {
        "path": said,
        "name": path.name,
        "size": len(data),
        "media_type": mimetypes.guess_type(path.name)[0] or "application/octet-stream",
        "sha256": journal.put_blob(data),
    }
