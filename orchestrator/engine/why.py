"""Why a task is as it is, from what was recorded."""

from __future__ import annotations

from typing import Any, Final

from orchestrator.core.plan import ORDER, SOFT, VALUE
from orchestrator.core.run_state import RUN, RunState
from orchestrator.core.status import READY, RUNNING, SLEEPING, TASK_WORDS, WAITING
from orchestrator.engine.inspect import task_view, values_of
from orchestrator.engine.task_names import no_such_task
from orchestrator.ports.journal import Journal

JSON = Any

_KIND: Final = {SOFT: "soft", ORDER: "order", VALUE: "value"}


def why(state: RunState, journal: Journal, name: str) -> dict[str, JSON]:
    """{task, verb, status, reason, needs, when, line, attempts, …}. NotFoundError names what there is."""
    task = state.find(name)
    if task is None:
        raise no_such_task(state, name)
    node = state.nodes[task]
    view = task_view(state, journal, values_of(state, journal), task)
    return {
        "task": view.name,
        "verb": view.verb,
        "status": view.status,
        "reason": _reason(state, task, view.reason),
        "needs": _needs(state, task),
        "when": node.when,
        "failure": view.failure,
        "forgiven": view.forgiven,
        "attempts": view.attempts,
        "attempts_max": node.retry.max + 1,
        "wake_at": view.wake_at,
        "question": view.question,
        "because": state.name(state.because[task]) if task in state.because else None,
        "reused": view.reused,
        "by": view.by,
        "line": node.line,
        "workflow": state.plan.workflow,
    }


def _needs(state: RunState, task: int) -> list[dict[str, JSON]]:
    found = []
    for need in state.nodes[task].needs:
        other = state.target(task, need.index, need.up)
        found.append(
            {
                "task": state.name(other),
                "kind": _KIND[need.kind],
                "status": TASK_WORDS[state.statuses[other]],
                "reason": state.reasons.get(other, ""),
            }
        )
    return found


def _held(state: RunState) -> str:
    return f"the run is held by {', '.join(f'`{name}`' for name in state.holds)}"


def _items(state: RunState, task: int) -> str:
    each = state.each[task]
    settled = f"{each.settled} have settled" if each.settled else "none has settled"
    held = f"; {_held(state)}" if state.holds and each.queue else ""
    return f"{each.open} of its {each.count} items are in progress, {settled}{held}"


def _reason(state: RunState, task: int, reason: str) -> str:
    """A sentence also where nothing was recorded because nothing happened yet."""
    if reason:
        return reason
    if state.statuses[task] == WAITING:
        open_needs = [
            f"`{state.name(other)}` ({TASK_WORDS[state.statuses[other]]})"
            for need in state.nodes[task].needs
            if not state.settled(other := state.target(task, need.index, need.up))
        ]
        return f"it waits for {', '.join(open_needs)}"
    if state.statuses[task] == READY:
        if state.holds:
            return _held(state)
        if task in state.preparing:
            return "its `when` or its items are being worked out"
        if state.stop_until is not None:
            return f"the run was stopped by {state.stop_by}"
        return f"{state.slots} tasks run already, `max_parallel` is {state.plan.max_parallel}"
    if state.statuses[task] == RUNNING and task in state.each:
        return _items(state, task)
    if state.statuses[task] == RUNNING and task in state.loops:
        return f"round {state.loops[task].round} is in progress"
    if state.statuses[task] == SLEEPING and task in state.questions:
        return "it asks a question that nobody has answered yet"
    if state.statuses[task] == SLEEPING and state.failures.get(task):
        return f"attempt {state.failures[task]} failed; another follows"
    owner = state.instance_of(task).owner
    return "" if owner == RUN or not state.settled(owner) else f"`{state.name(owner)}` is over"
