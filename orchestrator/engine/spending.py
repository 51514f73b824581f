"""Which budgets an agent of a run draws on: those of the runs that called it, outermost first, and its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrator.core.run_state import RunState

if TYPE_CHECKING:
    from orchestrator.engine.running import RunHandle

JSON = Any
Driving = Callable[[str], "RunHandle | None"]


def budgets_of(run_id: str, state: RunState, driving: Driving) -> tuple[dict[str, JSON], ...]:
    """Each as the `Sessions` port takes it: `name` is one pot, `streams` the conversations that already drew on it.

    `driving` finds the caller of a run. A caller always runs in the same engine while it waits; a run that was detached
    answers for itself.
    """
    start = state.start
    limits = {**(state.plan.budget or {}), **((start.budget if start is not None else None) or {})}
    own = ({"name": f"run {run_id}", "streams": f"{run_id}/agent/", **limits},) if limits else ()
    if start is None or not start.parent or (caller := driving(start.parent)) is None:
        return own
    return (*budgets_of(start.parent, caller.state, driving), *own)
