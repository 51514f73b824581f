"""`evolve(state, event)`: applies one recorded event. The only code that changes a run's state; replaying a journal is folding it.

It also notes what began and ceased to be wanted (`begun`, `dropped`, `set_timers`), which the shell drains after the commit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from orchestrator.core.effects import Conclude, Effect, Perform, Prepare, Timer
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
from orchestrator.core.plan import Node
from orchestrator.core.run_state import (
    ITEM_CANCELLED,
    ITEM_FAILED,
    ITEM_OK,
    ITEM_OPEN,
    ITEM_SKIPPED,
    RUN,
    EachRun,
    Hold,
    LoopRun,
    Question,
    RunState,
    ScopeInstance,
)
from orchestrator.core.status import (
    BLOCKED,
    CANCELLED,
    FAILED,
    READY,
    RUN_TABLE,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    TASK_TABLE,
    TASK_WORDS,
    WAITING,
    WARNED,
    RunStatus,
)

AFTER: Final = {"main": "outputs", "on_failure": "failure_seen", "finally": "ending"}
"""phase → the pause after it, in which `decide` opens the next one or ends the run"""


class ImpossibleEventError(AssertionError):
    """The tables have no cell for this event in this state: a mistake of ours, or a damaged journal."""


def evolve(state: RunState, event: AnyEvent) -> None:
    """Fold one event into the state, in place. Raises ImpossibleEventError if the tables forbid it."""
    state.last += 1
    _FOLD[type(event)](state, event)


# --- moving tasks ----------------------------------------------------------------------------------------------------

_STARTED_FROM = TASK_TABLE["attempt_started"][0]
_SUCCEEDED_FROM = TASK_TABLE["succeeded"][0]


def _check(state: RunState, task: int, event: str) -> int:
    allowed, leaves = TASK_TABLE[event]
    if state.statuses[task] not in allowed:
        raise _impossible(state, task, event)
    return leaves


def _impossible(state: RunState, task: int, event: str) -> ImpossibleEventError:
    word = TASK_WORDS[state.statuses[task]]
    return ImpossibleEventError(f"task {task} `{state.name(task)}` is {word}: `{event}` cannot happen")


def _leave_running(state: RunState, task: int, node: Node) -> None:
    if state.running.pop(task, RUN) is None and node.slot:
        state.slots -= 1


def _settle(state: RunState, task: int, status: int) -> None:
    """A task reaches its end: count it, tell its successors, close its scope if it was the last."""
    state.statuses[task] = status
    state.ended[task] = state.at
    number = state.where[task]
    instance = state.scopes[number]
    base = instance.base
    pending = state.pending
    statuses = state.statuses
    for local in state.layout.successors[instance.scope][task - base]:
        later = base + local
        pending[later] -= 1
        if status != SUCCEEDED:
            state.tainted.add(later)
        if not pending[later] and statuses[later] == WAITING:
            _needs_met(state, later)
    if status != SUCCEEDED:
        _note_trouble(state, task, status, instance)
    instance.open -= 1
    if not instance.open:
        _close_scope(state, instance)


def _note_trouble(state: RunState, task: int, status: int, instance: ScopeInstance) -> None:
    if status == WARNED:
        state.any_warned = True
    elif status == FAILED and instance.failed < 0 and not state.forgiven(task):
        instance.failed = task
        if instance.owner == RUN and state.plan.fail_fast and state.phase == "main":
            state.review[RUN] = None


def _needs_met(state: RunState, task: int) -> None:
    if task in state.tainted:
        verdict = state.verdict(task)
        if verdict is not None:
            state.condemned[task] = verdict
            return
    state.statuses[task] = READY
    instance = state.scopes[state.where[task]]
    if state.layout.prepared[instance.scope][task - instance.base]:
        state.preparing[task] = None
        state.begun.append(Prepare(task))
    else:
        _queue(state, task)


def _queue(state: RunState, task: int) -> None:
    (state.ready_slot if state.nodes[task].slot else state.ready_free).append(task)


def _unqueue(state: RunState, task: int) -> None:
    """Starts come off the queue's head in order; what stood before it has gone elsewhere meanwhile."""
    queue: deque[int] = state.ready_slot if state.nodes[task].slot else state.ready_free
    while queue and queue.popleft() != task:
        pass


