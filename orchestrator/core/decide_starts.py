"""`starts`: what may begin now, within bounds; `status_change`: the run's own word at the end of a turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.core.events import AnyEvent, AttemptStarted, ScopeOpened, StatusChanged
from orchestrator.core.run_state import ITEM_OPEN, RunState
from orchestrator.core.status import READY, UNKNOWN

STARTS_MAX: Final = 256


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
