"""`--detach`: the same command in a session of its own, its lines in the run's folder; we stay until the run is durable."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from orchestrator.cli.project import typed_path
from orchestrator.cli.session import Session

LOG_NAME: Final = "driver.log"


def new_run_id() -> str:
    """An id like the engine's own: chosen here, because the log's folder is named by it before the run begins."""
    return secrets.token_hex(6)


def start_detached(session: Session, words: list[str], run_id: str, options: dict[str, Any], stdin: bytes = b"") -> int:
    """Start `whisper-flow WORDS` in the background and print the run's id once its start is recorded.

    If it does not come so far, what it said is shown here and its exit code is ours.
    """
    project = session.project()
    engine = session.engine(project)  # makes the state folder, or refuses one that is not ours
    engine.journal.close()
    log = session.run_dir(project, run_id) / LOG_NAME
    for folder in (log.parent.parent, log.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    ready, write = os.pipe()
    with os.fdopen(ready, "rb") as signs:
        said_before = log.stat().st_size if log.exists() else 0
        argv = [*_ourselves(), *words, *_options(session, project, options), "--ready-fd", str(write)]
        child = _spawn(argv, log, write, stdin)
        started = signs.read(1) != b""
    if started:
        session.out.line(run_id)
        session.err.line(
            f"pid {child.pid}; its log is {typed_path(log)}; follow it with `{session.command('watch', run_id[:6])}`"
        )
        return 0
    code = child.wait()
    session.err.write(log.read_bytes()[said_before:].decode("utf-8", "replace"))
    return code


def _ourselves() -> list[str]:
    # -P: a folder `orchestrator` in the project must not be taken for us.
    return [sys.executable, "-P", "-m", "orchestrator.cli"]


def _spawn(argv: list[str], log: Path, write: int, stdin: bytes) -> subprocess.Popen[bytes]:
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        # Our own program with arguments as a list: no shell reads them.
        child = subprocess.Popen(  # noqa: S603
            argv, stdin=subprocess.PIPE, stdout=fd, stderr=fd, pass_fds=(write,), start_new_session=True
        )
    finally:
        os.close(fd)
        os.close(write)
    assert child.stdin is not None
    child.stdin.write(stdin)
    child.stdin.close()
    return child


def _options(session: Session, project: Path, options: dict[str, Any]) -> Iterator[str]:
    yield from (
        "-C",
        str(project),
        "--state",
        str(session.state(project)),
        "--progress",
        "plain",
        "--no-ask",
        "--color",
        "never",
    )
    for name in ("grace", "synchronous"):
        if options.get(name) is not None:
            yield from (f"--{name}", str(options[name]))
    for delegate in options.get("delegates") or ():
        yield from ("--delegate", str(delegate))
    if options.get("verbose"):
        yield "--verbose"
