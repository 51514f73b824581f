"""One turn of a run: every waiting input decided and folded, what follows from it, then what may start: one append for all.

The shell calls `advance`, appends what it returns, and only after the commit carries out what `state.begun` and `state.dropped` say.
The simulation drives this very function.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from orchestrator.core.decide import RefusedError, decide
from orchestrator.core.decide_review import consequences
from orchestrator.core.decide_starts import STARTS_MAX, starts, status_change
from orchestrator.core.events import AnyEvent
from orchestrator.core.evolve import evolve
from orchestrator.core.inputs import AnyInput
from orchestrator.core.run_state import RunState


class Refusal(NamedTuple):
    given: AnyInput
    reason: str


class Turn(NamedTuple):
    events: list[AnyEvent]
    refusals: list[Refusal]
    more: bool
    """The turn was full: another should follow at once, input or not."""


def advance(state: RunState, inputs: Iterable[AnyInput], now: float, *, may_start: bool = True) -> Turn:
    """Fold the inputs and all that follows into the state, and return the events for one append. With `may_start` False nothing
    new begins: the shell first asks the delegates about it, and then calls again for the same append.

    Raises ImpossibleEventError if the machine's tables forbid what it decided; the state is then worthless and must be folded again.
    """
    state.at = now
    events: list[AnyEvent] = []
    refusals: list[Refusal] = []
    for given in inputs:
        try:
            decided = decide(state, given, now)
        except RefusedError as refused:
            refusals.append(Refusal(given, str(refused)))
            continue
        _fold(state, decided, events)
    _settle_down(state, now, events)
    left = STARTS_MAX if may_start else 0
    while left > 0 and (started := starts(state, now, left)):
        left -= len(started)
        _fold(state, started, events)
        _settle_down(state, now, events)
    change = status_change(state) if may_start else None
    if change is not None:
        _fold(state, [change], events)
    return Turn(events, refusals, more=may_start and left <= 0)


def _fold(state: RunState, decided: list[AnyEvent], events: list[AnyEvent]) -> None:
    for event in decided:
        evolve(state, event)
    events.extend(decided)


def _settle_down(state: RunState, now: float, events: list[AnyEvent]) -> None:
    while state.condemned or state.review:
        following = consequences(state, now)
        if not following:
            return
        _fold(state, following, events)


def replay(state: RunState, at: float, events: Iterable[AnyEvent]) -> None:
    """Fold one recorded batch. Nothing is wanted of the shell for what is history: read `wanted(state)` at the end."""
    state.at = at
    for event in events:
        evolve(state, event)
    state.begun.clear()
    state.dropped.clear()
    state.set_timers.clear()
