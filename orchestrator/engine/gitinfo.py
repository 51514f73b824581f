"""Which commit a run was started from: read off the files at once, the dirty flag by git itself, off the critical path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from orchestrator.host.environment import base_environment
from orchestrator.ports.services import Processes

JSON = Any


def head_commit(root: Path) -> dict[str, JSON] | None:
    """{commit, branch, dirty: None} of the repository around `root`; None outside one or before its first commit."""
    for folder in (root, *root.parents):
        if (folder / ".git").exists():
            return _read(folder / ".git")
    return None


def _read(git: Path) -> dict[str, JSON] | None:
    try:
        if git.is_file():  # a worktree: the file names the real folder
            git = (git.parent / git.read_text().partition("gitdir:")[2].strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return {"commit": head, "branch": None, "dirty": None}
        ref = head.partition(":")[2].strip()
        commit = _resolve(git, ref)
    except OSError:
        return None
    return None if commit is None else {"commit": commit, "branch": ref.removeprefix("refs/heads/"), "dirty": None}


def _resolve(git: Path, ref: str) -> str | None:
    common = git / "commondir"
    folders = [git, (git / common.read_text().strip()).resolve()] if common.is_file() else [git]
    for folder in folders:
        if (folder / ref).is_file():
            return (folder / ref).read_text().strip()
        packed = folder / "packed-refs"
        if packed.is_file():
            for line in packed.read_text().splitlines():
                if line.endswith(" " + ref):
                    return line.split(" ")[0]
    return None


async def git_status(root: Path, processes: Processes) -> dict[str, JSON] | None:
    """{dirty} as git sees it; None if git cannot say within ten seconds."""
    env = {**base_environment(os.environ), "GIT_OPTIONAL_LOCKS": "0"}
    try:
        result = await processes.run(
            ["git", "status", "--porcelain", "--untracked-files=no"], env=env, cwd=root, timeout=10.0, keep=4096
        )
    except (OSError, TimeoutError):
        return None
    return {"dirty": bool(result.stdout.strip())} if result.exit_code == 0 else None
