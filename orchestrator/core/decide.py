"""`decide(state, input, now)`: what an input means, as events; it reads the state and changes nothing.

A turn is three calls, each followed by folding what it returned: `decide` for every input, `consequences` until there are none (what
follows without anybody's doing), and `starts` once (what may begin now, within bounds). An input that no longer applies, such as the
late report of a cancelled attempt, decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from orchestrator.core import retry
from orchestrator.core.decide_ends import cancel_below, cancel_phase, cancelling, failing, judged
from orchestrator.core.events import (
    AnyEvent,
    AttemptCut,
    CancelRequested,
    EndRequested,
    Failure,
    GitPinned,
    HoldCleared,
    HoldSet,
    ItemsOpened,
    OutputsSet,
    RunClaimed,
    RunStarted,
    ScopeOpened,
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
    Value,
)
from orchestrator.core.inputs import (
    Answered,
    AnyInput,
    AttemptAsked,
    AttemptEnded,
    AttemptErred,
    AttemptInterrupted,
    AttemptParked,
    AttemptSlept,
    AttemptSucceeded,
    Cancel,
    ClearHold,
    Concluded,
    GitKnown,
    Prepared,
    Recovered,
    Resolve,
    SetHold,
    StartRun,
    Stop,
    TimerDue,
)
from orchestrator.core.run_state import RUN, Question, RunState
from orchestrator.core.status import CANCELLED, SKIPPED, UNKNOWN


class RefusedError(Exception):
    """An input that cannot be accepted; the sentence goes back to whoever sent it."""


def decide(state: RunState, given: AnyInput, now: float) -> list[AnyEvent]:
    """The events an input means at `now` (epoch seconds). Raises RefusedError for what a person asked and cannot have."""
    if state.over and not isinstance(given, GitKnown):
        return []
    return _DECIDE[type(given)](state, given, now)


def _start_run(state: RunState, given: StartRun, now: float) -> list[AnyEvent]:
    events: list[AnyEvent] = [
        RunStarted(
            run_id=given.run_id,
            plan=given.plan_blob,
            plan_digest=state.plan.digest,
            workflow=state.plan.workflow,
            inputs=given.inputs,
            trigger=given.trigger,
            project=given.project,
            git=given.git,
            reuse=given.reuse,
            scheduled_at=given.scheduled_at,
            parent=given.parent,
            secret_names=tuple(state.plan.secrets),
            budget=given.budget,
        )
    ]
    events.extend(HoldSet(name, "engine") for name in given.holds)
    events.append(ScopeOpened(RUN, 0))
    return events


def _recovered(state: RunState, given: Recovered, now: float) -> list[AnyEvent]:
    events: list[AnyEvent] = [RunClaimed(given.driver)]
    events.extend(AttemptCut(task, "its driver was gone") for task in state.running)
    events.extend(TaskWoke(task) for task in state.parked)
    return events


def _git_known(state: RunState, given: GitKnown, now: float) -> list[AnyEvent]:
    return [] if state.over else [GitPinned(given.git)]


def _set_hold(state: RunState, given: SetHold, now: float) -> list[AnyEvent]:
    return [] if given.name in state.holds else [HoldSet(given.name, given.by, given.reason)]


def _clear_hold(state: RunState, given: ClearHold, now: float) -> list[AnyEvent]:
    return [HoldCleared(given.name, given.by)] if given.name in state.holds else []


def _stop(state: RunState, given: Stop, now: float) -> list[AnyEvent]:
    if state.stop_until is not None and given.grace > 0 and now + given.grace >= state.stop_until:
        return []
    events: list[AnyEvent] = [StopRequested(given.by, now + max(given.grace, 0.0))]
    if given.grace <= 0:
        events.extend(AttemptCut(task, f"stopped by {given.by}") for task in state.running)
    return events


def _cancel(state: RunState, given: Cancel, now: float) -> list[AnyEvent]:
    if state.cancel is not None and state.phase in ("main", "outputs"):
        return []
    return cancelling(state, CancelRequested(given.by, given.reason, given.failure))


def _current(state: RunState, task: int, attempt: int) -> bool:
    return state.attempts[task] == attempt and task in state.running


def _succeeded(state: RunState, given: AttemptSucceeded, now: float) -> list[AnyEvent]:
    if not _current(state, given.task, given.attempt):
        return []
    return [TaskSucceeded(given.task, given.value, given.meta, given.cost, given.usage, given.reused)]


def _erred(state: RunState, given: AttemptErred, now: float) -> list[AnyEvent]:
    if not _current(state, given.task, given.attempt):
        return []
    return failing(state, given.task, given.failure, now, given)


def _slept(state: RunState, given: AttemptSlept, now: float) -> list[AnyEvent]:
    return [TaskSlept(given.task, given.until, given.value)] if _current(state, given.task, given.attempt) else []


def _asked(state: RunState, given: AttemptAsked, now: float) -> list[AnyEvent]:
    if not _current(state, given.task, given.attempt):
        return []
    return [
        TaskAsked(
            given.task,
            given.question,
            given.expires_at,
            given.on_expired,
            given.expired_value,
            given.resumes,
            max(given.worked, 0.0),
            given.cost,
        )
    ]


def _parked(state: RunState, given: AttemptParked, now: float) -> list[AnyEvent]:
    return [TaskParked(given.task, given.reason, given.cost)] if _current(state, given.task, given.attempt) else []


def _interrupted(state: RunState, given: AttemptInterrupted, now: float) -> list[AnyEvent]:
    return [AttemptCut(given.task, given.reason)] if _current(state, given.task, given.attempt) else []


def _ended(state: RunState, given: AttemptEnded, now: float) -> list[AnyEvent]:
    if not _current(state, given.task, given.attempt):
        return []
    events: list[AnyEvent] = [
        EndRequested(given.task, given.status, given.message),
        TaskSucceeded(given.task, b"null"),
    ]
    above = _owners(state, given.task)
    reason = f"`{state.name(given.task)}` ended the run"
    events.extend(
        event for event in cancel_phase(state, reason, but=given.task)
        if not (isinstance(event, TaskSettled) and event.task in above)
    )  # fmt: skip
    events.extend(TaskSettled(task, CANCELLED, reason) for task in above)
    return events


def _owners(state: RunState, task: int) -> list[int]:
    found: list[int] = []
    while (task := state.instance_of(task).owner) != RUN:
        found.append(task)
    return found


def _prepared(state: RunState, given: Prepared, now: float) -> list[AnyEvent]:
    task = given.task
    if task not in state.preparing:
        return []
    if given.failure is not None:
        return [TaskFailed(task, given.failure)]
    if not given.when:
        return [TaskSettled(task, SKIPPED, given.why)]
    if given.count is None:
        return [TaskPrepared(task)]
    return [ItemsOpened(task, given.count, given.keys, given.items or b"[]", given.mapping, given.after)]


def _concluded(state: RunState, given: Concluded, now: float) -> list[AnyEvent]:
    task = given.task
    if state.concluding.get(task) != given.index:
        return []
    if task == RUN:
        return [OutputsSet(given.value or b"null", given.failure)]
    if state.nodes[task].verb == "loop":
        if given.failure is not None:
            return [TaskFailed(task, given.failure)]
        return [judged(state, task, given.done, now)]
    if given.failure is not None:
        return failing(state, task, given.failure, now)
    return [TaskSucceeded(task, given.value)]


def _answered(state: RunState, given: Answered, now: float) -> list[AnyEvent]:
    question = state.questions.get(given.task)
    if question is None:
        raise RefusedError(f"`{state.name(given.task)}` asks nothing now")
    if given.key and given.key != question.resumes:
        raise RefusedError(f"`{state.name(given.task)}` asks something else by now")
    return [_taken(given.task, question, given.value, given.by)]


def _taken(task: int, question: Question, value: Value, by: str) -> AnyEvent:
    """An answer is the task's value, or what its attempt goes on with."""
    if question.resumes:
        return TaskAnswered(task, question.resumes, value, by)
    return TaskSucceeded(task, value, by=by)


