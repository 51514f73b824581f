"""`workflow:` runs another workflow. Plan fields: `{path, inputs, detach}`; its plan is in the caller's `children`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from orchestrator.spec.models_tasks import CachedTask
from orchestrator.spec.models_values import optional
from orchestrator.spec.verbs._verb import Lowering, Task, Verb


class WorkflowTask(CachedTask):
    """Run another workflow and wait for its outputs."""

    workflow: Annotated[str, Field(min_length=1)] = Field(
        description="Path of the file: from the project's root, or beginning with `./` from this file's folder."
    )
    inputs: dict[str, Any] = optional(description="Its inputs.")
    detach: bool = Field(False, description="Start it and go on; the value is `{run_id}`.")


def fields(task: Task, lowering: Lowering) -> dict[str, Any]:
    detach = task.get("detach", False)
    if detach:
        lowering.later("`detach: true`", "detach")
    return {"path": lowering.child(task["workflow"]), "inputs": task.get("inputs") or {}, "detach": detach}


VERB = Verb(
    name="workflow",
    model=WorkflowTask,
    fields=fields,
    value="its `outputs`; `{run_id}` if detached",
    effect="at_least_once",
    verbatim=frozenset({"workflow", "detach"}),
)
