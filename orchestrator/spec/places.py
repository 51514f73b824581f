"""Where a project is and how its files are called. Imports nothing heavy: a cached start comes through here."""

from __future__ import annotations

import os
from pathlib import Path


def find_project(start: str | os.PathLike[str]) -> Path:
    """The folder that holds `config/whisper-flow.yaml` or `workflows/`, looked for upwards from a file or folder to the git root.

    Without one: the git root if there is one, else the folder where the search began.
    """
    path = Path(start).resolve()
    first = path if path.is_dir() else path.parent
    folder = first
    while True:
        if (folder / "config" / "whisper-flow.yaml").is_file() or (folder / "workflows").is_dir():
            return folder
        if (folder / ".git").exists():
            return folder
        if folder.parent == folder:
            return first
        folder = folder.parent


def identity_of(file: Path, project: Path) -> str:
    """The workflow's identity: its path below the project, POSIX style. A file elsewhere is known by its absolute path."""
    path = file.resolve()
    try:
        return path.relative_to(project.resolve()).as_posix()
    except ValueError:
        return path.as_posix()
