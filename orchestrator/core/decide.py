"""`decide(state, input, now)`: what an input means, as events; it reads the state and changes nothing.

A turn is three calls, each followed by folding what it returned: `decide` for every input, `consequences` until there are none (what
follows without anybody's doing), and `starts` once (what may begin now, within bounds). An input that no longer applies, such as the
late report of a cancelled attempt, decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from orchestrator.core.events import (
    AnyEvent,
    AttemptCut,
    AttemptFailed,
    AttemptStarted,
    CancelRequested,
    EndRequested,
    Failure,
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
from orchestrator.core.retry import retry_at
from orchestrator.core.run_state import ITEM_OPEN, RUN, RunState
from orchestrator.core.status import CANCELLED, READY, SKIPPED, UNKNOWN

STARTS_MAX: Final = 256
"""Most tasks, items and rounds one turn may start, so that sockets and timers get theirs."""


class RefusedError(Exception):
    """An input that cannot be accepted; the sentence goes back to whoever sent it."""


def decide(state: RunState, given: AnyInput, now: float) -> list[AnyEvent]:
    """The events an input means at `now` (epoch seconds). Raises RefusedError for what a person asked and cannot have."""
    if state.over and not isinstance(given, GitKnown):
        return []
    return _DECIDE[type(given)](state, given, now)


# --- the run's life --------------------------------------------------------------------------------------------------


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
    if "stopped" in state.holds:
        events.append(HoldCleared("stopped", given.driver))
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
    return cancelling(state, CancelRequested(given.by, given.reason))


def cancelling(state: RunState, request: CancelRequested) -> list[AnyEvent]:
    """The request and the end of everything open in this phase, inner tasks before their owners."""
    reason = f"the run was cancelled by {request.by}" if request.as_failure is None else request.as_failure.message
    return [request, *_cancel_phase(state, reason)]


def _cancel_phase(state: RunState, reason: str, but: int = RUN) -> list[AnyEvent]:
    if state.phase_scope < 0:
        return []
    first = state.scopes[state.phase_scope].base
    return [
        TaskSettled(task, CANCELLED, reason)
        for task in range(len(state.nodes) - 1, first - 1, -1)
        if task != but and not state.settled(task)
    ]


def _cancel_below(state: RunState, task: int, reason: str) -> list[AnyEvent]:
    inner = [child for child in state.children(task) if not state.settled(child)]
    return [TaskSettled(child, CANCELLED, reason) for child in sorted(inner, reverse=True)]


# --- attempts --------------------------------------------------------------------------------------------------------


def _current(state: RunState, task: int, attempt: int) -> bool:
    return state.attempts[task] == attempt and task in state.running


def _succeeded(state: RunState, given: AttemptSucceeded, now: float) -> list[AnyEvent]:
    if not _current(state, given.task, given.attempt):
        return []
    return [TaskSucceeded(given.task, given.value, given.meta, given.cost, given.usage, given.reused)]


def _erred(state: RunState, given: AttemptErred, now: float) -> list[AnyEvent]:
    if not _current(state, given.task, given.attempt):
        return []
    return _failing(state, given.task, given.failure, now, given)


def _failing(
    state: RunState, task: int, failure: Failure, now: float, report: AttemptErred | None = None
) -> list[AnyEvent]:
    """Another try, or the end of the task."""
    at = retry_at(
        state.nodes[task].retry,
        failure,
        failures=state.failures.get(task, 0) + 1,
        identity=f"{state.start.run_id if state.start else ''}:{task}",
        started=state.started[task],
        now=now,
    )
    meta = report.meta if report else None
    if at is not None and state.stop_until is None:
        return [AttemptFailed(task, failure, at, meta)]
    return [TaskFailed(task, failure, meta, report.cost if report else None)]


def _slept(state: RunState, given: AttemptSlept, now: float) -> list[AnyEvent]:
    return [TaskSlept(given.task, given.until, given.value)] if _current(state, given.task, given.attempt) else []


def _asked(state: RunState, given: AttemptAsked, now: float) -> list[AnyEvent]:
    if not _current(state, given.task, given.attempt):
        return []
    return [TaskAsked(given.task, given.question, given.expires_at, given.on_expired, given.expired_value)]


def _parked(state: RunState, given: AttemptParked, now: float) -> list[AnyEvent]:
    return [TaskParked(given.task, given.reason)] if _current(state, given.task, given.attempt) else []


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
        event for event in _cancel_phase(state, reason, but=given.task)
        if not (isinstance(event, TaskSettled) and event.task in above)
    )  # fmt: skip
    events.extend(TaskSettled(task, CANCELLED, reason) for task in above)
    return events


def _owners(state: RunState, task: int) -> list[int]:
    found: list[int] = []
    while (task := state.instance_of(task).owner) != RUN:
        found.append(task)
    return found


# --- what the shell evaluated ----------------------------------------------------------------------------------------


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
        return [_judged(state, task, given.done, now)]
    if given.failure is not None:
        return _failing(state, task, given.failure, now)
    return [TaskSucceeded(task, given.value)]


def _judged(state: RunState, task: int, done: bool, now: float) -> LoopJudged:
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


# --- people and time -------------------------------------------------------------------------------------------------


def _answered(state: RunState, given: Answered, now: float) -> list[AnyEvent]:
    if given.task not in state.questions:
        raise RefusedError(f"`{state.name(given.task)}` asks nothing now")
    return [TaskSucceeded(given.task, given.value, by=given.by)]


def _resolve(state: RunState, given: Resolve, now: float) -> list[AnyEvent]:
    task = given.task
    if state.statuses[task] != UNKNOWN and task not in state.parked:
        raise RefusedError(f"`{state.name(task)}` is not waiting for a decision")
    if given.how == "retry":
        return [TaskResolved(task, given.by)]
    if given.how == "succeeded":
        return [TaskSucceeded(task, given.value, by=given.by)]
    return [TaskFailed(task, Failure("lost", f"declared failed by {given.by}"), by=given.by)]


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
        yield TaskSucceeded(task, question.expired_value, by="expiry")


def _group_timeout(state: RunState, task: int, now: float) -> Iterator[AnyEvent]:
    limit = state.nodes[task].timeout
    yield from _cancel_below(state, task, "its group ran out of time")
    yield from _failing(state, task, Failure("timeout", f"not done within {limit:g} s"), now)


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


# --- what follows by itself ------------------------------------------------------------------------------------------


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
        return _failing(state, task, state.failure_of(failed), now)
    return [TaskSucceeded(task)]


def _each_review(state: RunState, task: int, now: float) -> list[AnyEvent]:
    each, policy = state.each[task], state.nodes[task].each
    assert policy is not None
    if policy.enough is not None and each.ok >= policy.enough:
        return [*_cancel_below(state, task, f"{policy.enough} items were enough"), TaskSucceeded(task)]
    if policy.enough is not None and each.settled == each.count:
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
    judged = task not in state.concluding and (policy.until is not None or loop.done or _rounds_over(state, task, now))
    if policy.until is None and not judged:
        return [_judged(state, task, done=False, now=now)]
    exhausted = policy.until is not None and not loop.done
    if exhausted and policy.on_exhausted == "fail":
        return [TaskFailed(task, Failure("budget", f"`until` was not met within {loop.round} rounds"))]
    return [TaskSucceeded(task)]


def _rounds_over(state: RunState, task: int, now: float) -> bool:
    return _judged(state, task, done=False, now=now).next_at is None


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


# --- what may begin --------------------------------------------------------------------------------------------------


def starts(state: RunState, now: float, limit: int = STARTS_MAX, *, but_for: str = "") -> list[AnyEvent]:
    """Attempts, items and rounds that begin now: in order, within `max_parallel`, and none while a hold or a stop lasts.

    `but_for` names a hold to look past: what would begin without it?
    """
    if state.stop_until is not None or state.over or any(name != but_for for name in state.holds):
        return []
    events: list[AnyEvent] = []
    statuses = state.statuses
    for task in state.ready_free:
        if len(events) >= limit:
            return events
        if statuses[task] == READY:
            events.append(_begin(state, task))
    free = state.plan.max_parallel - state.slots
    for task in state.ready_slot:
        if free <= 0 or len(events) >= limit:
            break
        if statuses[task] == READY:
            events.append(AttemptStarted(task))
            free -= 1
    for task, at in state.open_loops.items():
        if at <= now and len(events) < limit:
            scope = state.nodes[task].scope
            assert scope is not None
            events.append(ScopeOpened(task, scope, state.loops[task].round + 1))
    for task in state.open_each:
        if len(events) >= limit:
            break
        events.extend(_items(state, task, limit - len(events)))
    return events


def _begin(state: RunState, task: int) -> AnyEvent:
    node = state.nodes[task]
    if node.scope is None:
        return AttemptStarted(task)
    return ScopeOpened(task, node.scope, state.attempts[task] + 1)


def _items(state: RunState, task: int, limit: int) -> Iterator[AnyEvent]:
    each, node = state.each[task], state.nodes[task]
    assert node.each is not None
    assert node.scope is not None
    room = min(node.each.max_parallel - each.open, limit)
    for index in each.queue:
        if room <= 0:
            return
        room -= 1
        assert each.states[index] != ITEM_OPEN
        yield ScopeOpened(task, node.scope, index)


def status_change(state: RunState) -> StatusChanged | None:
    """The run's own word, if what it says is no longer true; asked at the end of a turn."""
    if state.over or state.start is None:
        return None
    word, reason = _status_now(state)
    return StatusChanged(word, reason) if (word, reason) != (state.status, state.status_reason) else None


def _status_now(state: RunState) -> tuple[str, str]:
    if state.running or state.preparing or state.concluding:
        return "running", ""
    if state.stop_until is not None:
        return "paused", f"stopped by {state.stop_by}"
    if state.holds:
        name, hold = next(iter(state.holds.items()))
        return "paused", f"hold `{name}`" + (f" by {hold.by}" if hold.by else "") + (
            f": {hold.reason}" if hold.reason else ""
        )
    pending = any(what in ("sleep", "retry", "round") for _, what in state.timers)
    if not pending and (state.questions or state.parked or UNKNOWN in state.statuses):
        return "waiting", "for a person"
    return "running", ""


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