def _timer(state: RunState, task: int, what: str, at: float) -> None:
    state.timers[task, what] = at
    state.set_timers.append(Timer(at, task, what))


def _forget_plans(state: RunState, task: int) -> None:
    """Whatever was still meant to happen to a task that is over."""
    for what in ("retry", "sleep", "expire", "timeout", "round"):
        state.timers.pop((task, what), None)
    state.questions.pop(task, None)
    state.parked.pop(task, None)
    state.sleeping_value.pop(task, None)
    state.condemned.pop(task, None)
    state.review.pop(task, None)
    state.open_each.pop(task, None)
    state.open_loops.pop(task, None)
    if state.preparing.pop(task, RUN) is None:
        _unwant(state, Prepare(task))
    index = state.concluding.pop(task, None)
    if index is not None:
        _unwant(state, Conclude(task, index))


def _unwant(state: RunState, effect: Effect) -> None:
    """Wanted no more: never begun if that is of the same turn."""
    if effect in state.begun:
        state.begun.remove(effect)
    else:
        state.dropped.append(effect)


def _drop_attempt(state: RunState, task: int) -> None:
    if task in state.running:
        _unwant(state, Perform(task, state.attempts[task]))
        _leave_running(state, task, state.nodes[task])


# --- scopes ----------------------------------------------------------------------------------------------------------


def _scope_opened(state: RunState, event: ScopeOpened) -> None:
    nodes = state.plan.scopes[event.scope].nodes
    size = len(nodes)
    base = len(state.nodes)
    parent = _parent_of(state, event.owner)
    number = len(state.scopes)
    instance = ScopeInstance(event.scope, base, size, event.owner, event.index, parent)
    state.scopes.append(instance)
    state.opened.setdefault(event.owner, []).append(number)
    state.nodes.extend(nodes)
    state.where.extend([number] * size)
    state.statuses.extend(bytes(size))
    state.pending.extend(state.layout.pending[event.scope])
    state.attempts.extend([0] * size)
    state.started.extend([0.0] * size)
    state.ended.extend([0.0] * size)
    state.values.extend([None] * size)
    if event.owner == RUN:
        _phase_opened(state, event, number)
    else:
        _open_composite(state, event, number)
    for local in state.layout.outer[event.scope]:
        if _outer_trouble(state, base + local):
            state.tainted.add(base + local)
    for local in state.layout.initial[event.scope]:
        _needs_met(state, base + local)
    if not size:
        _close_scope(state, instance)


def _parent_of(state: RunState, owner: int) -> int:
    if owner != RUN:
        return state.where[owner]
    return 0 if state.scopes else -1


def _outer_trouble(state: RunState, task: int) -> bool:
    return any(
        state.statuses[state.target(task, need.index, need.up)] != SUCCEEDED
        for need in state.nodes[task].needs
        if need.up and need.kind
    )


def _phase_opened(state: RunState, event: ScopeOpened, number: int) -> None:
    state.review.pop(RUN, None)
    state.phase_scope = number
    state.phase_closed = False
    if not number:
        state.phase = "main"
    else:
        state.phase = "on_failure" if event.scope == state.plan.on_failure else "finally"


