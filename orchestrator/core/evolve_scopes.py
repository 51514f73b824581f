"""Folding what opens scopes: of the run's phases, of groups, items and rounds."""

from __future__ import annotations

from orchestrator.core import retry
from orchestrator.core.events import ItemsOpened, LoopJudged, ScopeOpened
from orchestrator.core.evolve_moves import ImpossibleEventError, check, close_scope, needs_met, set_timer, unqueue
from orchestrator.core.run_state import ITEM_OPEN, RUN, EachRun, LoopRun, RunState, ScopeInstance
from orchestrator.core.status import SUCCEEDED


def scope_opened(state: RunState, event: ScopeOpened) -> None:
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
        needs_met(state, base + local)
    if not size:
        close_scope(state, instance)


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
        check(state, owner, "item_opened")
        each = state.each[owner]
        if not each.queue or each.queue.popleft() != event.index:
            raise ImpossibleEventError(f"`{state.name(owner)}` opened item {event.index} out of turn")
        each.states[event.index] = ITEM_OPEN
        each.instances[event.index] = number
        each.open += 1
        if not each.queue:
            state.open_each.pop(owner, None)
        return
    later = owner in state.loops
    state.statuses[owner] = check(state, owner, "round_opened" if later else "opened")
    if not state.started[owner]:
        state.started[owner] = state.at
    if node.verb == "loop":
        loop = state.loops.get(owner)
        if loop is None:
            unqueue(state, owner)
            state.attempts[owner] = 1
            loop = state.loops[owner] = LoopRun(state.at)
        state.timers.pop((owner, "round"), None)
        state.open_loops.pop(owner, None)
        loop.round = event.index
        loop.round_started = state.at
        loop.instances.append(number)
        return
    unqueue(state, owner)
    state.attempts[owner] += 1
    limit = retry.time_left(node, state.started[owner], state.at)
    if limit is not None:
        set_timer(state, owner, "timeout", state.at + limit)


def items_opened(state: RunState, event: ItemsOpened) -> None:
    task = event.task
    state.statuses[task] = check(state, task, "opened")
    state.preparing.pop(task, None)
    state.attempts[task] += 1
    state.started[task] = state.at
    each = state.each[task] = EachRun(event.count, event.keys, event.items, event.mapping, event.after)
    policy = state.nodes[task].each
    assert policy is not None
    if not event.count or policy.enough == 0 or each.hopeless(policy.enough):
        state.review[task] = None
    elif each.queue:
        state.open_each[task] = None


def loop_judged(state: RunState, event: LoopJudged) -> None:
    check(state, event.task, "judged")
    state.review.pop(event.task, None)
    state.concluding.pop(event.task, None)
    loop = state.loops[event.task]
    loop.done = event.done
    if event.done or event.next_at is None:
        state.review[event.task] = None
        return
    state.open_loops[event.task] = event.next_at
    if event.next_at > state.at:
        set_timer(state, event.task, "round", event.next_at)
