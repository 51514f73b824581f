"""Where a project is, how its files are called, where plans are cached. Imports nothing heavy: a cached start comes through here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path


def find_project(start: str | os.PathLike[str]) -> Path:
    """The folder that holds `config/whisper-flow.yaml` or `workflows/`, looked for upwards from a file or folder to the git root.

    Without one: the git root if there is one, else the folder where the search began. Outside a git repository the search goes
    up only through folders of the owner of `start` and not above the home folder: a `workflows/` that somebody else put into a
    shared folder is nobody's project.
    """
    path = Path(start).resolve()
    here = path if path.is_dir() else path.parent
    git_root = next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), None)
    for folder in _upwards(here, git_root):
        if is_project(folder):
            return folder
    return git_root or here


def _upwards(here: Path, git_root: Path | None) -> Iterator[Path]:
    home = _home()
    for folder in (here, *here.parents):
        if git_root is None and folder != here and _owner(folder) != _owner(here):
            return
        yield folder
        if folder == git_root or (git_root is None and folder == home):
            return


def _owner(folder: Path) -> int | None:
    try:
        return folder.stat().st_uid
    except OSError:
        return None


def is_project(folder: Path) -> bool:
    """Whether something in the folder says that it is a project."""
    # `.github/workflows/` belongs to another program.
    return folder.name != ".github" and (
        (folder / "config" / "whisper-flow.yaml").is_file() or (folder / "workflows").is_dir()
    )


def _home() -> Path | None:
    try:
        return Path.home().resolve()
    except (OSError, RuntimeError):
        return None


def identity_of(file: Path, project: Path) -> str:
    """The workflow's identity: its path below the project, POSIX style. A file elsewhere is known by its absolute path."""
    path = file.resolve()
    try:
        return path.relative_to(project.resolve()).as_posix()
    except ValueError:
        return path.as_posix()


def shown(path: Path) -> str:
    """A path as people want to read it: below the working directory if it is there."""
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's cache folder for this program; it need not exist. Whoever makes it gives it 0700."""
    given = environ.get("XDG_CACHE_HOME", "")
    if given.startswith("/"):  # relative ones are invalid, says the XDG specification
        return Path(given) / "whisper-flow"
    home = Path(environ["HOME"]) if environ.get("HOME") else _home() or Path("/")
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "whisper-flow"
