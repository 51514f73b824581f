"""Budgets, concurrency and schedules."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from orchestrator.spec.models_values import (
    BY_KIND,
    MAP,
    TEXT,
    Count,
    Duration,
    Expression,
    Money,
    Name,
    Positive,
    Strict,
    exactly_one_of,
    optional,
)

Priority = Literal["low", "normal", "high", "urgent"]


class Budget(Strict):
    """Limits on what may be spent. A task's budget is carved from the run's."""

    cost: Money = optional(description="Most money, with its currency: `$2.00`, `2.00 EUR`.")
    tokens: Count = optional(description="Most tokens, in and out together: `400k`.")
    turns: Count = optional(description="Most model calls.")
    time: Duration = optional(description="Longest duration.")
    cost_per_day: Money = optional(description="Most money in one day, over all runs of this workflow.")
    tokens_per_day: Count = optional(description="Most tokens in one day, over all runs of this workflow.")
    on_exceeded: Literal["fail", "ask", "wrap_up"] = Field(
        "fail", description="`ask` waits for a person; `wrap_up` gives an agent one last turn to finish."
    )
    allow_unpriced: bool = Field(False, description="Let models without a known price run under a cost budget.")


class Concurrency(Strict):
    """How many runs of this workflow may be active for one key."""

    key: str = optional(description="Runs with the same key share the limit. Default: the workflow itself.")
    max: Positive = Field(1, description="Most active runs for one key.")
    on_conflict: Literal["queue", "skip", "replace", "allow"] = Field(
        "queue", description="What a run does that finds no place: wait, not run, end the older one, run anyway."
    )


class MissedAll(Strict):
    """Make up for several missed ticks."""

    all: Positive = Field(description="At most this many, the newest.")


class Schedule(Strict):
    """One way to start by the clock: exactly one of `cron`, `every` and `at`."""

    model_config = exactly_one_of("cron", "every", "at")

    cron: str = optional(
        description="Five fields, or six with seconds first, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.",
    )
    every: Duration = optional(description="A fixed distance: `15m`.")
    at: str = optional(description="Once, at a date and time: `2030-01-31T09:00`.")
    timezone: str = optional(description="IANA time zone. Default: the workflow's.")
    missed: Annotated[Annotated[Literal["skip", "last"], TEXT] | Annotated[MissedAll, MAP], BY_KIND] = Field(
        "skip", description="What happens to ticks that passed while nothing was running: `skip`, `last` or `{all: n}`."
    )
    overlap: Literal["skip", "queue", "replace", "allow"] = Field(
        "skip", description="What a tick does while the run before it is still active."
    )
    jitter: Duration = Field(
        "0s", description="Spread starts over this time; the same tick always gets the same delay."
    )
    when: Expression = optional(description="A tick is skipped unless this is true.")
    enabled: bool = Field(True, description="Whether the schedule is on.")
    inputs: dict[Name, Any] = optional(description="Inputs of the run.")

    @model_validator(mode="after")
    def one_clock(self) -> Schedule:
        given = [name for name in ("cron", "every", "at") if name in self.model_fields_set]
        if len(given) != 1:
            raise PydanticCustomError("wf_exactly_one", "", {"of": ["cron", "every", "at"], "given": given})
        return self