def _open_composite(state: RunState, event: ScopeOpened, number: int) -> None:
    owner = event.owner
    node = state.nodes[owner]
    state.review.pop(owner, None)
    if node.verb == "each":
        each = state.each[owner]
        each.queue.popleft()
        each.states[event.index] = ITEM_OPEN
        each.instances[event.index] = number
        each.open += 1
        if not each.queue:
            state.open_each.pop(owner, None)
        return
    state.statuses[owner] = _check(state, owner, "opened")
    if not state.started[owner]:
        state.started[owner] = state.at
    if node.verb == "loop":
        loop = state.loops.get(owner)
        if loop is None:
            _unqueue(state, owner)
            state.attempts[owner] = 1
            loop = state.loops[owner] = LoopRun(state.at)
        state.timers.pop((owner, "round"), None)
        state.open_loops.pop(owner, None)
        loop.round = event.index
        loop.round_started = state.at
        loop.instances.append(number)
        return
    _unqueue(state, owner)
    state.attempts[owner] += 1
    if node.timeout is not None:
        _timer(state, owner, "timeout", state.at + node.timeout)


def _close_scope(state: RunState, instance: ScopeInstance) -> None:
    """All tasks of a scope have settled: its owner owes an event, or waits for the shell to evaluate something."""
    owner = instance.owner
    if owner == RUN:
        state.review[RUN] = None
        state.phase_closed = True
        return
    node = state.nodes[owner]
    if node.verb == "each":
        _close_item(state, owner, instance)
        return
    if state.statuses[owner] != RUNNING:
        return
    if (node.verb == "loop" and node.loop is not None and node.loop.until is None) or instance.failed >= 0:
        state.review[owner] = None
    elif node.verb == "loop" or state.plan.scopes[instance.scope].outputs is not None or node.output is not None:
        state.concluding[owner] = instance.index
        state.begun.append(Conclude(owner, instance.index))
    else:
        state.review[owner] = None


_ITEM_STATE: Final = {
    SUCCEEDED: ITEM_OK,
    WARNED: ITEM_FAILED,
    FAILED: ITEM_FAILED,
    BLOCKED: ITEM_FAILED,
    SKIPPED: ITEM_SKIPPED,
    CANCELLED: ITEM_CANCELLED,
}


def _close_item(state: RunState, owner: int, instance: ScopeInstance) -> None:
    each = state.each[owner]
    each.settle(instance.index, _ITEM_STATE[state.statuses[instance.base]])
    if state.statuses[owner] != RUNNING:
        return
    policy = state.nodes[owner].each
    assert policy is not None
    halted = each.failed >= 0 and policy.on_item_error == "fail"
    enough = policy.enough is not None and each.ok >= policy.enough
    if halted or enough:
        state.open_each.pop(owner, None)
    elif each.queue:
        state.open_each[owner] = None
    if enough or each.settled == each.count or (halted and not each.open):
        state.review[owner] = None


# --- tasks -----------------------------------------------------------------------------------------------------------


def _attempt_started(state: RunState, event: AttemptStarted) -> None:
    task = event.task
    if state.statuses[task] not in _STARTED_FROM:
        raise _impossible(state, task, "attempt_started")
    node = state.nodes[task]
    _unqueue(state, task)
    state.statuses[task] = RUNNING
    state.attempts[task] += 1
    if not state.started[task]:
        state.started[task] = state.at
    if node.slot:
        state.slots += 1
    state.running[task] = None
    state.begun.append(Perform(task, state.attempts[task]))


def _task_succeeded(state: RunState, event: TaskSucceeded) -> None:
    task = event.task
    if state.statuses[task] not in _SUCCEEDED_FROM:
        raise _impossible(state, task, "succeeded")
    node = state.nodes[task]
    state.values[task] = event.value
    if task in state.running:
        _leave_running(state, task, node)
    else:
        _forget_plans(state, task)
    if event.meta is not None:
        state.metas[task] = event.meta
    if event.cost is not None:
        state.costs[task] = state.costs.get(task, 0.0) + event.cost
    if event.usage:
        state.usages[task] = event.usage
    if event.reused is not None:
        state.reused[task] = event.reused
    if event.by is not None:
        state.by[task] = event.by
    _settle(state, task, SUCCEEDED)


