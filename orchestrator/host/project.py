"""Where a project is, where its state is, and whose state it is.

A project is the nearest folder, upwards to the git root, that holds `config/whisper-flow.yaml` or `workflows/`. Its state
folder bears a stamp made with a key that only its user has: so a state folder that came with a clone or an archive is
refused until its reader says `doctor --adopt`.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.errors import NotFoundError, StateRefusedError, UsageError
from orchestrator.host import stamp
from orchestrator.host.stamp import config_folder
from orchestrator.spec import places
from orchestrator.spec.places import cache_folder

__all__ = [
    "Project",
    "adopt",
    "cache_folder",
    "config_folder",
    "find_project",
    "open_state",
    "resolve_inside",
    "stamp_is_valid",
    "state_folder",
]

STATE_FOLDER: Final = ".whisper-flow"
STATE_VARIABLE: Final = "WHISPER_FLOW_STATE"
_MADE_BY_US: Final = (".gitignore", "lost+found")
"""What a folder may hold and still be taken for a new one (and the stamp's own unfinished files)."""


@dataclass(frozen=True, slots=True)
class Project:
    root: Path
    """Absolute, links resolved."""
    declared: bool
    """False if nothing says "project" here: `root` is then the git root, or else the folder asked about."""

    @property
    def config(self) -> Path:
        """The project's configuration file; it need not exist."""
        return self.root / "config" / "whisper-flow.yaml"

    @property
    def workflows(self) -> Path:
        return self.root / "workflows"


def find_project(start: Path) -> Project:
    """The project that `start` (a folder or a file) is in. NotFoundError if `start` does not exist.

    Outside a git repository the search goes up only through folders of the owner of `start`, and not above the home
    folder: a `workflows/` that somebody else put into a shared folder is nobody's project.
    """
    try:
        here = start.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise NotFoundError(f"there is no folder {str(start)!r}") from error
    root = places.find_project(here)
    return Project(root, declared=places.is_project(root))


def resolve_inside(project: Project, path: str | Path) -> Path:
    """The absolute path of something in the project, links resolved; it need not exist.

    Relative paths start at the project's root. UsageError, which shows no content, for whatever ends up outside.
    """
    refusal = UsageError(
        f"{str(path)!r} is outside the project", help=f"paths start at {str(project.root)!r} and stay inside it"
    )
    try:
        found = (project.root / path).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{str(path)!r} is no usable path") from error
    if found != project.root and project.root not in found.parents:
        raise refusal
    return found


# The state folder


def state_folder(project: Project, given: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the state is: `given` (`--state`), else WHISPER_FLOW_STATE, else `.whisper-flow/` in the project."""
    if given is not None:
        return Path(given).absolute()
    if environ.get(STATE_VARIABLE):
        return (project.root / environ[STATE_VARIABLE]).absolute()
    return project.root / STATE_FOLDER


def open_state(project: Project, given: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The state folder, made (0700, ignored by git, stamped) if it is not there yet.

    StateRefusedError if it is not ours: another user's, writable by others, a link that came with the project, or without
    a valid stamp. UsageError if it cannot be made.
    """
    state = state_folder(project, given, environ)
    by_itself = state == project.root / STATE_FOLDER
    try:
        with contextlib.suppress(FileExistsError):
            state.mkdir(mode=0o700, parents=not by_itself)
            stamp.sync_folder(state.parent)
        _refuse_strangers(state, by_itself=by_itself)
        key = stamp.user_key(environ)
        if not stamp.is_valid(state, key):
            # Asked again, because another process may have made it since.
            if not _is_new(state) and not stamp.is_valid(state, key):
                raise StateRefusedError(
                    f"the state folder {str(state)!r} was not made by you on this account",
                    help="if you trust what is in it, run `whisper-flow doctor --adopt`; else delete it",
                )
            stamp.write(state, key, replace=False)
    except OSError as error:
        raise UsageError(
            f"the state folder {str(state)!r} cannot be used: {error.strerror}",
            help=f"give another with --state or {STATE_VARIABLE}",
        ) from error
    return state


def adopt(state: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Trust an existing state folder from now on: stamp it as ours and take other users' rights away.

    NotFoundError if it is not there, StateRefusedError if it belongs to another user.
    """
    if not state.is_dir():
        raise NotFoundError(f"there is no state folder {str(state)!r}")
    if state.stat().st_uid != os.geteuid():
        raise StateRefusedError(f"the state folder {str(state)!r} belongs to another user")
    state.chmod(0o700)
    stamp.write(state, stamp.user_key(environ), replace=True)


def stamp_is_valid(state: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the folder bears this user's stamp; looks only."""
    key = stamp.existing_key(environ)
    return key is not None and stamp.is_valid(state, key)


def _refuse_strangers(state: Path, *, by_itself: bool) -> None:
    facts = state.lstat() if by_itself else state.stat()
    if stat.S_ISLNK(facts.st_mode):
        raise StateRefusedError(
            f"{str(state)!r} is a link: it may have come with the project and lead anywhere",
            help=f"name the folder itself with --state or {STATE_VARIABLE}",
        )
    if not stat.S_ISDIR(facts.st_mode):
        raise UsageError(f"the state folder {str(state)!r} is not a folder")
    if facts.st_uid != os.geteuid():
        raise StateRefusedError(f"the state folder {str(state)!r} belongs to another user", help="use your own --state")
    if facts.st_mode & 0o077:
        # Readable by others is put right; writable by others means they may have written.
        if facts.st_mode & 0o022 and not _is_new(state):
            raise StateRefusedError(
                f"other users may write into the state folder {str(state)!r}",
                help="run `whisper-flow doctor --adopt` if what is in it is yours",
            )
        state.chmod(0o700)


def _is_new(state: Path) -> bool:
    names = [entry.name for entry in state.iterdir()]
    return all(name in _MADE_BY_US or name.startswith(f".{stamp.NAME}-") for name in names)
