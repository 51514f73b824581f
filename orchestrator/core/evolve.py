"""`evolve(state, event)`: applies one recorded event. The only code that changes a run's state; replaying a journal is folding it.

It also notes what began and ceased to be wanted (`begun`, `dropped`, `set_timers`), which the shell drains after the commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from orchestrator.core.effects import Conclude, Perform
from orchestrator.core.events import (
    AnyEvent,
    AttemptCut,
    AttemptFailed,
    AttemptStarted,
    CancelRequested,
    EndRequested,
    GitPinned,
    HoldCleared,
    HoldSet,
    ItemsOpened,
    LoopJudged,
    OutputsSet,
    PhaseEnded,
    RunClaimed,
    RunEnded,
    RunStarted,
    ScopeOpened,
    StatusChanged,
    StopRequested,
    TaskAnswered,
    TaskAsked,
    TaskFailed,
    TaskParked,
    TaskPrepared,
    TaskResolved,
    TaskSettled,
    TaskSlept,
    TaskSucceeded,
    TaskWoke,
)
from orchestrator.core.evolve_moves import (
    ImpossibleEventError,
    add_cost,
    check,
    drop_attempt,
    forget_plans,
    impossible,
    leave_running,
    queue,
    set_timer,
    settle,
    unqueue,
    unwant,
)
from orchestrator.core.evolve_run import (
    cancel_requested,
    end_requested,
    git_pinned,
    hold_cleared,
    hold_set,
    outputs_set,
    phase_ended,
    run_claimed,
    run_ended,
    run_started,
    status_changed,
    stop_requested,
)
from orchestrator.core.evolve_scopes import items_opened, loop_judged, scope_opened
from orchestrator.core.run_state import Answer, Question, RunState
from orchestrator.core.status import READY, RUNNING, SETTLED_ALONE, SUCCEEDED, TASK_TABLE, TASK_WORDS


def evolve(state: RunState, event: AnyEvent) -> None:
    """Fold one event into the state, in place. Raises ImpossibleEventError if the tables forbid it, or if it speaks of what is not
    there; the state is then worthless.
    """
    if state.ended_at is not None or (state.start is None and type(event) is not RunStarted):
        word = state.status if state.start is not None else "not started"
        raise ImpossibleEventError(f"the run is {word}: `{type(event).__name__}` cannot happen")
    state.last += 1
    try:
        _FOLD[type(event)](state, event)
    except (LookupError, TypeError, AttributeError) as error:
        said = f"{type(error).__name__}: {error}"
        raise ImpossibleEventError(f"event {state.last}, {event!r}, speaks of what is not there ({said})") from error


_STARTED_FROM = TASK_TABLE["attempt_started"][0]


_SUCCEEDED_FROM = TASK_TABLE["succeeded"][0]


def _attempt_started(state: RunState, event: AttemptStarted) -> None:
    task = event.task
    if state.statuses[task] not in _STARTED_FROM:
        raise impossible(state, task, "attempt_started")
    node = state.nodes[task]
    unqueue(state, task)
    state.statuses[task] = RUNNING
    state.attempts[task] += 1
    if task in state.goes_on and state.goes_on.pop(task) is False:
        state.goes_on[task] = True
    if not state.started[task]:
        state.started[task] = state.at
    if node.slot:
        state.slots += 1
    state.running[task] = None
    state.begun.append(Perform(task, state.attempts[task]))


def _task_succeeded(state: RunState, event: TaskSucceeded) -> None:
    task = event.task
    if state.statuses[task] not in _SUCCEEDED_FROM:
        raise impossible(state, task, "succeeded")
    node = state.nodes[task]
    state.values[task] = event.value
    if task in state.running:
        leave_running(state, task, node)
    else:
        forget_plans(state, task)
    if event.meta is not None:
        state.metas[task] = event.meta
    if event.cost is not None:
        add_cost(state, task, event.cost)
    if event.usage:
        state.usages[task] = event.usage
    if event.reused is not None:
        state.reused[task] = event.reused
    if event.by is not None:
        state.by[task] = event.by
    if state.failed_with or state.reasons:  # of attempts before this one
        state.failed_with.pop(task, None)
        state.reasons.pop(task, None)
    settle(state, task, SUCCEEDED)


def _task_failed(state: RunState, event: TaskFailed) -> None:
    task = event.task
    node = state.nodes[task]
    status = check(state, task, "warned" if node.on_error == "warn" else "failed")
    drop_attempt(state, task)
    forget_plans(state, task)
    state.failed_with[task] = event.failure
    if event.meta is not None:
        state.metas[task] = event.meta
    if event.cost is not None:
        add_cost(state, task, event.cost)
    if event.by is not None:
        state.by[task] = event.by
    settle(state, task, status)


def _attempt_failed(state: RunState, event: AttemptFailed) -> None:
    task = event.task
    state.statuses[task] = check(state, task, "retry_scheduled")
    leave_running(state, task, state.nodes[task])
    state.review.pop(task, None)
    index = state.concluding.pop(task, None)
    if index is not None:
        unwant(state, Conclude(task, index))
    state.timers.pop((task, "timeout"), None)
    state.worked.pop(task, None)
    state.failures[task] = state.failures.get(task, 0) + 1
    state.failed_with[task] = event.failure
    if event.cost is not None:
        add_cost(state, task, event.cost)
    if event.meta is not None:
        state.metas[task] = event.meta
    set_timer(state, task, "retry", event.retry_at)


def _task_settled(state: RunState, event: TaskSettled) -> None:
    task = event.task
    if event.status not in SETTLED_ALONE:
        raise impossible(state, task, f"settled as {TASK_WORDS[event.status]}")
    check(state, task, TASK_WORDS[event.status])
    drop_attempt(state, task)
    forget_plans(state, task)
    state.reasons[task] = event.reason
    if event.because >= 0:
        state.because[task] = event.because
    settle(state, task, event.status)


def _task_prepared(state: RunState, event: TaskPrepared) -> None:
    check(state, event.task, "prepared")
    state.preparing.pop(event.task, None)
    queue(state, event.task)


def _task_slept(state: RunState, event: TaskSlept) -> None:
    state.statuses[event.task] = check(state, event.task, "slept")
    leave_running(state, event.task, state.nodes[event.task])
    state.sleeping_value[event.task] = event.value
    set_timer(state, event.task, "sleep", event.until)


def _task_asked(state: RunState, event: TaskAsked) -> None:
    state.statuses[event.task] = check(state, event.task, "asked")
    leave_running(state, event.task, state.nodes[event.task])
    state.questions[event.task] = Question(event, state.at)
    if event.expires_at is not None:
        set_timer(state, event.task, "expire", event.expires_at)
    if event.resumes:
        state.worked[event.task] = state.worked.get(event.task, 0.0) + event.worked
    _cost_so_far(state, event.task, event.cost)


def _cost_so_far(state: RunState, task: int, cost: float | None) -> None:
    """What an attempt that goes on later has cost until now."""
    if cost is not None:
        add_cost(state, task, cost)
        state.cost_told[task] = cost


def _task_answered(state: RunState, event: TaskAnswered) -> None:
    task = event.task
    state.statuses[task] = check(state, task, "answered")
    question = state.questions.pop(task)
    state.timers.pop((task, "expire"), None)
    state.answers.setdefault(task, {})[event.key] = Answer(question.value, event.value, event.by, state.at)
    state.by[task] = event.by
    state.continued[task] = state.continued.get(task, 0) + 1
    state.goes_on[task] = False
    state.waited[task] = state.waited.get(task, 0.0) + max(state.at - question.asked_at, 0.0)
    queue(state, task)


def _task_parked(state: RunState, event: TaskParked) -> None:
    state.statuses[event.task] = check(state, event.task, "parked")
    leave_running(state, event.task, state.nodes[event.task])
    state.parked[event.task] = event.reason
    _cost_so_far(state, event.task, event.cost)


def _attempt_cut(state: RunState, event: AttemptCut) -> None:
    task = event.task
    lost = state.nodes[task].effect == "at_most_once"
    leaves = check(state, task, "lost" if lost else "cut")
    drop_attempt(state, task)
    state.worked.pop(task, None)
    state.statuses[task] = leaves
    state.reasons[task] = event.reason
    if leaves == READY:
        queue(state, task)


def _task_woke(state: RunState, event: TaskWoke) -> None:
    state.statuses[event.task] = check(state, event.task, "woke")
    state.timers.pop((event.task, "retry"), None)
    _unpark(state, event.task)
    queue(state, event.task)


def _unpark(state: RunState, task: int) -> None:
    if state.parked.pop(task, None) is not None:
        state.continued[task] = state.continued.get(task, 0) + 1
        state.goes_on[task] = False


def _task_resolved(state: RunState, event: TaskResolved) -> None:
    state.statuses[event.task] = check(state, event.task, "resolved")
    _unpark(state, event.task)
    state.by[event.task] = event.by
    queue(state, event.task)


_FOLD: Final[dict[type[Any], Callable[[RunState, Any], None]]] = {
    RunStarted: run_started,
    RunClaimed: run_claimed,
    GitPinned: git_pinned,
    ScopeOpened: scope_opened,
    TaskPrepared: _task_prepared,
    ItemsOpened: items_opened,
    AttemptStarted: _attempt_started,
    TaskSucceeded: _task_succeeded,
    AttemptFailed: _attempt_failed,
    TaskFailed: _task_failed,
    TaskSettled: _task_settled,
    TaskSlept: _task_slept,
    TaskAsked: _task_asked,
    TaskParked: _task_parked,
    AttemptCut: _attempt_cut,
    TaskResolved: _task_resolved,
    LoopJudged: loop_judged,
    OutputsSet: outputs_set,
    PhaseEnded: phase_ended,
    HoldSet: hold_set,
    HoldCleared: hold_cleared,
    CancelRequested: cancel_requested,
    EndRequested: end_requested,
    StopRequested: stop_requested,
    StatusChanged: status_changed,
    RunEnded: run_ended,
    TaskWoke: _task_woke,
    TaskAnswered: _task_answered,
}
