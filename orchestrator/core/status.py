"""The words for what a task and a run are, and the literal tables of how they may change. Fixed for ever (grammar, rule 11).

A cell that is missing from a table is a bug of ours: `moved` names the state and the event.
"""

from __future__ import annotations

from typing import Final, Literal

TaskStatus = Literal[
    "waiting",
    "ready",
    "running",
    "sleeping",
    "succeeded",
    "warned",
    "failed",
    "blocked",
    "skipped",
    "cancelled",
    "unknown",
]
RunStatus = Literal["running", "waiting", "paused", "succeeded", "warned", "failed", "cancelled"]

# A run's arrays hold these as small integers; the order is part of the journal's meaning, so words are only ever added.
WAITING: Final = 0
"""Something it needs has not settled."""
READY: Final = 1
"""All it needs has settled; waits for a free place, for a hold to lift, or for its `when`."""
RUNNING: Final = 2
"""An attempt is in progress; a composite has children open."""
SLEEPING: Final = 3
"""Between two attempts, in a `wait`, or until a person answers; holds no process."""
SUCCEEDED: Final = 4
WARNED: Final = 5
"""Failed, forgiven by `on_error: warn`; the run ends `warned` at best."""
FAILED: Final = 6
"""Failed for good; forgiven below if its node says `on_error: continue`."""
BLOCKED: Final = 7
"""Something it needs failed, was cancelled or was blocked, unforgiven."""
SKIPPED: Final = 8
"""`when` was false, or a value it needs did not come to be."""
CANCELLED: Final = 9
UNKNOWN: Final = 10
"""An `at_most_once` attempt was cut off: nobody can know whether it took effect; waits for a person's word."""

TASK_WORDS: Final[tuple[TaskStatus, ...]] = (
    "waiting", "ready", "running", "sleeping", "succeeded", "warned", "failed", "blocked", "skipped", "cancelled", "unknown",
)  # fmt: skip

SETTLED_ALONE: Final = frozenset({BLOCKED, SKIPPED, CANCELLED})
"""Ends that a task comes to without an attempt of its own."""
TERMINAL: Final = frozenset({SUCCEEDED, WARNED, FAILED, BLOCKED, SKIPPED, CANCELLED})
RUN_TERMINAL: Final = frozenset({"succeeded", "warned", "failed", "cancelled"})

# event → the states it may find a task in → the state it leaves (a READY task that woke goes to the queue's end)
TASK_TABLE: Final[dict[str, tuple[frozenset[int], int]]] = {
    "needs_met": (frozenset({WAITING}), READY),
    "prepared": (frozenset({READY}), READY),
    "attempt_started": (frozenset({READY}), RUNNING),
    "opened": (frozenset({READY}), RUNNING),
    "item_opened": (frozenset({RUNNING}), RUNNING),
    "round_opened": (frozenset({RUNNING}), RUNNING),
    "judged": (frozenset({RUNNING}), RUNNING),
    "retry_scheduled": (frozenset({RUNNING}), SLEEPING),
    "slept": (frozenset({RUNNING}), SLEEPING),
    "asked": (frozenset({RUNNING}), SLEEPING),
    "parked": (frozenset({RUNNING}), SLEEPING),
    "woke": (frozenset({SLEEPING}), READY),
    "answered": (frozenset({SLEEPING}), READY),
    "cut": (frozenset({RUNNING}), READY),
    "lost": (frozenset({RUNNING}), UNKNOWN),
    "resolved": (frozenset({UNKNOWN, SLEEPING}), READY),
    "succeeded": (frozenset({RUNNING, SLEEPING, UNKNOWN}), SUCCEEDED),
    "warned": (frozenset({READY, RUNNING, SLEEPING, UNKNOWN}), WARNED),
    "failed": (frozenset({READY, RUNNING, SLEEPING, UNKNOWN}), FAILED),
    "blocked": (frozenset({WAITING}), BLOCKED),
    "skipped": (frozenset({WAITING, READY, SLEEPING}), SKIPPED),
    "cancelled": (frozenset({WAITING, READY, RUNNING, SLEEPING, UNKNOWN}), CANCELLED),
}

# event → the states it may find a run in → the state it leaves
RUN_TABLE: Final[dict[str, tuple[frozenset[RunStatus], RunStatus]]] = {
    "went_on": (frozenset({"running", "waiting", "paused"}), "running"),
    "waits": (frozenset({"running", "paused", "waiting"}), "waiting"),
    "held": (frozenset({"running", "waiting", "paused"}), "paused"),
    "succeeded": (frozenset({"running", "paused", "waiting"}), "succeeded"),
    "warned": (frozenset({"running", "paused", "waiting"}), "warned"),
    "failed": (frozenset({"running", "paused", "waiting"}), "failed"),
    "cancelled": (frozenset({"running", "paused", "waiting"}), "cancelled"),
}
