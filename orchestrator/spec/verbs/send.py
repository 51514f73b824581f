"""`send:` sends mail or an event. Plan fields: those of `send:` itself."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from orchestrator.spec.models_policy import Priority
from orchestrator.spec.models_tasks import TaskBase
from orchestrator.spec.models_values import Strict, by_key, optional
from orchestrator.spec.verbs._verb import Lowering, Task, Verb


class SendMail(Strict):
    """A message to an agent or a mailbox."""

    mail: str = Field(description="Address: an agent or a declared mailbox.")
    subject: str = optional(description="What it is about.")
    body: Any = optional(description="What it says.")
    priority: Priority = Field("normal", description="How urgent it is.")
    reply_to: str = optional(description="Id of the message it answers.")


class SendEvent(Strict):
    """An event for whoever listens."""

    event: str = Field(description="Name of the event.")
    data: dict[str, Any] = optional(description="What it carries.")
    priority: Priority = Field("normal", description="How urgent it is.")


SendWhat: Any = by_key({"mail": SendMail, "event": SendEvent})


class SendTask(TaskBase):
    """Send mail or an event."""

    send: SendWhat = Field(description="`{mail, …}` or `{event, …}`.")


def fields(task: Task, lowering: Lowering) -> dict[str, Any]:
    lowering.later("`send` tasks", "send")
    return {"priority": "normal", **task["send"]}


VERB = Verb(
    name="send",
    model=SendTask,
    fields=fields,
    value="`{id, thread}`",
    effect="idempotent",
    verbatim=frozenset(),
)
