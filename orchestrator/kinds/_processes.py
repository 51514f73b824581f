"""What `run` and `python` share: the environment of a task's process, its live log, and what is known of its end."""

from __future__ import annotations

import codecs
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.host.terminal_text import clean_terminal
from orchestrator.ports.services import ProcessResult
from orchestrator.ports.task_kind import Attempt

JSON = Any
META_LIMIT: Final = 64 * 1024
"""Bytes of each stream that `tasks.x.stdout` and `tasks.x.stderr` hold; the logs have the rest."""


def task_environment(attempt: Attempt) -> dict[str, str]:
    """The attempt's environment and what a process is told about itself. Makes the run's folder."""
    attempt.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {
        "PATH": os.defpath,
        **attempt.env,
        "WHISPER_RUN_ID": attempt.run_id,
        "WHISPER_TASK": attempt.task,
        "WHISPER_ATTEMPT": str(attempt.number),
        "WHISPER_IDEMPOTENCY_KEY": attempt.key,
        "WHISPER_RUN_DIR": str(attempt.run_dir),
    }


def seconds_left(attempt: Attempt) -> float | None:
    """What the attempt's timeout still allows; None for no limit."""
    return None if attempt.deadline is None else max(0.0, attempt.deadline - attempt.now)


def process_timeout(attempt: Attempt) -> float | None:
    """A moment less than that: the performer's own timer cancels us, and then what the process said last would be lost."""
    left = seconds_left(attempt)
    return None if left is None else left - min(left * 0.05, 0.05)


def live_log(attempt: Attempt) -> Callable[[str, bytes], None]:
    """Publishes output as it comes: `log` with `{stream, text}`, characters never split."""
    decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}

    def show(stream: str, data: bytes) -> None:
        text = decoders[stream].decode(data)
        if text:
            attempt.publish("log", {"stream": stream, "text": clean_terminal(text)})

    return show


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def meta_of(result: ProcessResult) -> dict[str, JSON]:
    """What `tasks.x.…` knows of a process that ended."""
    meta: dict[str, JSON] = {
        "stdout": text_of(_shortened(result.stdout)),
        "stderr": text_of(_shortened(result.stderr)),
        "exit_code": result.exit_code,
    }
    for name, cut in (("stdout", result.stdout_truncated), ("stderr", result.stderr_truncated)):
        if cut or len(getattr(result, name)) > META_LIMIT:
            meta[f"{name}_truncated"] = True
    return meta


def _shortened(data: bytes) -> bytes:
    if len(data) <= META_LIMIT:
        return data
    half = META_LIMIT // 2
    return b"%b\n[%d bytes left out]\n%b" % (data[:half], len(data) - 2 * half, data[-half:])


def exit_error(result: ProcessResult) -> TaskError:
    """The failure of a process that ended with another code than 0, with the last line it complained in."""
    message = f"exit code {result.exit_code}"
    if result.exit_code > 128:
        with suppress(ValueError):  # a code of the program's own choice
            message = f"ended by {signal.Signals(result.exit_code - 128).name} (exit code {result.exit_code})"
    last = last_line(result.stderr)
    return TaskError("exit", f"{message}: {last}" if last else message, meta=meta_of(result))


def timeout_error(attempt: Attempt, error: TimeoutError) -> TaskError:
    result = getattr(error, "result", None)
    left = seconds_left(attempt)
    message = "ended by its timeout" if left is None else f"still running after {left:g} s, ended by its timeout"
    return TaskError("timeout", message, meta=meta_of(result) if isinstance(result, ProcessResult) else {})


def start_error(attempt: Attempt, error: OSError, program: str) -> TaskError:
    """A command that could not be started at all; the codes are the shell's."""
    if error.filename == os.fspath(attempt.cwd):
        return TaskError("invalid_input", f"cannot work in {_shown(attempt.cwd, attempt)}: {error.strerror}")
    if isinstance(error, FileNotFoundError):
        return TaskError(
            "exit", f"command not found: {program}", help="is it installed, and on PATH?", meta={"exit_code": 127}
        )
    if isinstance(error, PermissionError):
        return TaskError("exit", f"{program} is not executable", help=f"chmod +x {program}", meta={"exit_code": 126})
    return TaskError("exit", f"{program} cannot be started: {error.strerror or error}", meta={"exit_code": 126})


def _shown(path: Path, attempt: Attempt) -> str:
    try:
        return str(path.relative_to(attempt.project))
    except ValueError:
        return str(path)


def last_line(data: bytes) -> str:
    for line in reversed(data[-4096:].splitlines()):
        text = clean_terminal(text_of(line)).strip()
        if text:
            return text if len(text) <= 300 else text[:299] + "…"
    return ""


def refuse_nul(words: Mapping[str, str]) -> None:
    """The system ends texts at a zero character; passing one on would cut the value silently."""
    for name, text in words.items():
        if "\0" in text:
            raise TaskError("invalid_input", f"{name} holds a zero character, which no process can be given")
