"""`end:` ends the run. Plan fields: `{status, message}`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from orchestrator.spec.models_tasks import TaskBase
from orchestrator.spec.models_values import optional
from orchestrator.spec.verbs._verb import Lowering, Task, Verb


class EndTask(TaskBase):
    """End the run at once; what still runs is cancelled."""

    end: Literal["succeeded", "failed", "cancelled"] = Field(description="How the run ends.")
    message: str = optional(description="Why, for people.")


def fields(task: Task, lowering: Lowering) -> dict[str, Any]:
    return {"status": task["end"], "message": task.get("message")}


VERB = Verb(
    name="end",
    model=EndTask,
    fields=fields,
    value="nothing: the run ends",
    effect="pure",
    slot=False,
    verbatim=frozenset({"end"}),
)
