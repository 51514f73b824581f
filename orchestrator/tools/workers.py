"""`workers.*`: what an agent may do with workers. Looking and asking are free; changing takes being named under `allow`.

No agent sets keys, limits, prices or addresses: the operations take no such argument.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from orchestrator.errors import ErrorType, TaskError, WhisperFlowError
from orchestrator.ports.tool import Tool, ToolContext
from orchestrator.ports.workers import OPERATIONS, Asker, WorkerOperations
from orchestrator.tools._declared import Declaration, DeclaredSource, Run

JSON = Any
PREFIX: Final = "workers"
_TYPES: Final[dict[str, ErrorType]] = {
    "rate_limited": "rate_limited", "configuration": "auth", "invalid_argument": "invalid_input", "internal": "internal",
}  # fmt: skip


class Workers(DeclaredSource):
    prefix = PREFIX
    declarations = tuple(
        Declaration(
            name=f"{PREFIX}.{name}",
            description=operation.description,
            parameters=operation.parameters,
            effect=operation.effect,
        )
        for name, operation in OPERATIONS.items()
    )

    async def open(self, context: ToolContext, wanted: Sequence[str]) -> list[Tool]:
        """As every source. Raises TaskError `denied` for a tool that is named and not allowed."""
        for name in wanted:
            operation = OPERATIONS.get(name.removeprefix(f"{PREFIX}."))
            if operation is not None and operation.changes and not _allowed(name, context):
                help = f"a person writes it: `permissions: {{allow: [{name}]}}`"
                raise TaskError("denied", f"`{name}` changes workers, and the agent is not allowed to", help=help)
        return await super().open(context, wanted)

    async def opened(self, context: ToolContext, chosen: Sequence[Declaration]) -> list[Tool]:
        operations = context.services.workers
        if operations is None:
            raise TaskError("tool", "there is no worker management here")
        return [
            one.tool(context, _run(operations, _operation(one), context), free=lambda given: True)
            for one in chosen
            if not OPERATIONS[_operation(one)].changes or _allowed(one.name, context)
        ]


def _operation(declaration: Declaration) -> str:
    return declaration.name.removeprefix(f"{PREFIX}.")


def _allowed(name: str, context: ToolContext) -> bool:
    """Whether the agent's `allow` speaks of this tool and not of everything; a `tool:` task is a person's own word."""
    if context.call is None:
        return True
    permissions = context.call.agent.get("permissions") or {}
    patterns = [str(one).split(":", 1)[0] for one in permissions.get("allow") or ()]
    return any(pattern.startswith(f"{PREFIX}.") and fnmatchcase(name, pattern) for pattern in patterns)


def _run(operations: WorkerOperations, operation: str, context: ToolContext) -> Run:
    async def run(arguments: dict[str, JSON], call_id: str) -> JSON:
        call = context.call
        asker = Asker(
            run_id=context.run_id,
            key=f"{call.key if call is not None else context.key}/{call_id}",
            budgets=call.budgets if call is not None else context.budgets,
            workers=call.workers if call is not None else context.workers,
            deadline=context.deadline,
            control=context.control,
            depth=call.depth if call is not None else 0,
            costs=context.costs,
        )
        try:
            return await operations.perform(operation, arguments, asker)
        except TaskError:
            raise
        except WhisperFlowError as error:
            if call is None:
                raise _of_task(error) from error
            said = f"{error.message} ({error.help})" if error.help else error.message
            raise TaskError("tool", said) from error

    return run


def _of_task(error: WhisperFlowError) -> TaskError:
    """What a `tool:` task fails with: a budget is a budget, whoever was asked."""
    type_ = getattr(error, "error_type", None) or _TYPES.get(getattr(error, "kind", ""), "tool")
    found = TaskError(type_, error.message, help=error.help)
    if isinstance(at := getattr(error, "retry_at", None), float):
        found.meta = {"retry_after": max(at - time.time(), 0.0)}
    return found


TOOLS = Workers()
