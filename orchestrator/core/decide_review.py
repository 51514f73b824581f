"""`consequences`: what a run owes by itself once tasks have settled, composite by composite, phase by phase."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from orchestrator.core.decide_ends import cancel_below, cancelling, failing, judged
from orchestrator.core.events import (
    AnyEvent,
    CancelRequested,
    Failure,
    PhaseEnded,
    RunEnded,
    ScopeOpened,
    TaskFailed,
    TaskSettled,
    TaskSucceeded,
)
from orchestrator.core.run_state import RUN, RunState


def consequences(state: RunState, now: float) -> list[AnyEvent]:
    """What the state owes without another input; fold it and ask again until there is nothing."""
    if state.condemned:
        return [TaskSettled(task, *verdict) for task, verdict in state.condemned.items()]
    for owner in state.review:
        # One at a time: what one owner owes may settle what stands under another.
        if owner != RUN:
            return _REVIEW[state.nodes[owner].verb](state, owner, now)
    return _run_review(state) if state.review else []


def _group_review(state: RunState, task: int, now: float) -> list[AnyEvent]:
    failed = state.scopes[state.opened[task][-1]].failed
    if failed >= 0:
        return failing(state, task, state.failure_of(failed), now)
    return [TaskSucceeded(task)]


def _each_review(state: RunState, task: int, now: float) -> list[AnyEvent]:
    each, policy = state.each[task], state.nodes[task].each
    assert policy is not None
    if policy.enough is not None and each.ok >= policy.enough:
        return [*cancel_below(state, task, f"{policy.enough} items were enough"), TaskSucceeded(task)]
    if each.hopeless(policy.enough):
        message = f"{each.ok} of {each.count} items succeeded, `enough: {policy.enough}` asks for more"
        return [TaskFailed(task, Failure("exit", message))]
    if each.failed >= 0 and policy.on_item_error == "fail":
        inner = state.scopes[each.instances[each.failed]].base
        return [TaskFailed(task, _item_failure(state, inner))]
    return [TaskSucceeded(task)]


def _item_failure(state: RunState, inner: int) -> Failure:
    """An inner task ends blocked only if something outside it failed; its reason says which."""
    if inner in state.failed_with:
        return state.failure_of(inner)
    return Failure("exit", f"task `{state.name(inner)}`: {state.reasons.get(inner, 'blocked')}")


def _loop_review(state: RunState, task: int, now: float) -> list[AnyEvent]:
    loop, policy = state.loops[task], state.nodes[task].loop
    assert policy is not None
    instance = state.scopes[loop.instances[-1]]
    if instance.failed >= 0:
        return [TaskFailed(task, state.failure_of(instance.failed))]
    if policy.until is None and not _rounds_over(state, task, now):
        return [judged(state, task, done=False, now=now)]
    exhausted = policy.until is not None and not loop.done
    if exhausted and policy.on_exhausted == "fail":
        return [TaskFailed(task, Failure("budget", f"`until` was not met within {loop.round} rounds"))]
    return [TaskSucceeded(task)]


def _rounds_over(state: RunState, task: int, now: float) -> bool:
    return judged(state, task, done=False, now=now).next_at is None


_REVIEW: Final[dict[str, Callable[[RunState, int, float], list[AnyEvent]]]] = {
    "group": _group_review,
    "each": _each_review,
    "loop": _loop_review,
}


def _run_review(state: RunState) -> list[AnyEvent]:
    if state.phase_closed:
        return [PhaseEnded(state.phase)]
    if state.phase == "main":
        status, failure = state.outcome()
        if status != "failed" or failure is None or state.cancel is not None:
            return []
        return cancelling(state, CancelRequested("fail_fast", failure.message, failure))
    status, failure = state.outcome()
    plan = state.plan
    if state.phase == "outputs" and status == "failed" and plan.on_failure is not None:
        return [ScopeOpened(RUN, plan.on_failure)]
    if state.phase in ("outputs", "failure_seen") and plan.on_finally is not None:
        return [ScopeOpened(RUN, plan.on_finally)]
    return [RunEnded(status, failure, state.message)]
