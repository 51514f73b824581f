"""`tasks:` is a group: the body of a `foreach` or `loop`, or just a unit. It becomes a scope of the Plan, without fields."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from orchestrator.spec.models_tasks import TaskBase
from orchestrator.spec.models_values import Name, optional
from orchestrator.spec.verbs._verb import Lowering, Task, Verb


class GroupTask(TaskBase):
    """Several tasks as one."""

    tasks: Annotated[dict[str, Any], Field(min_length=1)] = Field(description="The inner tasks: id → task.")
    outputs: dict[Name, Any] = optional(description="The group's value. Default: the inner values by id.")
    order: Literal["inferred", "listed"] = Field(
        "inferred", description="`listed` runs the inner tasks one after the other, as they are written."
    )


def fields(task: Task, lowering: Lowering) -> dict[str, Any]:
    return {}


VERB = Verb(
    name="tasks",
    model=GroupTask,
    fields=fields,
    value="`outputs`, else the inner values by id",
    effect="pure",
    slot=False,
    verbatim=frozenset({"order"}),
)
