"""What can go wrong with workers, by what the caller can do next: `kind` is one word of a closed list, checkable by a program."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from orchestrator.errors import WhisperFlowError

WorkerErrorKind = Literal[
    "not_found", "rate_limited", "precondition_failed", "invalid_argument", "configuration", "model_error", "internal"
]


class WorkerError(WhisperFlowError):
    """Base of all of them."""

    kind: ClassVar[WorkerErrorKind] = "internal"

    def shown(self) -> dict[str, Any]:
        """For programs: kind, message, help, and the facts of its kind."""
        return {"kind": self.kind, "message": self.message, "help": self.help}


class WorkerNotFoundError(WorkerError):
    """No definition or instance has that id."""

    kind = "not_found"
    exit_code = 2


class WorkerRateLimitedError(WorkerError):
    """A limit of the worker, or of its provider, is used up."""

    kind = "rate_limited"
    exit_code = 6

    def __init__(self, message: str, *, retry_at: float | None, help: str | None = None) -> None:
        super().__init__(message, help=help)
        self.retry_at = retry_at
        """Epoch seconds from which another try makes sense; None if nobody can say."""

    def shown(self) -> dict[str, Any]:
        return {**super().shown(), "retry_at": self.retry_at}


class PreconditionFailedError(WorkerError):
    """It exists, but its state does not allow this: disabled, retired, not meant for single calls, declared in a file."""

    kind = "precondition_failed"


class InvalidArgumentError(WorkerError):
    """A value is not what the operation takes; nothing was done."""

    kind = "invalid_argument"
    exit_code = 2


class WorkerConfigurationError(WorkerError):
    """The definition cannot be used as it is: its key is missing, its provider or model is unknown."""

    kind = "configuration"
    exit_code = 4


class ModelError(WorkerError):
    """The model was asked and did not answer."""

    kind = "model_error"

    def __init__(self, message: str, *, error_type: str, help: str | None = None) -> None:
        super().__init__(message, help=help)
        self.error_type = error_type
        """One of `errors.ERROR_TYPES`."""

    def shown(self) -> dict[str, Any]:
        return {**super().shown(), "error_type": self.error_type}


class WorkerInternalError(WorkerError):
    """Our own mistake, or the disk's."""

    kind = "internal"
    exit_code = 70
