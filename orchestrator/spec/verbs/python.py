"""`python:` calls a function in a process of its own. Plan fields: `{call: "module:function", args: {name: value}}`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from orchestrator.spec.models_tasks import CachedTask
from orchestrator.spec.models_values import optional
from orchestrator.spec.verbs._verb import Lowering, Task, Verb


class PythonTask(CachedTask):
    """Call a Python function, in a process of its own."""

    python: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")] = Field(
        description="`module:function`; the module is found from the project's root."
    )
    args: dict[str, Any] = optional(description="Keyword arguments.")


def fields(task: Task, lowering: Lowering) -> dict[str, Any]:
    return {"call": task["python"], "args": task.get("args") or {}}


VERB = Verb(
    name="python",
    model=PythonTask,
    fields=fields,
    value="what the function returns, as JSON",
    effect="at_least_once",
    verbatim=frozenset({"python"}),
)
