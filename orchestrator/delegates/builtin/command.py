"""`--delegate command:'PROGRAM ARGS'`: runs a program for each event, which reads the event as JSON on its standard
input.

Options: `argv` (a list; no shell is involved), `env` (added), `timeout` (seconds, default 30), `events` (default:
`engine_stopped` and `task_execution_completed`; controls only if named).

A control is answered as `test` and `grep` answer: exit 0 is yes, 1 is no. A program that prints JSON answers with it instead:
`true`, `false`, or an object whose `answer` is one. Any other exit is a failure of the delegate.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, Final

from orchestrator.delegates.catalogue import ENGINE_STOPPED, TASK_COMPLETED, entry
from orchestrator.delegates.envelope import check_options, chosen_events, envelope
from orchestrator.errors import UsageError, WhisperFlowError
from orchestrator.host.environment import base_environment
from orchestrator.ports.delegate import DelegateContext, Delegates
from orchestrator.ports.services import ProcessResult

DEFAULT_TIMEOUT: Final = 30.0
OUTPUT_KEPT: Final = 64 * 1024


class CommandDelegate:
    def attach(self, manager: Delegates, options: Mapping[str, Any], context: DelegateContext) -> None:
        check_options("command", options, ("argv", "env", "timeout"))
        argv = options.get("argv")
        if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
            raise UsageError("delegate `command` needs a program", help="write --delegate 'command:./on-event.sh'")
        own = {str(k): str(v) for k, v in dict(options.get("env") or {}).items()}
        base = base_environment(context.environ)
        limit = float(options.get("timeout") or DEFAULT_TIMEOUT)

        async def command(sender: Any, event: str, /, **payload: Any) -> bool | None:
            result = await context.processes.run(
                argv,
                env={**base, **own, "WHISPER_FLOW_EVENT": event},
                cwd=context.project,
                stdin=envelope(event, payload) + b"\n",
                timeout=limit,
                keep=OUTPUT_KEPT,
            )
            if entry(event).kind == "control":
                return answer(argv[0], result)
            refuse_failure(argv[0], result)
            return None

        for name in (
            chosen_events(options, controls=True) if options.get("events") else (ENGINE_STOPPED, TASK_COMPLETED)
        ):
            manager.register(name, command)

    def options_from_text(self, text: str) -> dict[str, Any]:
        try:
            return {"argv": shlex.split(text)}
        except ValueError as error:
            raise UsageError(f"cannot read the command {text!r}: {error}") from error


def refuse_failure(program: str, result: ProcessResult) -> None:
    """Raises WhisperFlowError with the program's last line if it did not exit 0."""
    if result.exit_code != 0:
        raise WhisperFlowError(f"{program} ended with exit code {result.exit_code}{_last_line(result)}")


def answer(program: str, result: ProcessResult) -> bool:
    """What the program said to a control. Raises WhisperFlowError where it said nothing that can be understood."""
    printed = result.stdout.strip()
    if result.exit_code not in (0, 1):
        raise WhisperFlowError(f"{program} ended with exit code {result.exit_code}{_last_line(result)}")
    if not printed:
        return result.exit_code == 0
    try:
        said = json.loads(printed)
    except ValueError:
        said = None
    said = said.get("answer") if isinstance(said, dict) else said
    if not isinstance(said, bool):
        raise WhisperFlowError(f"{program} printed {printed[:80]!r}; a control answers with true, false or nothing")
    return said


def _last_line(result: ProcessResult) -> str:
    lines = result.stderr.decode("utf-8", "replace").strip().splitlines()
    return f": {lines[-1]}" if lines else ""


PLUGIN = CommandDelegate()
