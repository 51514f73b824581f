"""`tool:` calls one tool. Plan fields: `{name, args}`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from orchestrator.spec.models_tasks import CachedTask
from orchestrator.spec.models_values import optional
from orchestrator.spec.verbs._verb import Lowering, Task, Verb


class ToolTask(CachedTask):
    """Call one tool, without a model."""

    tool: Annotated[str, Field(min_length=1)] = Field(
        description="Name of the tool: built in, or `server.tool` of an MCP server."
    )
    args: dict[str, Any] = optional(description="Its arguments.")


def fields(task: Task, lowering: Lowering) -> dict[str, Any]:
    lowering.later("`tool` tasks", "tool")
    return {"name": task["tool"], "args": task.get("args") or {}}


VERB = Verb(
    name="tool",
    model=ToolTask,
    fields=fields,
    value="what the tool returns",
    effect="at_least_once",
    verbatim=frozenset({"tool"}),
)
