"""The wheel, built once and installed once into a clean environment, for all tests of this folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(command: list[str | Path], *, cwd: Path, env: dict[str, str], timeout: float = 600) -> str:
    """Standard output; the assertion shows everything if the command fails."""
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
    )
    shown = " ".join(map(str, command))
    assert done.returncode == 0, f"{shown}\nended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def clone_into(folder: Path, env: dict[str, str]) -> Path:
    """The files of this checkout that are or would be tracked, as a repository of their own with one commit."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, env=env)
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        if source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    identity = {**env, "GIT_AUTHOR_NAME": "Test", "GIT_COMMITTER_NAME": "Test"}
    identity |= {"GIT_AUTHOR_EMAIL": "test@example.invalid", "GIT_COMMITTER_EMAIL": "test@example.invalid"}
    run(["git", "init", "-q", "-b", "main"], cwd=folder, env=identity)
    run(["git", "add", "-A"], cwd=folder, env=identity)
    run(["git", "commit", "-q", "-m", "A copy of the repository"], cwd=folder, env=identity)
    return folder


@pytest.fixture(scope="session")
def our_copy(tmp_path_factory: pytest.TempPathFactory, session_tool_env: dict[str, str]) -> Path:
    """A repository of its own with this checkout's files, as somebody else would clone it."""
    return clone_into(tmp_path_factory.mktemp("source"), session_tool_env)


@pytest.fixture(scope="session")
def wheel(our_copy: Path, tmp_path_factory: pytest.TempPathFactory, session_tool_env: dict[str, str]) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", out, our_copy], cwd=out, env=session_tool_env)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory, session_tool_env: dict[str, str]) -> Path:
    """The `bin` folder of a clean environment that has the wheel, its dependencies and nothing else."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    run([sys.executable, "-m", "venv", home], cwd=home.parent, env=session_tool_env)
    run([home / "bin" / "pip", "install", "-q", wheel], cwd=home.parent, env=session_tool_env)
    return home / "bin"