def _resolve(state: RunState, given: Resolve, now: float) -> list[AnyEvent]:
    task = given.task
    if state.statuses[task] != UNKNOWN and task not in state.parked:
        raise RefusedError(f"`{state.name(task)}` is not waiting for a decision")
    if given.how == "retry":
        return [TaskResolved(task, given.by)]
    if given.how == "succeeded":
        return [TaskSucceeded(task, given.value, by=given.by)]
    if given.how == "failed":
        return [TaskFailed(task, Failure("lost", f"declared failed by {given.by}"), by=given.by)]
    raise RefusedError(f"{given.how!r} is none of retry, succeeded, failed")


def _timer_due(state: RunState, given: TimerDue, now: float) -> list[AnyEvent]:
    if state.timers.get((given.task, given.what)) != given.at or given.at > now:
        return []
    return list(_TIMERS[given.what](state, given.task, now))


def _sleep_over(state: RunState, task: int, now: float) -> Iterator[AnyEvent]:
    yield TaskSucceeded(task, state.sleeping_value[task])


def _retry_due(state: RunState, task: int, now: float) -> Iterator[AnyEvent]:
    yield TaskWoke(task)


def _expired(state: RunState, task: int, now: float) -> Iterator[AnyEvent]:
    question = state.questions[task]
    if question.on_expired == "skip":
        yield TaskSettled(task, SKIPPED, "nobody answered in time")
    elif question.on_expired == "fail":
        yield TaskFailed(task, Failure("timeout", "nobody answered in time"))
    else:
        assert question.expired_value is not None
        yield _taken(task, question, question.expired_value, "expiry")