def _task_failed(state: RunState, event: TaskFailed) -> None:
    task = event.task
    node = state.nodes[task]
    status = _check(state, task, "warned" if node.on_error == "warn" else "failed")
    _drop_attempt(state, task)
    _forget_plans(state, task)
    state.failed_with[task] = event.failure
    if event.meta is not None:
        state.metas[task] = event.meta
    if event.cost is not None:
        state.costs[task] = state.costs.get(task, 0.0) + event.cost
    if event.by is not None:
        state.by[task] = event.by
    _settle(state, task, status)


def _attempt_failed(state: RunState, event: AttemptFailed) -> None:
    task = event.task
    state.statuses[task] = _check(state, task, "retry_scheduled")
    _leave_running(state, task, state.nodes[task])
    state.review.pop(task, None)
    index = state.concluding.pop(task, None)
    if index is not None:
        _unwant(state, Conclude(task, index))
    state.timers.pop((task, "timeout"), None)
    state.failures[task] = state.failures.get(task, 0) + 1
    state.failed_with[task] = event.failure
    if event.meta is not None:
        state.metas[task] = event.meta
    _timer(state, task, "retry", event.retry_at)


def _task_settled(state: RunState, event: TaskSettled) -> None:
    task = event.task
    _check(state, task, TASK_WORDS[event.status])
    _drop_attempt(state, task)
    _forget_plans(state, task)
    state.reasons[task] = event.reason
    if event.because >= 0:
        state.because[task] = event.because
    _settle(state, task, event.status)


def _task_prepared(state: RunState, event: TaskPrepared) -> None:
    _check(state, event.task, "prepared")
    state.preparing.pop(event.task, None)
    _queue(state, event.task)


def _items_opened(state: RunState, event: ItemsOpened) -> None:
    task = event.task
    state.statuses[task] = _check(state, task, "opened")
    state.preparing.pop(task, None)
    state.attempts[task] += 1
    state.started[task] = state.at
    each = state.each[task] = EachRun(event.count, event.keys, event.items, event.mapping, event.after)
    policy = state.nodes[task].each
    assert policy is not None
    if not event.count or policy.enough == 0:
        state.review[task] = None
    elif each.queue:
        state.open_each[task] = None


def _task_slept(state: RunState, event: TaskSlept) -> None:
    state.statuses[event.task] = _check(state, event.task, "slept")
    _leave_running(state, event.task, state.nodes[event.task])
    state.sleeping_value[event.task] = event.value
    _timer(state, event.task, "sleep", event.until)


def _task_asked(state: RunState, event: TaskAsked) -> None:
    state.statuses[event.task] = _check(state, event.task, "asked")
    _leave_running(state, event.task, state.nodes[event.task])
    state.questions[event.task] = Question(event.question, event.expires_at, event.on_expired, event.expired_value)
    if event.expires_at is not None:
        _timer(state, event.task, "expire", event.expires_at)


def _task_parked(state: RunState, event: TaskParked) -> None:
    state.statuses[event.task] = _check(state, event.task, "parked")
    _leave_running(state, event.task, state.nodes[event.task])
    state.parked[event.task] = event.reason


def _attempt_cut(state: RunState, event: AttemptCut) -> None:
    task = event.task
    lost = state.nodes[task].effect == "at_most_once"
    leaves = _check(state, task, "lost" if lost else "cut")
    _drop_attempt(state, task)
    state.statuses[task] = leaves
    state.reasons[task] = event.reason
    if leaves == READY:
        _queue(state, task)


def _task_woke(state: RunState, event: TaskWoke) -> None:
    state.statuses[event.task] = _check(state, event.task, "woke")
    state.timers.pop((event.task, "retry"), None)
    state.parked.pop(event.task, None)
    _queue(state, event.task)


def _task_resolved(state: RunState, event: TaskResolved) -> None:
    state.statuses[event.task] = _check(state, event.task, "resolved")
    state.parked.pop(event.task, None)
    state.by[event.task] = event.by
    _queue(state, event.task)


