"""A task that somebody named and the run has not."""

from __future__ import annotations

from typing import Final

from orchestrator.core.run_state import RunState
from orchestrator.errors import NotFoundError
from orchestrator.spec.suggest import did_you_mean

NAMED_MAX: Final = 8
COMPARED_MAX: Final = 10_000


def no_such_task(state: RunState, name: str) -> NotFoundError:
    """With near names; where nothing is near, with those that hold the name as a part, or the first of all."""
    names = list(dict.fromkeys(state.name(each) for each in range(min(len(state.nodes), COMPARED_MAX))))
    near = did_you_mean(name, names)
    if near is None and names:
        shown = [each for each in names if name and name in each] or names
        more = f" and {len(shown) - NAMED_MAX} more" if len(shown) > NAMED_MAX else ""
        near = f"there is {', '.join(f'`{each}`' for each in shown[:NAMED_MAX])}{more}"
    return NotFoundError(f"the run has no task `{name}`", help=near)
