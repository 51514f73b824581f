"""The errors a user or a caller can meet, split by whose fault it is and what can be done next.

Floor zero: imports nothing of ours. A class's fields carry the facts; `str(error)` is the sentence people read.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

ErrorType = Literal[
    "exit",
    "timeout",
    "cancelled",
    "missing_value",
    "invalid_input",
    "invalid_output",
    "rate_limited",
    "overloaded",
    "outage",
    "auth",
    "context_too_long",
    "refused",
    "budget",
    "tool",
    "denied",
    "lost",
    "internal",
]
"""What `retry.on` and `error.type` may say: fixed for ever (grammar, rule 11)."""

ERROR_TYPES: Final[tuple[str, ...]] = get_args(ErrorType)


REPLAY_MISS: Final = "replay miss"
"""What the message of a run begins with whose tape had no answer: the exit code goes by it."""


class WhisperFlowError(Exception):
    """Base of every error this package raises on purpose; `help` is the remedy, where one is known."""

    exit_code: int = 1

    def __init__(self, message: str, *, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


class UsageError(WhisperFlowError):
    """The call itself is wrong: a bad option, an unknown name, an impossible combination."""

    exit_code = 2


class NotFoundError(UsageError):
    """A run, task, file or name that was asked for does not exist."""


class InvalidInputsError(WhisperFlowError):
    """The inputs given to a workflow do not fit what it declares; `problems` has one line for each."""

    exit_code = 2

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class NotYetError(WhisperFlowError):
    """The language has the word, this version cannot run it yet."""

    exit_code = 3


class CredentialsError(WhisperFlowError):
    """A key or secret that the run needs is missing."""

    exit_code = 4


class TaskError(WhisperFlowError):
    """A task's attempt failed; `type` decides what `retry.on` and `on_error` do with it.

    `meta` holds what the attempt is known by besides its value (stdout, stderr, exit_code, response: JSON only).
    """

    def __init__(
        self, type: ErrorType, message: str, *, help: str | None = None, meta: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message, help=help)
        self.type: ErrorType = type
        self.meta: dict[str, Any] = meta or {}


class JournalError(WhisperFlowError):
    """The journal could not do what was asked."""


class JournalConflictError(JournalError):
    """An append's expected event number is not the stream's: somebody else drives this run now."""


class JournalFullError(JournalError):
    """The disk (or quota) under the journal is full: nothing was written; the run is resumable."""


class JournalVersionError(JournalError):
    """The journal was written by a newer version of this program."""


class StateRefusedError(WhisperFlowError):
    """The state folder is not this user's own: it came with a clone, or other users can reach it."""

    exit_code = 2


class RunBusyError(WhisperFlowError):
    """Another living process drives this run; `holder` says which."""

    def __init__(self, run_id: str, holder: str) -> None:
        super().__init__(f"run {run_id} is being driven by {holder}")
        self.run_id = run_id
        self.holder = holder
