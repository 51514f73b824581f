"""What people and programs see of a run: plain values, read from its state, never holding on to it.

The event stream (`RunHandle.watch`, `ExecutionEngine.watch`) yields dicts of JSON. Each has `type`, `at` (epoch seconds), `seq` (the
journal's event number; None for what is not journaled) and, where it concerns a task, `task` (full name, `build[a].rounds#2.code`):

    run_started     run_id, workflow, name, inputs, trigger, resumed (bool), synthetic (bool: its tasks may ask small programs
                    that are no AI models), live (bool: they may ask real models)
    task_started    verb, attempt, of (attempts allowed), detail (agent id and model, or what the verb says in a line)
    task_opened     verb (group|each|loop), count (items of an each, else None), index (round or attempt)
    task_log        stream (stdout|stderr), text                                  not journaled
    task_chunk      text, model                                                   not journaled
    task_tool       name (as the model says it), tool (as the workflow says it), arguments, call_id        not journaled
    task_tool_ended the same; effect, seconds, error (what the model is told, `denied: …` if the call was not let through; else
                    empty). A call that waits for a person ends after the answer                           not journaled
    task_progress   anything a kind says                                          not journaled
    task_waits      for (what it waits for before it really begins; None: it waits no more)   not journaled
    task_succeeded  duration, cost, usage, summary (a short line), reused (None|cache|run id), synthetic, by
    task_retrying   attempt, of, failure {type, message, help}, retry_at
    task_failed     failure, forgiven (bool), status (failed|warned), duration, tail (last lines of its output)
    task_skipped    reason        task_blocked   reason        task_cancelled   reason
    task_sleeping   until         task_unknown   reason        task_parked      reason
    task_asked      question, schema, show, to, expires_at, key (of a question in the midst of an attempt, else None)
    task_answered   key, by, summary; the attempt goes on
    items_opened    count, keys
    item_settled    index, key, status
    round_judged    round, done
    hold_set        name, by, reason          hold_cleared    name, by
    cancel_requested  by, reason              stop_requested  by, until
    run_status      status, reason
    run_ended       status, failure, message, outputs, duration, cost, usage, counts {status: n}
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.plan import Plan

JSON = Any
StreamEvent = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class TaskView:
    name: str
    """Full instance name: `build[a].rounds#2.code`."""
    id: str
    verb: str
    status: str
    reason: str = ""
    attempts: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    cost: float | None = None
    usage: dict[str, int] = field(default_factory=dict)
    failure: dict[str, Any] | None = None
    """{type, message, help}."""
    forgiven: bool = False
    meta: dict[str, Any] = field(default_factory=dict)
    """stdout, stderr, exit_code, response, …"""
    question: dict[str, Any] | None = None
    """While it asks: {question, schema, show, to, expires_at, key}."""
    answers: list[dict[str, Any]] = field(default_factory=list)
    """What it asked in its midst and was told, in order: {key, question, show, value, by, at}."""
    wake_at: float | None = None
    reused: str | None = None
    by: str | None = None
    line: int = 0
    load_value: Callable[[], JSON] = lambda: None
    """Loads the task's value (from the journal or a blob); None if it has none."""

    @property
    def duration(self) -> float | None:
        """Seconds from its first start to its end; None while either is missing."""
        if self.started_at is None or self.ended_at is None:
            return None
        return self.ended_at - self.started_at

    @property
    def value(self) -> JSON:
        return self.load_value()


@dataclass(slots=True, kw_only=True)
class RunView:
    run_id: str
    workflow: str
    name: str
    status: str
    """A `running` run that nobody drives is shown as it is in the journal; `driver` is None then."""
    driver: str | None
    started_at: float
    ended_at: float | None
    plan: Plan
    inputs: dict[str, JSON]
    outputs: JSON
    failure: dict[str, Any] | None
    message: str | None
    trigger: dict[str, Any]
    git: dict[str, Any] | None
    parent: str
    holds: dict[str, dict[str, Any]]
    """name → {by, reason, at}."""
    tasks: list[TaskView]
    """In the order they came to be: outer before inner."""
    cost: float | None
    """Of what is known, in `currency`; `usage["unpriced"]` counts requests whose cost nobody knows."""
    usage: dict[str, int]
    last: int
    """Number of the last event."""
    budget: dict[str, JSON] | None = None
    """The run's own, as `AgentCall.budgets` has it, with what people answered when it was used up; None if it has none."""
    currency: str = "USD"
    """`EUR+USD` where prices are in several, which cannot be added up."""

    @property
    def counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for task in self.tasks:
            found[task.status] = found.get(task.status, 0) + 1
        return found


@dataclass(slots=True, kw_only=True)
class RunResult:
    """What a run came to (or where it waits, if `status` is waiting or paused)."""

    run_id: str
    status: str
    outputs: JSON
    tasks: dict[str, TaskView]
    cost: float | None
    failure: dict[str, Any] | None = None
    message: str | None = None
