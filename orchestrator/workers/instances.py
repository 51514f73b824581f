"""WorkerInstance: a worker at work, and the one table of what its status may become."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from orchestrator.workers.errors import PreconditionFailedError

InstanceStatus = Literal[
    "initializing",
    "idle",
    "busy",
    "context_full",
    "rate_limited",
    "token_limit_reached",
    "retired_completed",
    "retired_exhausted",
    "retired_error",
    "error",
]

RETIRED: Final[tuple[InstanceStatus, ...]] = ("retired_completed", "retired_exhausted", "retired_error")
FULL: Final[tuple[InstanceStatus, ...]] = ("context_full", "rate_limited", "token_limit_reached")

# status → what it may become; the retired ones are for ever
STATUS_TABLE: Final[dict[InstanceStatus, tuple[InstanceStatus, ...]]] = {
    "initializing": ("idle", "busy", "error", *RETIRED),
    "idle": ("busy", "error", *FULL, *RETIRED),
    "busy": ("idle", "error", *FULL, *RETIRED),
    "context_full": ("idle", "busy", "error", *RETIRED),
    "rate_limited": ("idle", "busy", "token_limit_reached", "error", *RETIRED),
    "token_limit_reached": ("idle", "error", *RETIRED),
    "error": ("idle", *RETIRED),
    "retired_completed": (),
    "retired_exhausted": (),
    "retired_error": (),
}
"""Who moves it: `spawn` → initializing, idle; a prompt → busy, and back; the provider's answers → context_full, rate_limited,
error; the token count → token_limit_reached; `retire` → retired_…"""


class TokenUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    input: int = 0
    output: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output


class Turn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One message of the conversation, as text."""

    role: Literal["user", "assistant", "tool"]
    content: str


class WorkerInstance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value: every change makes a new one under the same id."""

    instance_id: str
    definition_id: str
    status: InstanceStatus = "initializing"
    conversation_history: tuple[Turn, ...] = ()
    """Known while its process lives; the journal has the whole."""
    created_at: float
    last_activity_at: float
    """Epoch seconds."""
    session_token_usage: TokenUsage = TokenUsage()
    current_config: dict[str, Any] = {}
    """`base_config` and what was overridden."""
    active_file_contexts: tuple[str, ...] = ()
    last_error: str = ""
    retirement_reason: str = ""

    @property
    def active(self) -> bool:
        return self.status not in RETIRED

    def shown(self) -> dict[str, Any]:
        page: dict[str, Any] = msgspec.to_builtins(self)
        page["session_token_usage"]["total"] = self.session_token_usage.total
        return page


def moved(instance: WorkerInstance, status: InstanceStatus, now: float, **facts: Any) -> WorkerInstance:
    """The instance in its next status. Staying in one is no move. Raises PreconditionFailedError for a move the table lacks."""
    if status != instance.status and status not in STATUS_TABLE[instance.status]:
        may = ", ".join(STATUS_TABLE[instance.status]) or "nothing: it is retired"
        raise PreconditionFailedError(
            f"instance {instance.instance_id} is {instance.status} and cannot become {status}",
            help=f"it may become {may}",
        )
    return msgspec.structs.replace(instance, status=status, last_activity_at=now, **facts)
