"""Moving tasks: the table is asked, successors are told, what ended is no longer wanted, and the last task closes its scope."""

from __future__ import annotations

from collections import deque
from typing import Final

from orchestrator.core.effects import Conclude, Effect, Perform, Prepare, Timer
from orchestrator.core.plan import Node
from orchestrator.core.run_state import ITEM_CANCELLED, ITEM_FAILED, ITEM_OK, ITEM_SKIPPED, RUN, RunState, ScopeInstance
from orchestrator.core.status import (
    BLOCKED,
    CANCELLED,
    FAILED,
    READY,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    TASK_TABLE,
    TASK_WORDS,
    WAITING,
    WARNED,
)


class ImpossibleEventError(AssertionError):
    """The tables have no cell for this event in this state: a mistake of ours, or a damaged journal."""


def check(state: RunState, task: int, event: str) -> int:
    allowed, leaves = TASK_TABLE[event]
    if state.statuses[task] not in allowed:
        raise impossible(state, task, event)
    return leaves


def impossible(state: RunState, task: int, event: str) -> ImpossibleEventError:
    word = TASK_WORDS[state.statuses[task]]
    return ImpossibleEventError(f"task {task} `{state.name(task)}` is {word}: `{event}` cannot happen")


def add_cost(state: RunState, task: int, cost: float) -> None:
    """What an attempt cost, all of it; what was told of it when it asked is in there."""
    state.costs[task] = state.costs.get(task, 0.0) + cost - state.cost_told.pop(task, 0.0)


def leave_running(state: RunState, task: int, node: Node) -> None:
    if state.running.pop(task, RUN) is None and node.slot:
        state.slots -= 1


def settle(state: RunState, task: int, status: int) -> None:
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
            needs_met(state, later)
    if status != SUCCEEDED:
        _note_trouble(state, task, status, instance)
    instance.open -= 1
    if not instance.open:
        close_scope(state, instance)


def _note_trouble(state: RunState, task: int, status: int, instance: ScopeInstance) -> None:
    if status == WARNED:
        state.any_warned = True
    elif status == FAILED and instance.failed < 0 and not state.forgiven(task):
        instance.failed = task
        if instance.owner == RUN and state.plan.fail_fast and state.phase == "main":
            state.review[RUN] = None


def needs_met(state: RunState, task: int) -> None:
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
        queue(state, task)


def queue(state: RunState, task: int) -> None:
    (state.ready_slot if state.nodes[task].slot else state.ready_free).append(task)


def unqueue(state: RunState, task: int) -> None:
    """Starts come off the queue's head in order; what stood before it has gone elsewhere meanwhile."""
    queue: deque[int] = state.ready_slot if state.nodes[task].slot else state.ready_free
    while queue and queue.popleft() != task:
        pass


def set_timer(state: RunState, task: int, what: str, at: float) -> None:
    state.timers[task, what] = at
    state.set_timers.append(Timer(at, task, what))


def forget_plans(state: RunState, task: int) -> None:
    """Whatever was still meant to happen to a task that is over."""
    for what in ("retry", "sleep", "expire", "timeout", "round"):
        state.timers.pop((task, what), None)
    state.questions.pop(task, None)
    state.worked.pop(task, None)
    state.parked.pop(task, None)
    state.sleeping_value.pop(task, None)
    state.condemned.pop(task, None)
    state.review.pop(task, None)
    state.open_each.pop(task, None)
    state.open_loops.pop(task, None)
    if state.preparing.pop(task, RUN) is None:
        unwant(state, Prepare(task))
    index = state.concluding.pop(task, None)
    if index is not None:
        unwant(state, Conclude(task, index))


def unwant(state: RunState, effect: Effect) -> None:
    """Wanted no more: never begun if that is of the same turn."""
    if effect in state.begun:
        state.begun.remove(effect)
    else:
        state.dropped.append(effect)


def drop_attempt(state: RunState, task: int) -> None:
    if task in state.running:
        unwant(state, Perform(task, state.attempts[task]))
        leave_running(state, task, state.nodes[task])


def close_scope(state: RunState, instance: ScopeInstance) -> None:
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
    halted = each.hopeless(policy.enough) or (each.failed >= 0 and policy.on_item_error == "fail")
    enough = policy.enough is not None and each.ok >= policy.enough
    if halted or enough:
        state.open_each.pop(owner, None)
    elif each.queue:
        state.open_each[owner] = None
    if enough or each.settled == each.count or (halted and not each.open):
        state.review[owner] = None
