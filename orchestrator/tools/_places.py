"""Where file tools may go: the declared roots, links resolved, and never into what is hidden.

A path is taken from the task's working folder, resolved with all its links, and must end up inside a root. Names such as
`.git` below a root are hidden; a root that itself lies in such a folder says that it is meant.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestrator.core.tool_patterns import matches, parse_pattern
from orchestrator.errors import TaskError
from orchestrator.ports.tool import ToolContext

JSON = Any

HIDDEN: Final = frozenset({".git", ".whisper-flow", ".env"})


@dataclass(slots=True, frozen=True)
class Root:
    path: Path
    """Absolute, links resolved."""
    write: bool = True


@dataclass(slots=True, frozen=True)
class Places:
    roots: tuple[Root, ...]
    """The deepest first: the nearest root decides."""
    cwd: Path
    """Absolute, links resolved; relative paths start here, and paths are shown from here."""
    state: Path
    """Where runs are recorded: hidden wherever it is."""
    project: Path = Path("/")
    closed: tuple[str, ...] = ()
    """Globs of the agent's `permissions` over paths: what it may not name, it does not come upon either."""

    def find(self, said: str, *, write: bool = False) -> Path:
        """The real path of what a model named; it need not exist. Raises TaskError `denied`, which shows no content."""
        if "\0" in said:
            raise TaskError("invalid_input", "a path holds a zero character")
        if said == "~" or said.startswith("~/"):
            raise TaskError("denied", f"{said!r}: paths start at the working folder, there is no home folder")
        try:
            real = (self.cwd / said).resolve()
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                real.lstat()
        except (OSError, RuntimeError, ValueError) as error:
            # Names that are too long, links that lead in a circle.
            raise TaskError("invalid_input", f"{said[:200]!r} is no usable path") from error
        root = self.root_of(real)
        if root is None:
            raise TaskError("denied", f"{said!r} is outside the folders these tools may use ({self.named()})")
        if self.is_hidden(real, root):
            raise TaskError("denied", f"{said!r} is closed to these tools")
        if write and not root.write:
            raise TaskError("denied", f"{said!r} may be read, not changed")
        return real

    def root_of(self, real: Path) -> Root | None:
        return next((root for root in self.roots if real == root.path or root.path in real.parents), None)

    def is_hidden(self, real: Path, root: Root) -> bool:
        if real == self.state or self.state in real.parents:
            # A root inside the state folder says that it is meant.
            return not (self.state == root.path or self.state in root.path.parents)
        return any(is_hidden_name(part) for part in real.relative_to(root.path).parts)

    def is_closed(self, real: Path) -> bool:
        """Whether a path that nobody named is one that the agent may not name, seen from the folder or from the project."""
        if not self.closed:
            return False
        seen = {os.path.relpath(real, self.cwd), os.path.relpath(real, self.project), str(real)}
        return any(matches(glob, text) for glob in self.closed for text in seen)

    def shown(self, real: Path) -> str:
        """The path as the model may use it again: from the working folder where that is near, else whole."""
        if real == self.cwd or self.cwd in real.parents:
            return real.relative_to(self.cwd).as_posix()
        near = os.path.relpath(real, self.cwd)
        return near if near.count("..") <= 3 and (self.cwd / near).resolve() == real else str(real)

    def named(self) -> str:
        return ", ".join(f"`{self.shown(root.path)}`" for root in self.roots)


def is_hidden_name(name: str) -> bool:
    """Whatever the file system makes of case; `.env.local` holds secrets as `.env` does, `.env.example` none."""
    plain = name.casefold()
    if plain.startswith(".env."):
        return not plain.endswith((".example", ".sample", ".template"))
    return plain in HIDDEN


def places_of(context: ToolContext) -> Places:
    """By `tools: {files: {roots: [path | {path, write}]}}`; the project if nothing is said."""
    settings = context.settings.get("files") or {}
    project = context.project.resolve()
    roots = [_root(project, said) for said in settings.get("roots") or (".",)]
    roots.sort(key=lambda root: -len(root.path.parts))
    return Places(tuple(roots), context.cwd.resolve(), state_of(context).resolve(), project)


def closed_to(tool: str, context: ToolContext) -> tuple[str, ...]:
    """The paths that the agent's permissions deny a tool, or let it have only if somebody agrees."""
    permissions = (context.call.agent.get("permissions") if context.call is not None else None) or {}
    patterns = [parse_pattern(str(one)) for word in ("deny", "ask") for one in permissions.get(word) or ()]
    return tuple(one.glob for one in patterns if one.argument == "path" and matches(one.tool, tool))


def state_of(context: ToolContext) -> Path:
    """The state folder: a run's own folder is `runs/ID` in it."""
    return context.run_dir.parent.parent


def _root(project: Path, said: JSON) -> Root:
    path, write = (said["path"], bool(said.get("write", True))) if isinstance(said, dict) else (said, True)
    return Root((project / Path(str(path)).expanduser()).resolve(), write)


def visible(entries: Iterable[os.DirEntry[str]], places: Places, folder: Path) -> list[os.DirEntry[str]]:
    """What of a folder's entries these tools may show, by name. Links are shown, not followed."""
    root = places.root_of(folder)
    assert root is not None, "only folders that were found are listed"
    kept = [entry for entry in entries if not places.is_hidden(folder / entry.name, root)]
    return sorted(kept, key=lambda entry: entry.name)
