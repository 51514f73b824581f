"""`tool:` calls one tool. Plan fields: `{name, args}`; the plan of a workflow that is called so is in the caller's `children`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from orchestrator.core.plan import Effect
from orchestrator.spec.models_tasks import CachedTask
from orchestrator.spec.models_values import optional
from orchestrator.spec.verbs._verb import Lowering, Task, Verb


class ToolTask(CachedTask):
    """Call one tool, without a model."""

    tool: Annotated[str, Field(min_length=1)] = Field(
        description="Name of the tool: built in, `server.tool` of an MCP server, `module:function`, or a workflow's path."
    )
    args: dict[str, Any] = optional(description="Its arguments.")


def fields(task: Task, lowering: Lowering) -> dict[str, Any]:
    from orchestrator.spec.tool_names import is_workflow

    name = task["tool"]
    return {"name": lowering.child(name) if is_workflow(name) else name, "args": task.get("args") or {}}


def effect(task: Task) -> Effect:
    """what the tool declares; `at_least_once` for functions, workflows and the tools of servers"""
    from orchestrator.spec.tool_names import effect_of

    return effect_of(task["tool"])


VERB = Verb(
    name="tool",
    model=ToolTask,
    fields=fields,
    value="what the tool returns",
    effect=effect,
    verbatim=frozenset({"tool"}),
)
