"""What the command line's tests share: the real command in a project of its own, and screens that keep what they are told."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from orchestrator.cli.terminal import Screen

COMMAND = [sys.executable, "-m", "orchestrator.cli"]
ROOT = Path(__file__).resolve().parents[2]


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Standard output as lines of JSON."""
        return [json.loads(row) for row in self.out.splitlines()]


class Project:
    """A folder with `workflows/`, and the command run in it without a terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "workflows").mkdir(exist_ok=True)

    def write(self, name: str, text: str) -> str:
        """A workflow file; its path as one would type it."""
        path = self.folder / "workflows" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return f"workflows/{name}.yaml"

    def environ(self, **more: str) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "TZ": "UTC", **more}

    def start(self, *args: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *args],
            cwd=self.folder,
            env=self.environ(**(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Whoever starts the tests in the background ignores Ctrl-C, and that would be inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            **options,
        )

    def call(self, *args: str, expect: int = 0, stdin: str = "", env: dict[str, str] | None = None) -> Ran:
        done = subprocess.run(
            [*COMMAND, *args],
            cwd=self.folder,
            env=self.environ(**(env or {})),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == expect, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


class Told(Screen):
    """A screen that keeps what it was told."""

    @property
    def text(self) -> str:
        assert isinstance(self.stream, io.StringIO)
        return self.stream.getvalue()


@pytest.fixture
def screen() -> Told:
    """Not a terminal, no colours."""
    return Told(io.StringIO(), terminal=False, color=False, unicode=True)


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
