"""What the process's exit code says. One table: nothing else in the command line writes these numbers."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from orchestrator.errors import REPLAY_MISS


class ExitCode(IntEnum):
    OK = 0
    BAD = 1
    USAGE = 2
    INVALID = 3
    CREDENTIALS = 4
    WAITING = 5
    LIMIT = 6
    DAEMON = 7
    CHANGES = 8
    REPLAY_MISS = 9
    INTERNAL = 70
    TIMED_OUT = 124
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: Final[dict[ExitCode, str]] = {
    ExitCode.OK: "all is well",
    ExitCode.BAD: "the thing asked about is bad: the run failed or was cancelled, or there are findings",
    ExitCode.USAGE: "the command was called wrongly: an unknown option, name, run or input",
    ExitCode.INVALID: "the workflow is not valid, or uses what this version cannot run yet; nothing started",
    ExitCode.CREDENTIALS: "a key or secret is missing or was refused",
    ExitCode.WAITING: "the run waits for a person, or is held; it goes on with `answer` or `resume`",
    ExitCode.LIMIT: "a budget or limit was hit, one of the provider's included",
    ExitCode.DAEMON: "the daemon cannot be reached",
    ExitCode.CHANGES: "`plan --exit-code` found changes",
    ExitCode.REPLAY_MISS: "a replay met a call that its tape does not have",
    ExitCode.INTERNAL: "an error of whisper-flow itself",
    ExitCode.TIMED_OUT: "the run's timeout ended it",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C; the run is resumable",
    ExitCode.TERMINATED: "ended by SIGTERM; the run is resumable",
}

_FAILED_BECAUSE: Final = {
    "budget": ExitCode.LIMIT,
    "rate_limited": ExitCode.LIMIT,
    "timeout": ExitCode.TIMED_OUT,
    "auth": ExitCode.CREDENTIALS,
}


def of_run(status: str, failure: dict[str, Any] | None) -> ExitCode:
    """The code for a run as it stands: `failure` is the run's own `{type, message, …}`, if it has one."""
    if status in ("succeeded", "warned"):
        return ExitCode.OK
    if status in ("waiting", "paused"):
        return ExitCode.WAITING
    if status == "failed" and failure is not None:
        if str(failure.get("message", "")).startswith(REPLAY_MISS):
            return ExitCode.REPLAY_MISS
        return _FAILED_BECAUSE.get(str(failure.get("type")), ExitCode.BAD)
    return ExitCode.BAD
