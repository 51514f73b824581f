"""`ask:` asks a person. Plan fields: `{question, schema, to: [name], show, expires, on_expired}`.

`schema` is the JSON Schema of the answer, an object; defaults in it may be templates. `expires` is seconds, a
template that gives a duration, or None.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from orchestrator.spec.models_tasks import TaskBase
from orchestrator.spec.models_values import BY_KIND, MAP, TEXT, DurationTemplate, Name, TypeSpec, optional
from orchestrator.spec.verbs._verb import Lowering, Task, Verb, on_expired, seconds

OnExpired = Annotated[Annotated[Literal["fail", "skip"], TEXT] | Annotated[dict[str, Any], MAP], BY_KIND]


class AskTask(TaskBase):
    """Ask a person and wait for the answer."""

    ask: Annotated[str, Field(min_length=1)] = Field(description="The question.")
    form: Annotated[dict[Name, TypeSpec], Field(min_length=1)] = optional(
        description="What the answer consists of. Default: `{approve: boolean}`."
    )
    to: list[str] = optional(description="Who may answer. Default: anybody who can.")
    show: Any = optional(description="What the person should see beside the question.")
    expires: DurationTemplate = optional(description="How long the question stands.")
    remind: DurationTemplate = optional(description="Remind after this time, again and again.")
    on_expired: OnExpired = Field("fail", description="Without an answer: fail, skip, or take this answer.")


def fields(task: Task, lowering: Lowering) -> dict[str, Any]:
    if task.get("remind") is not None:
        lowering.later("`remind`", "remind")
    form = task.get("form") or {"approve": "boolean"}
    schemas = {name: lowering.schema(spec, "form", name) for name, spec in form.items()}
    required = [
        name for name, schema in schemas.items() if "default" not in schema and not schema.pop("optional", False)
    ]
    return {
        "question": task["ask"],
        "schema": {"type": "object", "properties": schemas, "required": required, "additionalProperties": False},
        "to": task.get("to") or [],
        "show": task.get("show"),
        "expires": None if task.get("expires") is None else seconds(task["expires"]),
        "on_expired": on_expired(task.get("on_expired")),
    }


VERB = Verb(
    name="ask",
    model=AskTask,
    fields=fields,
    value="the answer; `tasks.x.answered_by` has who gave it",
    effect="pure",
    slot=False,
)