def _group_timeout(state: RunState, task: int, now: float) -> Iterator[AnyEvent]:
    yield from cancel_below(state, task, "its group ran out of time")
    said = retry.out_of_time(state.nodes[task], state.started[task], now)
    yield from failing(state, task, Failure("timeout", said), now)


def _round_due(state: RunState, task: int, now: float) -> Iterator[AnyEvent]:
    yield from ()  # `starts` opens the round, if nothing holds it


def _stop_due(state: RunState, task: int, now: float) -> Iterator[AnyEvent]:
    for running in state.running:
        yield AttemptCut(running, f"stopped by {state.stop_by}")


def _run_timeout(state: RunState, task: int, now: float) -> Iterator[AnyEvent]:
    failure = Failure("timeout", f"the run was not done within {state.plan.timeout:g} s")
    yield from cancelling(state, CancelRequested("timeout", failure.message, failure))


_TIMERS: Final[dict[str, Callable[[RunState, int, float], Iterator[AnyEvent]]]] = {
    "sleep": _sleep_over,
    "retry": _retry_due,
    "expire": _expired,
    "timeout": _group_timeout,
    "round": _round_due,
    "stop": _stop_due,
    "run": _run_timeout,
}


_DECIDE: Final[dict[type[Any], Callable[[RunState, Any, float], list[AnyEvent]]]] = {
    StartRun: _start_run,
    Recovered: _recovered,
    GitKnown: _git_known,
    Prepared: _prepared,
    AttemptSucceeded: _succeeded,
    AttemptErred: _erred,
    AttemptSlept: _slept,
    AttemptAsked: _asked,
    AttemptParked: _parked,
    AttemptEnded: _ended,
    AttemptInterrupted: _interrupted,
    Concluded: _concluded,
    TimerDue: _timer_due,
    Answered: _answered,
    Resolve: _resolve,
    SetHold: _set_hold,
    ClearHold: _clear_hold,
    Cancel: _cancel,
    Stop: _stop,
}
