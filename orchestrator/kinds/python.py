"""`python:` calls a function of the project in a process of its own, forked from a warm Python that knows no user code.

Fields: `{call: "module:function", args: {name: value}}`.
"""

from __future__ import annotations

from typing import Any

from orchestrator.errors import ERROR_TYPES, TaskError
from orchestrator.host.redact import Redactor
from orchestrator.kinds._kind import WaitingKind
from orchestrator.kinds._output import json_value
from orchestrator.kinds._processes import (
    exit_error,
    live_log,
    meta_of,
    process_timeout,
    refuse_nul,
    start_error,
    task_environment,
    text_of,
    timeout_error,
)
from orchestrator.ports.services import ProcessResult
from orchestrator.ports.task_kind import Attempt, Succeeded


class PythonKind(WaitingKind):
    verb = "python"

    async def perform(self, attempt: Attempt) -> Succeeded:
        env = task_environment(attempt)
        refuse_nul({f"${name}": text for name, text in env.items()})
        result = await _call(attempt, env)
        if result.reply is None:
            raise _no_answer(result)
        answer = json_value(text_of(result.reply), f"what {attempt.fields['call']} returned", None)
        if "error" in answer:
            raise _failure(attempt, answer, result)
        return Succeeded(value=Redactor(attempt.secrets).value(answer["value"]), meta=meta_of(result))


async def _call(attempt: Attempt, env: dict[str, str]) -> ProcessResult:
    import json

    target: str = attempt.fields["call"]
    try:
        return await attempt.services.processes.call_python(
            target,
            json.dumps(attempt.fields.get("args") or {}).encode(),
            path=attempt.project,
            env=env,
            cwd=attempt.cwd,
            timeout=process_timeout(attempt),
            log_dir=attempt.log_dir,
            on_output=live_log(attempt),
            secrets=attempt.secrets,
        )
    except TimeoutError as error:
        raise timeout_error(attempt, error) from None
    except OSError as error:
        raise start_error(attempt, error, target) from None


def _no_answer(result: ProcessResult) -> TaskError:
    if result.exit_code:
        return exit_error(result)
    return TaskError("exit", "the process ended before the function returned", meta=meta_of(result))


def _failure(attempt: Attempt, answer: dict[str, Any], result: ProcessResult) -> TaskError:
    assert answer["error"] in ERROR_TYPES
    meta = meta_of(result)
    if "exception" in answer:
        meta["exception"] = answer["exception"]
    return TaskError(answer["error"], Redactor(attempt.secrets).text(answer["message"]), meta=meta)


KIND = PythonKind()
