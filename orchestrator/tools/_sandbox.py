"""The box that `shell` puts a program in: bubblewrap, where it works.

Inside, the project is as it is, but its `.git` cannot be changed, and of what is closed to file tools the state folder and the
`.env` files of the project (in the folders nearest its top) are empty; the system's programs can be read; everything else, the
home folder first, is not there. No network, unless it is allowed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from orchestrator.errors import TaskError
from orchestrator.ports.services import Processes
from orchestrator.tools._places import is_hidden_name

JSON = Any
Level = Literal["bubblewrap", "none"]

PROGRAM: Final = "bwrap"
PROBE_S: Final = 10.0
_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store")
_NAMES: Final = ("/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf")
"""Where the system may keep what tells names' addresses; only with a network."""
HOME_INSIDE: Final = "/tmp/home"  # noqa: S108  of the box's own, made anew for every call
FOLDERS_MAX: Final = 500
"""In which `.env` files are looked for before each call: some ten milliseconds."""
_NOT_OURS: Final = frozenset({".git", ".whisper-flow", "node_modules", "__pycache__", ".venv", "venv"})
_UNCHANGED: Final = ".git"
"""Whole, and the place itself: hooks, settings, or another folder put there would run outside the box as soon as somebody uses git."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Box:
    """How a program is shut in; `level` is what people are told."""

    level: Level
    network: bool
    project: Path
    state: Path
    read: tuple[Path, ...] = ()
    path: str = ""

    def command(self, argv: list[str], cwd: Path) -> list[str]:
        if self.level == "none":
            return argv
        return [PROGRAM, *self._isolation(), *self._folders(), "--chdir", str(cwd), "--", *argv]

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        if self.level == "none":
            return dict(env)
        return {**env, "HOME": HOME_INSIDE, "TMPDIR": "/tmp"}  # noqa: S108  the box's own

    @property
    def words(self) -> str:
        """For the tool's description."""
        if self.level == "none":
            return "No sandbox: programs may do whatever the user may."
        net = "with network" if self.network else "without network"
        return f"Sandbox: bubblewrap, {net}; only the project can be changed, the home folder is not there."

    def _isolation(self) -> list[str]:
        shared = ["--share-net"] if self.network else []
        return ["--unshare-all", *shared, "--die-with-parent", "--new-session", "--cap-drop", "ALL"]

    def _folders(self) -> Iterator[str]:
        for folder in _SYSTEM:
            yield from _same(folder, "--ro-bind-try") if not Path(folder).is_symlink() else _link(folder)
        yield from ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--dir", HOME_INSIDE)  # noqa: S108
        if self.network:
            for folder in _NAMES:
                yield from _same(folder, "--ro-bind-try")
        for extra in self._readable():
            yield from _same(str(extra), "--ro-bind-try")
        yield from _same(str(self.project), "--bind")
        yield from self._closed()

    def _readable(self) -> Iterator[Path]:
        """What the configuration adds, and the folders of PATH that are elsewhere: what is named there must be found."""
        yield from self.read
        for entry in self.path.split(os.pathsep):
            folder = Path(entry)
            if entry and folder.is_absolute() and folder.is_dir() and not _inside(folder, (*_SYSTEM, self.project)):
                yield folder

    def _closed(self) -> Iterator[str]:
        for folder in dict.fromkeys((self.state, self.project / ".whisper-flow")):
            if folder.is_dir() and not folder.is_symlink() and _inside(folder, (self.project,)):
                yield from ("--tmpfs", str(folder))
        for file in self._secret_files():
            yield from ("--ro-bind", os.devnull, str(file))
        repository = self.project / _UNCHANGED
        if repository.exists() and not repository.is_symlink():
            yield from _same(str(repository), "--ro-bind")

    def _secret_files(self) -> Iterator[Path]:
        """`.env` and its like; of a link, what it leads to."""
        found: dict[Path, None] = {}
        for folder in _folders_below(self.project, FOLDERS_MAX):
            for entry in folder.glob(".env*"):
                real = entry.resolve()
                if is_hidden_name(entry.name) and real.is_file() and _inside(real, (self.project,)):
                    found[real] = None
        yield from sorted(found)


def _folders_below(top: Path, most: int) -> Iterator[Path]:
    """The folder and those below it, the nearest first; no links, and none where only tools put things."""
    waiting = deque([top])
    while waiting and most:
        folder = waiting.popleft()
        most -= 1
        yield folder
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
            waiting.extend(folder / name for name in names if name not in _NOT_OURS)


def _same(folder: str, how: str) -> tuple[str, str, str]:
    return (how, folder, folder)


def _link(folder: str) -> tuple[str, str, str]:
    return ("--symlink", str(Path(folder).readlink()), folder)


def _inside(path: Path, roots: tuple[str | Path, ...]) -> bool:
    return any(path == Path(root) or Path(root) in path.parents for root in roots)


async def probe(processes: Processes, environ: Mapping[str, str], project: Path) -> bool:
    """Whether bubblewrap is there and may make its box here (some systems forbid it). Starts `true` in one."""
    path = environ.get("PATH", os.defpath)
    program = shutil.which("true", path=path)
    if shutil.which(PROGRAM, path=path) is None or program is None:
        return False
    box = Box(level="bubblewrap", network=False, project=project, state=project / ".whisper-flow", path=path)
    try:
        result = await processes.run(
            box.command([program], project), env={"PATH": path}, cwd=project, timeout=PROBE_S, keep=4096
        )
    except (OSError, TaskError):  # a TimeoutError is an OSError
        return False
    return result.exit_code == 0
