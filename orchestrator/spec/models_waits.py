"""Matchers: what may wake a workflow, a waiting task or an agent. The one key that says what is waited for picks the model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, create_model

from orchestrator.spec.models_policy import Priority
from orchestrator.spec.models_values import (
    BY_KIND,
    LIST,
    MAP,
    TEXT,
    Duration,
    DurationTemplate,
    Expression,
    Name,
    Positive,
    Strict,
    Texts,
    True_,
    by_key,
    kind_of,
    optional,
)

RunEnd = Literal["succeeded", "warned", "failed", "cancelled"]


def _text_or_number(value: Any) -> str:
    """A bare number is sent to the duration's check, which names the unit it probably meant."""
    kind = kind_of(value)
    return "<text>" if kind == "<number>" else kind


DURATION_OR: Discriminator = Discriminator(_text_or_number)


class Debounce(Strict):
    """Wait until nothing more comes, then take all that came as a list."""

    for_: Duration = Field(alias="for", description="Quiet time that ends the wait.")
    max: Positive = optional(description="Do not wait for more than this many.")


class LoadBelow(Strict):
    """The machine is calm."""

    below: Annotated[float, Field(gt=0)] = Field(description="System load per core.")
    for_: Duration = optional(alias="for", description="For at least this long.")


class MatcherBase(Strict):
    """Fields that every matcher may have."""

    when: Expression = optional(description="A match counts only if this is true.")
    debounce: Annotated[Annotated[Duration, TEXT] | Annotated[Debounce, MAP], DURATION_OR] = optional(
        description="Gather what comes within this time into one match."
    )
    key: Expression = optional(description="Two matches with the same key count once.")


class ForMatcher(MatcherBase):
    """After a time."""

    for_: DurationTemplate = Field(alias="for", description="How long.")


class AtMatcher(MatcherBase):
    """At a date and time."""

    at: str = Field(description="`2030-01-31T09:00`, or an expression that gives a date and time.")


class CronMatcher(MatcherBase):
    """At the next tick of a cron expression."""

    cron: str = Field(description="Five fields, or six with seconds first.")
    timezone: str = optional(description="IANA time zone. Default: the workflow's.")


class EventMatcher(MatcherBase):
    """An event of this name; `event` is what came."""

    event: str = Field(description="Name of the event, `*` and `?` allowed.")


class MailMatcher(MatcherBase):
    """Mail to an address; `mail` is what came."""

    mail: str = Field(description="A declared mailbox or agent.")
    min_priority: Priority = Field("low", description="Less urgent mail does not match.")
    from_: str = optional(alias="from", description="Only from this sender.")
    reply_to: str = optional(description="Only answers to this message.")


class FileMatcher(MatcherBase):
    """Files that appeared or changed; `file` is what came."""

    file: Texts = Field(description="Path or glob, from the project's root.")
    settled: Duration = Field("1s", description="How long a file must stay unchanged first.")


class LoadMatcher(MatcherBase):
    """When the machine is calm."""

    load: LoadBelow = Field(description="What calm means.")


class WorkflowMatcher(MatcherBase):
    """When a run of another workflow ends."""

    workflow: str = Field(description="Path of the workflow.")
    status: Annotated[Annotated[RunEnd, TEXT] | Annotated[list[RunEnd], LIST], BY_KIND] = optional(
        description="Only with this end. Default: any."
    )


class WebhookMatcher(MatcherBase):
    """When a request arrives at this path."""

    webhook: str = Field(description="Path below `/hooks/`.")
    secret: Name = optional(description="Declared secret that signs the request.")


class ManualMatcher(MatcherBase):
    """When a person says so."""

    manual: True_ = Field(description="Always `true`.")


MATCHERS: dict[str, type[MatcherBase]] = {
    "for": ForMatcher,
    "at": AtMatcher,
    "cron": CronMatcher,
    "event": EventMatcher,
    "mail": MailMatcher,
    "file": FileMatcher,
    "load": LoadMatcher,
    "workflow": WorkflowMatcher,
    "webhook": WebhookMatcher,
    "manual": ManualMatcher,
}
"""The one key that says what a matcher waits for → the rest of its fields."""


def _trigger(model: type[MatcherBase]) -> type[MatcherBase]:
    made: type[MatcherBase] = create_model(
        model.__name__.replace("Matcher", "Trigger"),
        __base__=model,
        __doc__=model.__doc__,
        inputs=(dict[Name, Any], optional(description="Inputs of the run.")),
        enabled=(bool, Field(True, description="Whether the trigger is on.")),
    )
    return made


TRIGGERS: dict[str, type[MatcherBase]] = {key: _trigger(model) for key, model in MATCHERS.items()}
"""Matchers that start a run."""

Matcher: Any = by_key(MATCHERS)
Trigger: Any = by_key(TRIGGERS)
WaitFor: Any = Annotated[
    Annotated[DurationTemplate, TEXT] | Annotated[Matcher, MAP] | Annotated[list[Matcher], LIST],
    DURATION_OR,
]
