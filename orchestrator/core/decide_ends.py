"""How tasks come to their ends: another try or none, cancelled one by one, a loop with or without another round."""

from __future__ import annotations

from orchestrator.core.events import (
    AnyEvent,
    AttemptFailed,
    CancelRequested,
    Failure,
    LoopJudged,
    TaskFailed,
    TaskSettled,
)
from orchestrator.core.inputs import AttemptErred
from orchestrator.core.retry import retry_at
from orchestrator.core.run_state import RUN, RunState
from orchestrator.core.status import CANCELLED


def failing(
    state: RunState, task: int, failure: Failure, now: float, report: AttemptErred | None = None
) -> list[AnyEvent]:
    """Another try, or the end of the task."""
    at = retry_at(
        state.nodes[task].retry,
        failure,
        failures=state.failures.get(task, 0) + 1,
        identity=f"{state.start.run_id if state.start else ''}:{task}",
        started=state.clock(task),
        now=now,
    )
    meta, cost = (report.meta, report.cost) if report else (None, None)
    if at is not None:
        return [AttemptFailed(task, failure, at, meta, cost)]
    return [TaskFailed(task, failure, meta, cost)]


def cancelling(state: RunState, request: CancelRequested) -> list[AnyEvent]:
    """The request and the end of everything open in this phase, inner tasks before their owners."""
    reason = f"the run was cancelled by {request.by}" if request.as_failure is None else request.as_failure.message
    return [request, *cancel_phase(state, reason)]


def cancel_phase(state: RunState, reason: str, but: int = RUN) -> list[AnyEvent]:
    if state.phase_scope < 0:
        return []
    first = state.scopes[state.phase_scope].base
    return [
        TaskSettled(task, CANCELLED, reason)
        for task in range(len(state.nodes) - 1, first - 1, -1)
        if task != but and not state.settled(task)
    ]


def cancel_below(state: RunState, task: int, reason: str) -> list[AnyEvent]:
    inner = [child for child in state.children(task) if not state.settled(child)]
    return [TaskSettled(child, CANCELLED, reason) for child in sorted(inner, reverse=True)]


def judged(state: RunState, task: int, done: bool, now: float) -> LoopJudged:
    """Is there another round, and when?"""
    loop, policy = state.loops[task], state.nodes[task].loop
    assert policy is not None
    last = policy.times or policy.max
    if done or (last is not None and loop.round >= last):
        return LoopJudged(task, loop.round, done)
    at = max(now, loop.round_started + (policy.every or 0.0))
    if policy.within is not None and at > loop.started + policy.within:
        return LoopJudged(task, loop.round, done)
    return LoopJudged(task, loop.round, done, at)
