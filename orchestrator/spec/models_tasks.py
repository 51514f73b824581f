"""What every task may say beside its verb. One file in `verbs/` adds what the verb itself may say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from orchestrator.spec.models_policy import Budget
from orchestrator.spec.models_values import (
    BY_KIND,
    LIST,
    MAP,
    NUMBER,
    TEXT,
    BareExpression,
    Duration,
    ErrorTypes,
    Expression,
    Ids,
    Name,
    Natural,
    Positive,
    ScalarText,
    Strict,
    TypeSpec,
    not_together,
    optional,
)

OnError = Literal["fail", "continue", "warn"]
Effect = Literal["pure", "idempotent", "at_least_once", "at_most_once"]


class Retry(Strict):
    """When a failed attempt is worth another, and how long to wait before it."""

    max: Natural = Field(0, description="More tries after the first.")
    delay: Duration = Field("1s", description="Wait before the second attempt.")
    backoff: Annotated[float, Field(ge=1)] = Field(2.0, description="Each further wait is this many times longer.")
    jitter: Annotated[float, Field(ge=0, le=1)] = Field(
        0.2, description="Random share added to or taken from each wait."
    )
    for_: Duration = optional(alias="for", description="Time limit for all attempts together.")
    on: ErrorTypes = optional(
        description="Error types worth another try. Without it: all but `cancelled`, `missing_value`, `invalid_input`, "
        "`denied`, `auth` and `budget`.",
    )


class CacheFor(Strict):
    """Reuse a result of the same work for a while."""

    ttl: Duration = Field(description="How long a result may be reused.")


class Loop(Strict):
    """Do the task again until a condition holds. One of `max`, `times` and `for` is needed, so that it always ends."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["max"]}, {"required": ["times"]}, {"required": ["for"]}]}
    )

    until: Expression = optional(
        description="Ends the loop when true after a round; sees the task's own id and the inner ids."
    )
    max: Positive = optional(description="Most rounds; reaching it without `until` is exhaustion.")
    times: Positive = optional(description="Exactly this many rounds, unless `until` ends them earlier.")
    every: Duration = optional(description="Least time from the start of one round to the start of the next.")
    for_: Duration = optional(alias="for", description="Time limit for all rounds together.")
    on_exhausted: Literal["fail", "continue"] = Field("fail", description="What it means when `until` never held.")

    @model_validator(mode="after")
    def bounded(self) -> Loop:
        if not self.model_fields_set & {"max", "times", "for_"}:
            raise PydanticCustomError("wf_loop_bound", "a loop needs a bound", {})
        return self


RetryValue = Annotated[Annotated[Natural, NUMBER] | Annotated[Retry, MAP], BY_KIND]
CacheValue = Annotated[Annotated[Literal["none"], TEXT] | Annotated[CacheFor, MAP], BY_KIND]
ForeachValue = Annotated[
    Annotated[BareExpression, TEXT] | Annotated[list[Any], LIST] | Annotated[dict[str, Any], MAP],
    BY_KIND,
]


class TaskBase(Strict):
    """Fields that every task may have."""

    model_config = not_together(("output", "output_schema"))

    description: str = optional(description="What the task is for; shown in `graph`, `show` and the dashboard.")
    when: Expression = optional(description="The task is skipped unless this is true. Default: true.")
    after: Ids = optional(description="Tasks that must be over first, without using their values.")
    foreach: ForeachValue = optional(
        description="Do the task once for every item of a list or map: an expression, a list or a map."
    )
    as_: Name = Field("item", alias="as", description="What an item is called in expressions.")
    key: Expression = optional(description="Unique key of an item. Default: its index, or the map's key.")
    max_parallel: Positive = Field(8, description="Most items at the same time.")
    enough: Positive = optional(description="End the rest when so many items have succeeded.")
    item_after: Expression = optional(description="Keys of items that must be over before this one starts.")
    on_item_error: Literal["fail", "collect"] = Field(
        "fail", description="`collect` lets the task succeed with the items that did; the others are in `.failed`."
    )
    loop: Loop = optional(description="Do the task again until a condition holds.")
    output: TypeSpec = optional(description="Type of the task's value. Default: string, or what the verb gives.")
    output_schema: dict[str, Any] = optional(description="The same as a JSON Schema (Draft 2020-12).")
    env: dict[Name, ScalarText] = optional(description="Environment variables for this task and what is inside it.")
    cwd: str = Field(".", description="Working directory, from the project's root.")
    retry: RetryValue = Field(0, description="How many more tries after a failure, or the details.")
    timeout: Duration = optional(description="Time limit for one attempt.")
    budget: Budget = optional(description="Limits for this task, each item by itself.")
    total_budget: Budget = optional(description="Limits for all items of a `foreach` together.")
    on_error: OnError = Field(
        "fail",
        description="`continue` and `warn` forgive a failure: below it counts as a skip; `warn` shows in the run's status.",
    )
    effect: Effect = optional(
        description="What repeating an interrupted attempt would do to the world. The default is the verb's."
    )

    @model_validator(mode="after")
    def one_output(self) -> TaskBase:
        if {"output", "output_schema"} <= self.model_fields_set:
            raise PydanticCustomError("wf_together", "", {"first": "output", "second": "output_schema"})
        return self


FOREACH_ONLY = ("as", "key", "max_parallel", "enough", "item_after", "on_item_error", "total_budget")
"""Fields that mean nothing without `foreach`."""


class CachedTask(TaskBase):
    """A task whose result is worth keeping; of the others, the point is that they happen."""

    cache: CacheValue = Field("none", description="Reuse a result of the same work: `{ttl: 1h}`.")


class TaskDefaults(Strict):
    """Defaults for every task: the fields that make sense for all of them."""

    env: dict[Name, ScalarText] = optional(description="Merged with the task's own.")
    cwd: str = optional(description="Working directory, from the project's root.")
    retry: RetryValue = optional(description="How many more tries after a failure, or the details.")
    timeout: Duration = optional(description="Time limit for one attempt.")
    budget: Budget = optional(description="Limits for each task.")
    total_budget: Budget = optional(description="Limits for all items of a `foreach` together.")
    on_error: OnError = optional(description="Whether a failure is forgiven.")
    effect: Effect = optional(description="What repeating an interrupted attempt would do.")
    cache: CacheValue = optional(description="Reuse results: `{ttl: 1h}`.")
    max_parallel: Positive = optional(description="Most items of a `foreach` at the same time.")
    on_item_error: Literal["fail", "collect"] = optional(description="Whether a `foreach` survives a failed item.")
