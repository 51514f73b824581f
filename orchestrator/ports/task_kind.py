"""What a task verb is to the engine: plain values in, an outcome out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from orchestrator.core.plan import Node
from orchestrator.ports.services import Services

JSON = Any
"""None, bool, int, float, str, list of JSON, dict of str to JSON."""


@dataclass(slots=True, kw_only=True)
class Succeeded:
    """The task's value. `meta` is what `tasks.x.…` knows besides it: stdout, stderr, exit_code, response, session."""

    value: JSON
    meta: dict[str, JSON] = field(default_factory=dict)
    cost: float | None = None
    """In the run's currency; None where nothing was paid or the price is unknown."""
    usage: dict[str, int] = field(default_factory=dict)
    """input_tokens, output_tokens, requests."""


@dataclass(slots=True, kw_only=True)
class Sleeping:
    """The task is over at `until` (epoch seconds) with `value`; it holds no process and no asyncio task meanwhile."""

    until: float
    value: JSON = None


@dataclass(slots=True, kw_only=True)
class Asking:
    """The task waits for a person. The engine validates the answer against `schema` before it accepts it."""

    question: str
    schema: dict[str, JSON]
    show: JSON = None
    to: list[str] = field(default_factory=list)
    expires_at: float | None = None
    on_expired: Literal["fail", "skip"] | dict[str, JSON] = "fail"
    resumes: str | None = None
    """The answer is not the task's value: the same attempt is performed again with the answer under this key in
    `Attempt.answers`. No retry is counted. None: the answer is the value. `expires_at` then counts from `Attempt.now`; the
    engine puts it later by the time that the attempt worked until it asked."""
    cost: float | None = None
    """What the attempt has cost so far, if it `resumes`; its result tells the whole again."""


@dataclass(slots=True, kw_only=True)
class Parked:
    """The task waits for something that needs no process here (a child run that waits for a person)."""

    reason: str
    cost: float | None = None
    """What the attempt has cost so far; its result tells the whole again."""


@dataclass(slots=True, kw_only=True)
class Ending:
    """Ends the whole run (`end:`)."""

    status: Literal["succeeded", "failed", "cancelled"]
    message: str | None = None


Outcome = Succeeded | Sleeping | Asking | Parked | Ending


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One try of one task, with everything its kind may know. All templates in `fields` are rendered already."""

    run_id: str
    task: str
    """The instance's full name, e.g. `build[a].rounds#2.code`."""
    node: Node
    number: int
    """From 1."""
    failures: int = 0
    """How many attempts of the series have failed before."""
    key: str
    """Idempotency key: the same for every attempt of one series (run, task, item, series)."""
    fields: dict[str, JSON]
    env: dict[str, str]
    """The task's whole environment, base variables and secrets included; never to be logged."""
    secrets: tuple[str, ...]
    """Secret values that must not reach any output."""
    project: Path
    cwd: Path
    run_dir: Path
    """`$WHISPER_RUN_DIR`; its `artifacts/` is kept."""
    log_dir: Path
    """Where the kind's `stdout.log` and `stderr.log` belong."""
    output_schema: dict[str, JSON] | None
    now: float
    """When the attempt started (epoch seconds): what `now()` means in its expressions."""
    deadline: float | None
    """Epoch seconds by which the attempt's timeout ends it; the performer enforces it too."""
    services: Services
    publish: Callable[[str, dict[str, JSON]], None]
    """publish(type, data): an ephemeral line for whoever watches (types: `log`, `chunk`, `tool`, `progress`)."""
    answers: dict[str, JSON] = field(default_factory=dict)
    """What people answered to this series of attempts so far, by `Asking.resumes`."""
    attended: bool = False
    """Somebody sits at the terminal that drives the run, and can be asked at once."""
    control: Callable[[], str | None] = lambda: None
    """`pause` or `stop` if asked for since; kinds with inner steps look before each step."""


class TaskKind(Protocol):
    """One file in `kinds/`, an attribute `KIND` of it; found by its `verb`."""

    verb: str
    immediate: bool
    """True if `perform_now` is given instead: the kind never waits and needs no asyncio task."""

    async def perform(self, attempt: Attempt) -> Outcome:
        """Raises TaskError for every failure that is the task's. Cancellation ends what it started, then re-raises."""
        ...

    def perform_now(self, attempt: Attempt) -> Outcome: ...
