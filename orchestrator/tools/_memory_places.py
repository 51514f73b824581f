"""Where each memory is: in the state folder by its name, or where its agent says."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.tools._memory_store import SIZE_MAX, MemoryStore

JSON = Any

FOLDER: Final = "memory"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def memory_of(said: JSON, agent_id: str, *, project: Path, state: Path) -> MemoryStore:
    """The memory that an agent's `memory:` names. Raises TaskError `tool` for a path outside the project."""
    if isinstance(said, dict):
        size = int(said.get("max_size") or SIZE_MAX)
        path = said.get("path")
        return at_path(str(path), project=project, state=state, size_max=size) if path else named(agent_id, state, size)
    return named(agent_id if said is True else str(said), state)


def named(name: str, state: Path, size_max: int = SIZE_MAX) -> MemoryStore:
    plain = file_name(name)
    folder = state / FOLDER
    return MemoryStore(folder / f"{plain}.md", folder / f".{plain}.lock", size_max)


def at_path(path: str, *, project: Path, state: Path, size_max: int = SIZE_MAX) -> MemoryStore:
    root = project.resolve()
    real = (root / path).resolve()
    if root not in real.parents:
        raise TaskError("denied", f"the memory {path!r} is outside the project")
    mark = hashlib.sha256(str(real).encode()).hexdigest()[:16]
    return MemoryStore(real, state / FOLDER / f".{mark}.lock", size_max)


def file_name(name: str) -> str:
    """A memory's name as a file's: nothing that a path could mean."""
    if _NAME.fullmatch(name):
        return name
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:60].lstrip(".")
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def names_in(state: Path) -> list[str]:
    """The memories in the state folder."""
    folder = state / FOLDER
    if not folder.is_dir():
        return []
    return sorted(file.name.removesuffix(".md") for file in folder.glob("*.md") if not file.name.startswith("."))
