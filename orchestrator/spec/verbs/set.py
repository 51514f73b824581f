"""`set:` gives a name to a value. Plan fields: `{value}`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from orchestrator.spec.models_tasks import TaskBase
from orchestrator.spec.verbs._verb import Lowering, Task, Verb


class SetTask(TaskBase):
    """Give a name to a value, usually one made of others."""

    set: Any = Field(description="Any value; expressions inside it are evaluated.")


def fields(task: Task, lowering: Lowering) -> dict[str, Any]:
    return {"value": task["set"]}


VERB = Verb(name="set", model=SetTask, fields=fields, value="the value itself", effect="pure", slot=False)
