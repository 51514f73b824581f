"""`tool:` calls one tool, without a model, and takes what it returns as the value.

Fields: `{name, args}`, and from the engine `mcp`, `workers`, `budgets` and `tool_settings`. Whoever wrote the workflow means the
call: it needs no permission. What it may do is still bounded by the tool's own configuration.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.host.json_schema import UnusableSchemaError, misfits
from orchestrator.host.redact import Redactor
from orchestrator.kinds._kind import WaitingKind
from orchestrator.kinds._tools import asking, tool_context
from orchestrator.ports.task_kind import Asking, Attempt, Parked, Succeeded
from orchestrator.ports.tool import ChildParked, PersonNeeded, Tool, ToolContext

JSON = Any

CALL_ID: Final = "tool"
"""An attempt makes one call; `Attempt.key` tells it from all others."""


class ToolKind(WaitingKind):
    verb = "tool"

    async def perform(self, attempt: Attempt) -> Succeeded | Asking | Parked:
        name: str = attempt.fields["name"]
        context = tool_context(attempt)
        tool = await _opened(context, name)
        arguments: dict[str, JSON] = attempt.fields.get("args") or {}
        _check(tool, arguments)
        attempt.publish(
            "tool", {"name": name, "arguments": Redactor(attempt.secrets).value(arguments), "call_id": CALL_ID}
        )
        try:
            value = await tool.call(arguments, CALL_ID)
        except PersonNeeded as needed:
            return replace(asking(needed.question, attempt.now), cost=_cost(context))
        except ChildParked as parked:
            return Parked(reason=parked.reason, cost=_cost(context))
        except TaskError as error:
            error.meta = {"cost": _cost(context), **error.meta}
            raise
        return Succeeded(
            value=Redactor(attempt.secrets).value(value),
            meta={"tool": name, "effect": tool.effect},
            cost=_cost(context),
        )


def _cost(context: ToolContext) -> float | None:
    return sum(context.costs) if context.costs else None


async def _opened(context: ToolContext, name: str) -> Tool:
    for tool in await context.services.tools.open(context, [name]):
        if tool.name == name:
            return tool
    raise TaskError("tool", f"there is no tool {name!r}")


def _check(tool: Tool, arguments: dict[str, JSON]) -> None:
    from orchestrator.core.expressions import can_check, check_value

    schema = tool.spec.parameters
    try:
        problems = (
            [str(problem) for problem in check_value(schema, arguments)]
            if can_check(schema)
            else [f"{error.json_path}: {error.message}" for error in misfits(schema, arguments)]
        )
    except UnusableSchemaError as error:
        raise TaskError("tool", f"the JSON Schema of `{tool.name}` cannot be used: {error}") from error
    if problems:
        raise TaskError("invalid_input", f"`args` do not fit `{tool.name}`: {'; '.join(problems[:5])}")


KIND = ToolKind()
