"""What may enter a run: things that happened outside and things that are asked of it. `decide` turns them into events, or refuses."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.core.events import Failure, Value


class Input(msgspec.Struct, frozen=True):
    pass


class StartRun(Input, frozen=True):
    run_id: str
    plan_blob: str
    inputs: Value
    trigger: dict[str, Any]
    project: str
    git: dict[str, Any] | None = None
    reuse: Value | None = None
    scheduled_at: float | None = None
    parent: str = ""
    holds: tuple[str, ...] = ()
    """Holds to begin with, e.g. `concurrency`."""
    budget: dict[str, Any] | None = None


class Recovered(Input, frozen=True):
    """The journal was folded by a new driver: what was in progress is not any more."""

    driver: str


class GitKnown(Input, frozen=True):
    git: dict[str, Any]


class Prepared(Input, frozen=True):
    """The shell evaluated what decides about a ready task: `when`, and the items of an `each`."""

    task: int
    when: bool = True
    why: str = ""
    """For a false `when`: the expression with its values."""
    count: int | None = None
    keys: tuple[str, ...] | None = None
    items: Value | None = None
    mapping: bool = False
    after: tuple[tuple[int, ...], ...] | None = None
    failure: Failure | None = None


class AttemptSucceeded(Input, frozen=True):
    task: int
    attempt: int
    value: Value
    meta: Value | None = None
    cost: float | None = None
    usage: dict[str, int] | None = None
    reused: str | None = None


class AttemptErred(Input, frozen=True):
    task: int
    attempt: int
    failure: Failure
    meta: Value | None = None
    cost: float | None = None


class AttemptSlept(Input, frozen=True):
    task: int
    attempt: int
    until: float
    value: Value


class AttemptAsked(Input, frozen=True):
    task: int
    attempt: int
    question: Value
    expires_at: float | None
    on_expired: str
    """fail, skip or value."""
    expired_value: Value | None = None
    resumes: str = ""
    """The name of the answer with which the attempt goes on; empty if the answer is the task's value."""
    worked: float = 0.0
    """Seconds that the attempt worked before it asked."""
    cost: float | None = None
    """What it has cost so far; its result will tell the whole."""


class AttemptParked(Input, frozen=True):
    task: int
    attempt: int
    reason: str
    cost: float | None = None


class AttemptEnded(Input, frozen=True):
    """The attempt asks for the end of the run (`end:`)."""

    task: int
    attempt: int
    status: str
    message: str | None = None


class AttemptInterrupted(Input, frozen=True):
    """The attempt was cut off by a stop, not by its own doing."""

    task: int
    attempt: int
    reason: str


class Concluded(Input, frozen=True):
    """The shell evaluated `until` of a loop, `outputs` of a group, or (task -1) of the run."""

    task: int
    index: int
    """Round or attempt it was asked for."""
    done: bool = True
    value: Value | None = None
    failure: Failure | None = None


class TimerDue(Input, frozen=True):
    task: int
    """-1: the run's own."""
    what: str
    at: float


class Answered(Input, frozen=True):
    task: int
    value: Value
    by: str
    key: str = ""
    """Which of the task's questions is meant, by its name; empty: whichever is open."""


class Resolve(Input, frozen=True):
    """A person's word on an unknown or parked task: `retry`, `succeeded` (with a value) or `failed`."""

    task: int
    how: str
    by: str
    value: Value = b"null"


class SetHold(Input, frozen=True):
    name: str
    by: str
    reason: str = ""


class ClearHold(Input, frozen=True):
    name: str
    by: str


class Cancel(Input, frozen=True):
    by: str
    reason: str = ""
    failure: Failure | None = None
    """The run ends failed with this rather than cancelled."""


class Stop(Input, frozen=True):
    by: str
    grace: float
    """Seconds for running work; a second Stop, or 0, cuts at once."""


AnyInput = (
    StartRun | Recovered | GitKnown | Prepared | AttemptSucceeded | AttemptErred | AttemptSlept | AttemptAsked | AttemptParked
    | AttemptEnded | AttemptInterrupted | Concluded | TimerDue | Answered | Resolve | SetHold | ClearHold | Cancel | Stop
)  # fmt: skip
