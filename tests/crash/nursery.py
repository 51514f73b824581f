"""A process that has imported everything already and forks the lives of a run: each is a process of its own, and can be killed.

A life that must import a provider first takes a second; forked it takes none, so that thousands can be lived and ended. One
line of JSON comes in for each life (`argv`, `cwd`, `env`, `out`), two go out: `{"pid"}` when it began, `{"status"}` when it
ended: an exit code, or the negative number of the signal.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

WARM = (
    "orchestrator.bootstrap",
    "orchestrator.cli.commands.answer",
    "orchestrator.cli.commands.resume",
    "orchestrator.cli.commands.run",
    "orchestrator.cli.dispatch",
    "orchestrator.cli.running",
    "orchestrator.providers.custom",
    "orchestrator.spec.compile",
    "orchestrator.spec.load",
    "orchestrator.spec.validate",
    "orchestrator.stores.sqlite",
    "mcp",
    "networkx",
    "pydantic_ai.direct",
    "pydantic_ai.models.openai",
    "pydantic_ai.providers.openai",
    "jsonschema",
    "yaml",
)


class Nursery:
    """The side of whoever lets lives begin."""

    def __init__(self) -> None:
        root = Path(__file__).resolve().parents[2]
        path = os.pathsep.join([str(root), str(root / "tests"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        self._read = b""
        self.pid: int | None = None
        """Of the life that goes on now."""

    def begin(self, argv: list[str], *, cwd: Path, env: dict[str, str], out: Path) -> None:
        assert self._process.stdin is not None
        life = {"argv": argv, "cwd": str(cwd), "env": env, "out": str(out)}
        self._process.stdin.write(json.dumps(life).encode() + b"\n")
        self._process.stdin.flush()
        said = self._line(30.0)
        assert said is not None, "the nursery does not answer"
        self.pid = said["pid"]

    def kill(self) -> None:
        """What goes on now is over at once."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def ended(self, within: float) -> int | None:
        """How it ended; None if it goes on still."""
        said = self._line(within)
        if said is None:
            return None
        self.pid = None
        return int(said["status"])

    def _line(self, within: float) -> dict[str, Any] | None:
        stream = self._process.stdout
        assert stream is not None
        while b"\n" not in self._read:
            ready, _, _ = select.select([stream], [], [], within)
            if not ready:
                return None
            piece = os.read(stream.fileno(), 65536)
            assert piece, f"the nursery is gone: {self._process.poll()}"
            self._read += piece
        line, _, self._read = self._read.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said

    def close(self) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait()


def _let_live(life: dict[str, Any]) -> None:
    """The forked side: becomes a `whisper-flow` with these words, and never returns."""
    code = 70
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        told = os.open(life["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for old, new in ((nothing, 0), (told, 1), (told, 2)):
            os.dup2(old, new)
        os.chdir(life["cwd"])
        os.environ.clear()
        os.environ.update(life["env"])
        Path("driver.pid").write_text(str(os.getpid()))
        sys.argv = ["whisper-flow", *life["argv"]]
        from crash import planted

        from orchestrator.cli.main import main

        planted.prepare()
        try:
            code = main(life["argv"])
        except SystemExit as ended:
            code = int(ended.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _serve() -> None:
    import importlib

    for name in WARM:
        importlib.import_module(name)
    for line in sys.stdin.buffer:
        pid = os.fork()
        if pid == 0:
            _let_live(json.loads(line))
        _say({"pid": pid})
        _, status = os.waitpid(pid, 0)
        _say({"status": os.waitstatus_to_exitcode(status)})


def _say(what: dict[str, int]) -> None:
    sys.stdout.buffer.write(json.dumps(what).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    _serve()
