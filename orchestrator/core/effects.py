"""What should be in progress: orders the shell carries out, each named by the task (and attempt or round) it serves."""

from __future__ import annotations

from typing import NamedTuple


class Prepare(NamedTuple):
    """Evaluate `when` and, for an each, its items; answer with inputs.Prepared."""

    task: int


class Perform(NamedTuple):
    """Run one attempt of a leaf; answer with one of the inputs.Attempt…"""

    task: int
    attempt: int


class Conclude(NamedTuple):
    """Evaluate `until` (loop) or `outputs` (group; the run, task -1); answer with inputs.Concluded."""

    task: int
    number: int


Effect = Prepare | Perform | Conclude


class Timer(NamedTuple):
    at: float
    task: int
    what: str
    """retry, sleep, expire, timeout, round, stop, run."""
