"""`run:` starts a command under the reaper and takes its standard output as the value.

Fields: `{script, values: {NAME: value}, shell, args, stdin}` for a shell, `{argv, stdin}` for a list of words. Values reach a
script by environment only, so that nothing a value holds is ever read as shell text.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.host.redact import Redactor
from orchestrator.kinds._kind import WaitingKind
from orchestrator.kinds._output import json_value, read_output_file, text_value
from orchestrator.kinds._processes import (
    exit_error,
    live_log,
    meta_of,
    process_timeout,
    refuse_nul,
    start_error,
    task_environment,
    timeout_error,
)
from orchestrator.kinds._words import word_of
from orchestrator.ports.services import ProcessResult
from orchestrator.ports.task_kind import Attempt, Succeeded

JSON = Any
VALUE_LIMIT: Final = 64 * 1024
SCRIPT_LIMIT: Final = 100 * 1024
"""Longer scripts go through a file: one argument may hold 128 KiB on Linux."""
_ARGUMENTS_ZERO = "whisper-flow"
"""What the script sees as its own name."""


class RunKind(WaitingKind):
    verb = "run"

    async def perform(self, attempt: Attempt) -> Succeeded:
        env = task_environment(attempt)
        output_file = _fresh_output_file(attempt)
        env["WHISPER_OUTPUT"] = str(output_file)
        env |= _passed_values(attempt.fields.get("values") or {})
        argv = _command_line(attempt, env)
        refuse_nul({**{f"${name}": text for name, text in env.items()}, **{f"word {i}": w for i, w in enumerate(argv)}})
        result = await _run(attempt, argv, env)
        if result.exit_code != 0:
            raise exit_error(result)
        value, meta = _value(attempt, result, output_file), meta_of(result)
        if result.stdout_truncated and isinstance(value, str) and not output_file.exists():
            # Good for people to look at; whoever refers to it must not take it for the whole.
            meta["value_shortened"] = True
        return Succeeded(value=value, meta=meta)


async def _run(attempt: Attempt, argv: list[str], env: dict[str, str]) -> ProcessResult:
    try:
        return await attempt.services.processes.run(
            argv,
            env=env,
            cwd=attempt.cwd,
            stdin=_stdin(attempt.fields.get("stdin")),
            timeout=process_timeout(attempt),
            log_dir=attempt.log_dir,
            on_output=live_log(attempt),
            secrets=attempt.secrets,
        )
    except TimeoutError as error:
        raise timeout_error(attempt, error) from None
    except OSError as error:
        raise start_error(attempt, error, argv[0]) from None


def _fresh_output_file(attempt: Attempt) -> Path:
    attempt.log_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = attempt.log_dir / "output.json"
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return path


def _passed_values(values: dict[str, JSON]) -> dict[str, str]:
    passed = {name: word_of(value) for name, value in values.items()}
    for name, text in passed.items():
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > VALUE_LIMIT:
            raise TaskError(
                "invalid_input",
                f"a value of {size // 1024} KiB (${name}) is too large for a command line, which takes 64 KiB",
                help="hand it over with `stdin: ${{ … }}` and read it from standard input",
            )
    return passed


def _stdin(value: JSON) -> bytes:
    return b"" if value is None else word_of(value).encode("utf-8", "surrogatepass")


def _command_line(attempt: Attempt, env: dict[str, str]) -> list[str]:
    argv = attempt.fields.get("argv")
    if argv is not None:
        words = _words(argv)
        if not words:
            raise TaskError("invalid_input", "the list of words for `run` came out empty: there is no command in it")
        return words
    return [*_interpreter(attempt, env), *_words(attempt.fields.get("args") or [])]


def _words(items: list[JSON]) -> list[str]:
    """One word an item; a list among them splices."""
    return [word_of(word) for item in items for word in (item if isinstance(item, list) else [item])]


def _interpreter(attempt: Attempt, env: dict[str, str]) -> list[str]:
    script: str = attempt.fields["script"]
    shell = attempt.fields.get("shell") or "bash"
    path = env["PATH"]
    as_file = len(script.encode("utf-8", "surrogatepass")) > SCRIPT_LIMIT
    if as_file:
        file = attempt.log_dir / "script"
        file.write_text(script, encoding="utf-8", errors="surrogatepass")
        script = str(file)
    if shell == "python":
        program = shutil.which("python3", path=path) or shutil.which("python", path=path) or sys.executable
        # Unbuffered, so that the log shows lines as they are printed.
        return [program, "-u", script] if as_file else [program, "-u", "-c", script]
    bash = shutil.which("bash", path=path) if shell == "bash" else None
    start = [bash, "--noprofile", "--norc", "-eo", "pipefail"] if bash else ["sh", "-e"]
    return [*start, script] if as_file else [*start, "-c", script, _ARGUMENTS_ZERO]


def _value(attempt: Attempt, result: ProcessResult, output_file: Path) -> JSON:
    written = read_output_file(output_file)
    if written is not None:
        return Redactor(attempt.secrets).value(json_value(written, "$WHISPER_OUTPUT", None))
    text = text_value(result.stdout)
    if attempt.output_schema is None:
        return text
    if result.stdout_truncated:
        raise TaskError(
            "invalid_output",
            "more was printed than is kept, so it cannot be read as one JSON value",
            help="write large values to the file named in $WHISPER_OUTPUT",
            meta=meta_of(result),
        )
    try:
        return json_value(text, "standard output", attempt.output_schema)
    except TaskError as error:
        error.meta = meta_of(result)
        raise


KIND = RunKind()
