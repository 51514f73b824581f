"""The command in processes that have imported all that models need: forked for each call from one that did it once.

Whoever starts the command anew pays for its start; that is proven elsewhere, and an example that is run live pays it several times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

IMPORTED = (
    "orchestrator.cli.dispatch", "orchestrator.cli.running", "orchestrator.cli.driving", "orchestrator.bootstrap",
    "orchestrator.spec.compile", "pydantic_ai.direct", "httpx2", "genai_prices", "orchestrator.providers._messages",
    "orchestrator.providers._errors", "orchestrator.providers._openai_wire",
)  # fmt: skip


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class WarmCommand:
    """Use as a context manager; one call at a time."""

    def __enter__(self) -> WarmCommand:
        self._parent = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._parent.communicate()

    def call(self, arguments: list[str], *, cwd: Path, env: Mapping[str, str], folder: Path) -> Done:
        """`folder` is where what is printed is kept."""
        files = {name: str(folder / name) for name in ("stdout", "stderr")}
        asked = {"arguments": arguments, "cwd": str(cwd), "env": dict(env), **files}
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(asked) + "\n")
        code = int(self._parent.stdout.readline())
        return Done(code, *(Path(file).read_text() for file in files.values()))


def serve() -> None:
    """Fork for each line that is read, and answer with the exit code."""
    import importlib

    for module in IMPORTED:
        importlib.import_module(module)
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()
        if child == 0:
            become_command(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def become_command(asked: Mapping[str, Any]) -> None:
    """Never returns."""
    code = 70
    try:
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["env"])
        for descriptor, path in ((0, os.devnull), (1, asked["stdout"]), (2, asked["stderr"])):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), descriptor)
        from orchestrator.cli.main import main

        code = main(asked["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve()
