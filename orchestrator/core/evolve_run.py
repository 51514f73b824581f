"""Folding what happens to a run as a whole: its start, holds, phases and end."""

from __future__ import annotations

from typing import Final

from orchestrator.core.effects import Conclude
from orchestrator.core.events import (
    CancelRequested,
    EndRequested,
    GitPinned,
    HoldCleared,
    HoldSet,
    OutputsSet,
    PhaseEnded,
    RunClaimed,
    RunEnded,
    RunStarted,
    StatusChanged,
    StopRequested,
)
from orchestrator.core.evolve_moves import ImpossibleEventError, set_timer, unwant
from orchestrator.core.run_state import RUN, Hold, RunState
from orchestrator.core.status import RUN_TABLE, RunStatus

AFTER: Final = {"main": "outputs", "on_failure": "failure_seen", "finally": "ending"}


def run_started(state: RunState, event: RunStarted) -> None:
    if state.start is not None:
        raise ImpossibleEventError(f"the run is {state.status}: it cannot be started twice")
    state.start = event
    state.started_at = state.at
    state.git = event.git
    if state.plan.timeout is not None:
        set_timer(state, RUN, "run", state.at + state.plan.timeout)


def run_claimed(state: RunState, event: RunClaimed) -> None:
    state.driver = event.driver
    state.stop_until = None
    state.timers.pop((RUN, "stop"), None)


def git_pinned(state: RunState, event: GitPinned) -> None:
    state.git = event.git


def outputs_set(state: RunState, event: OutputsSet) -> None:
    state.concluding.pop(RUN, None)
    state.outputs = event.value
    state.failure = event.failure
    state.review[RUN] = None


def phase_ended(state: RunState, event: PhaseEnded) -> None:
    if event.phase != state.phase or not state.phase_closed:
        raise ImpossibleEventError(f"phase {state.phase or 'none'} goes on: phase {event.phase} cannot end")
    state.phase_closed = False
    state.phase = AFTER[event.phase]
    if event.phase == "main":
        state.review.pop(RUN, None)
        if state.plan.outputs and state.cancel is None:
            state.concluding[RUN] = 0
            state.begun.append(Conclude(RUN, 0))
            return
    state.review[RUN] = None


def hold_set(state: RunState, event: HoldSet) -> None:
    state.holds[event.name] = Hold(event.by, event.reason, state.at)


def hold_cleared(state: RunState, event: HoldCleared) -> None:
    state.holds.pop(event.name, None)


def cancel_requested(state: RunState, event: CancelRequested) -> None:
    if state.cancel is None:
        state.cancel = event
    state.timers.pop((RUN, "run"), None)
    if state.phase == "outputs":
        if state.concluding.pop(RUN, None) is not None:
            unwant(state, Conclude(RUN, 0))
        state.review[RUN] = None


def end_requested(state: RunState, event: EndRequested) -> None:
    if state.end is None:
        state.end = event
        state.message = event.message


def stop_requested(state: RunState, event: StopRequested) -> None:
    state.stop_until = event.until
    state.stop_by = event.by
    set_timer(state, RUN, "stop", event.until)


def status_changed(state: RunState, event: StatusChanged) -> None:
    name = {"running": "went_on", "waiting": "waits", "paused": "held"}[event.status]
    move_run(state, name)
    state.status_reason = event.reason


def run_ended(state: RunState, event: RunEnded) -> None:
    move_run(state, event.status)
    state.status_reason = ""
    state.ended_at = state.at
    state.failure = event.failure
    state.message = event.message
    state.phase = "over"
    state.timers.clear()
    state.review.clear()


def move_run(state: RunState, event: str) -> None:
    allowed, leaves = RUN_TABLE[event]
    if state.status not in allowed:
        raise ImpossibleEventError(f"the run is {state.status}: `{event}` cannot happen")
    status: RunStatus = leaves
    state.status = status