def _loop_judged(state: RunState, event: LoopJudged) -> None:
    state.review.pop(event.task, None)
    state.concluding.pop(event.task, None)
    loop = state.loops[event.task]
    loop.done = event.done
    if event.done or event.next_at is None:
        state.review[event.task] = None
        return
    state.open_loops[event.task] = event.next_at
    if event.next_at > state.at:
        _timer(state, event.task, "round", event.next_at)


# --- the run ---------------------------------------------------------------------------------------------------------


def _run_started(state: RunState, event: RunStarted) -> None:
    state.start = event
    state.started_at = state.at
    state.git = event.git
    if state.plan.timeout is not None:
        _timer(state, RUN, "run", state.at + state.plan.timeout)


def _run_claimed(state: RunState, event: RunClaimed) -> None:
    state.driver = event.driver
    state.stop_until = None
    state.timers.pop((RUN, "stop"), None)


def _git_pinned(state: RunState, event: GitPinned) -> None:
    state.git = event.git


def _outputs_set(state: RunState, event: OutputsSet) -> None:
    state.concluding.pop(RUN, None)
    state.outputs = event.value
    state.failure = event.failure
    state.review[RUN] = None


def _phase_ended(state: RunState, event: PhaseEnded) -> None:
    state.phase_closed = False
    state.phase = AFTER[event.phase]
    if event.phase == "main":
        state.review.pop(RUN, None)
        if state.plan.outputs and state.cancel is None:
            state.concluding[RUN] = 0
            state.begun.append(Conclude(RUN, 0))
            return
    state.review[RUN] = None


def _hold_set(state: RunState, event: HoldSet) -> None:
    state.holds[event.name] = Hold(event.by, event.reason, state.at)


def _hold_cleared(state: RunState, event: HoldCleared) -> None:
    state.holds.pop(event.name, None)


def _cancel_requested(state: RunState, event: CancelRequested) -> None:
    if state.cancel is None:
        state.cancel = event
    state.timers.pop((RUN, "run"), None)
    if state.phase == "outputs":
        if state.concluding.pop(RUN, None) is not None:
            _unwant(state, Conclude(RUN, 0))
        state.review[RUN] = None


def _end_requested(state: RunState, event: EndRequested) -> None:
    if state.end is None:
        state.end = event
        state.message = event.message


def _stop_requested(state: RunState, event: StopRequested) -> None:
    state.stop_until = event.until
    state.stop_by = event.by
    _timer(state, RUN, "stop", event.until)


def _status_changed(state: RunState, event: StatusChanged) -> None:
    name = {"running": "went_on", "waiting": "waits", "paused": "held"}[event.status]
    _move_run(state, name)
    state.status_reason = event.reason


def _run_ended(state: RunState, event: RunEnded) -> None:
    _move_run(state, event.status)
    state.status_reason = ""
    state.ended_at = state.at
    state.failure = event.failure
    state.message = event.message
    state.phase = "over"
    state.timers.clear()
    state.review.clear()


def _move_run(state: RunState, event: str) -> None:
    allowed, leaves = RUN_TABLE[event]
    if state.status not in allowed:
        raise ImpossibleEventError(f"the run is {state.status}: `{event}` cannot happen")
    status: RunStatus = leaves
    state.status = status


_FOLD: Final[dict[type[Any], Callable[[RunState, Any], None]]] = {
    RunStarted: _run_started,
    RunClaimed: _run_claimed,
    GitPinned: _git_pinned,
    ScopeOpened: _scope_opened,
    TaskPrepared: _task_prepared,
    ItemsOpened: _items_opened,
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
    LoopJudged: _loop_judged,
    OutputsSet: _outputs_set,
    PhaseEnded: _phase_ended,
    HoldSet: _hold_set,
    HoldCleared: _hold_cleared,
    CancelRequested: _cancel_requested,
    EndRequested: _end_requested,
    StopRequested: _stop_requested,
    StatusChanged: _status_changed,
    RunEnded: _run_ended,
    TaskWoke: _task_woke,
}
