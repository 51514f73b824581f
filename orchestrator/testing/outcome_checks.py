"""What must hold of a run that came to its end, told from the words of the grammar and not from the machine's code."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.core.plan import SOFT, VALUE
from orchestrator.core.run_state import RUN, RunState
from orchestrator.core.status import BLOCKED, CANCELLED, FAILED, SKIPPED, SUCCEEDED, WARNED

Require = Callable[[bool, str], None]


def check_end(state: RunState, require: Require) -> None:
    require(not state.running, "something still runs after the end")
    open_tasks = [task for task in range(len(state.nodes)) if not state.settled(task)]
    require(not open_tasks, f"{len(open_tasks)} tasks never settled")
    if state.cancel is None and state.end is None:
        for task in range(len(state.nodes)):
            _check_flow(state, require, task)
    _check_items(state, require)
    _check_word(state, require)


def _check_flow(state: RunState, require: Require, task: int) -> None:
    """Held against an oracle of its own: what stood or did not stand in the way explains the task's end."""
    verdict = expected_verdict(state, task)
    status = state.statuses[task]
    if verdict is not None:
        require(status in (verdict, CANCELLED), f"`{state.name(task)}` should be {verdict}, is {status}")
    else:
        require(status != BLOCKED, f"`{state.name(task)}` is blocked by nothing")


def _check_items(state: RunState, require: Require) -> None:
    for task, each in state.each.items():
        if state.statuses[task] != SUCCEEDED:
            continue
        policy = state.nodes[task].each
        assert policy is not None
        ok = sum(1 for at in range(each.count) if _item_ok(state, each.instances[at]))
        require(ok == each.ok, f"`{state.name(task)}` counts {each.ok} good items, there are {ok}")
        if policy.enough is not None:
            require(ok >= policy.enough, "fewer items than enough")
        elif policy.on_item_error == "fail":
            failed = [at for at in range(each.count) if each.states[at] == 3]
            require(not failed, f"`{state.name(task)}` succeeded with failed items")


def _item_ok(state: RunState, number: int) -> bool:
    return number >= 0 and state.statuses[state.scopes[number].base] == SUCCEEDED


def _check_word(state: RunState, require: Require) -> None:
    if state.cancel is not None or state.end is not None:
        return
    failed = [
        task
        for phase in (state.scopes[number] for number in state.opened[RUN])
        for task in range(phase.base, phase.base + phase.size)
        if state.statuses[task] == FAILED and not state.forgiven(task)
    ]
    require((state.status == "failed") == bool(failed), f"the run is {state.status}, {len(failed)} tasks failed")


def expected_verdict(state: RunState, task: int) -> int | None:
    """The propagation rule of the grammar, written a second time and from the words only."""

    def forgiven(other: int) -> bool:
        return state.statuses[other] == WARNED or (
            state.statuses[other] == FAILED and state.nodes[other].on_error == "continue"
        )

    needs = [(need.kind, state.target(task, need.index, need.up)) for need in state.nodes[task].needs]
    hard = [(kind, other) for kind, other in needs if kind != SOFT]
    if any(state.statuses[other] == BLOCKED for _, other in hard):
        return BLOCKED
    if any(state.statuses[other] in (FAILED, CANCELLED) and not forgiven(other) for _, other in hard):
        return BLOCKED
    if any(kind == VALUE and state.statuses[other] != SUCCEEDED for kind, other in hard):
        return SKIPPED
    return None
