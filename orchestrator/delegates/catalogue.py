"""Every event and control there is, listed once, with its payload and when it happens (`whisper-flow events list`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.delegates.payloads import Payload

EventKind = Literal["notification", "control"]


class EventEntry(NamedTuple):
    name: str
    kind: EventKind
    origin: Literal["engine", "ai_loop"]
    description: str
    model: str
    """Name of the payload's model in `payloads.py`, which is imported when somebody asks for it."""

    @property
    def payload(self) -> type[Payload]:
        from orchestrator.delegates import payloads

        model: type[Payload] = getattr(payloads, self.model)
        return model

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the payload's fields, its own first."""
        names = self.payload.__struct_fields__
        return tuple(n for n in names if n not in _COMMON) + tuple(n for n in names if n in _COMMON)


_COMMON: Final = frozenset({"run_id", "agent_id", "session_id"})

ENGINE_STARTED: Final = "engine_started"
ENGINE_STOPPED: Final = "engine_stopped"
TASK_STARTED: Final = "task_execution_started"
TASK_COMPLETED: Final = "task_execution_completed"
ENGINE_ERROR: Final = "engine_error_occurred"
DELEGATE_ERROR: Final = "delegate_execution_error"
REQUEST_PAUSE: Final = "engine_request_pause"
REQUEST_STOP: Final = "engine_request_stop"
LOOP_STARTED: Final = "ai_loop_started"
LOOP_STOPPED: Final = "ai_loop_stopped"
REQUEST_PREPARED: Final = "ai_request_prepared"
RESPONSE_RECEIVED: Final = "ai_response_received"
PROCESSING_STEP: Final = "ai_processing_step"
LOOP_ERROR: Final = "ai_loop_error_occurred"
BUDGET_REACHED: Final = "budget_threshold_reached"
SESSION_STARTED: Final = "ai_loop.session_started"
SESSION_ENDED: Final = "ai_loop.session_ended"
CHUNK_RECEIVED: Final = "ai_loop.message.ai_chunk_received"
TOOL_CALL: Final = "ai_loop.tool.call_generated"
LOOP_REQUEST_PAUSE: Final = "ai_loop_request_pause"
LOOP_REQUEST_STOP: Final = "ai_loop_request_stop"


STEPS: Final = (
    "tool_started", "tool", "tool_waits", "repair", "retry", "rate_limited", "breaker", "fallback", "overflow", "handoff",
)  # fmt: skip
"""What `step_name` of `ai_processing_step` may say."""


def _engine(name: str, description: str, model: str, kind: EventKind = "notification") -> EventEntry:
    return EventEntry(name, kind, "engine", description, model)


def _loop(name: str, description: str, model: str, kind: EventKind = "notification") -> EventEntry:
    return EventEntry(name, kind, "ai_loop", description, model)


_ENTRIES: Final = (
    _engine(ENGINE_STARTED, "a run begins, or goes on after a stop or crash", "EngineStarted"),
    _engine(ENGINE_STOPPED, "a run ended, or stopped being driven here", "EngineStopped"),
    _engine(
        TASK_STARTED,
        "an attempt of a task is recorded as started; one that goes on after an answer is not told again",
        "TaskExecutionStarted",
    ),
    _engine(TASK_COMPLETED, "a task settled; its result is recorded", "TaskExecutionCompleted"),
    _engine(ENGINE_ERROR, "something failed that belongs to no task's value", "EngineErrorOccurred"),
    _engine(DELEGATE_ERROR, "a delegate raised, gave no answer, or was too slow", "DelegateExecutionError"),
    _engine(
        REQUEST_PAUSE, "asked before tasks start and before each significant step", "EngineRequestPause", "control"
    ),
    _engine(REQUEST_STOP, "asked before tasks start and before each significant step", "EngineRequestStop", "control"),
    _loop(LOOP_STARTED, "an agent's loop begins to work on a prompt", "LoopStarted"),
    _loop(LOOP_STOPPED, "an agent's loop finished or was stopped", "LoopStopped"),
    _loop(REQUEST_PREPARED, "a model request is about to be sent", "RequestPrepared"),
    _loop(RESPONSE_RECEIVED, "a model's whole answer is recorded", "ResponseReceived"),
    _loop(PROCESSING_STEP, "a step inside a turn: " + ", ".join(f"`{name}`" for name in STEPS), "ProcessingStep"),
    _loop(LOOP_ERROR, "a model call or a turn failed", "LoopErrorOccurred"),
    _loop(
        BUDGET_REACHED, "80 % of a budget's limit is used up, or all of it; told once each", "BudgetThresholdReached"
    ),
    _loop(SESSION_STARTED, "a conversation is opened", "SessionStarted"),
    _loop(SESSION_ENDED, "a conversation is closed", "SessionEnded"),
    _loop(CHUNK_RECEIVED, "a piece of a streamed answer arrived", "ChunkReceived"),
    _loop(TOOL_CALL, "the model asked for a tool", "ToolCallGenerated"),
    _loop(LOOP_REQUEST_PAUSE, "asked before each model request", "LoopRequestPause", "control"),
    _loop(LOOP_REQUEST_STOP, "asked before each model request", "LoopRequestStop", "control"),
)

_BY_NAME: Final[Mapping[str, EventEntry]] = {entry.name: entry for entry in _ENTRIES}


def catalogue() -> tuple[EventEntry, ...]:
    """Engine first, then AI loops; the order is stable."""
    return _ENTRIES


def entry(name: str, kind: EventKind | None = None) -> EventEntry:
    """The entry of that name. Raises UsageError with a did-you-mean if there is none, or it is of the other kind."""
    found = _BY_NAME.get(name)
    if found is None:
        from orchestrator.spec.suggest import did_you_mean  # only a mistake pays for it

        near = did_you_mean(name, [e.name for e in _ENTRIES if kind is None or e.kind == kind])
        raise UsageError(f"unknown event or control `{name}`", help=near or "`whisper-flow events list` shows them all")
    if kind is not None and found.kind != kind:
        raise UsageError(f"`{name}` is a {found.kind}, not a {kind}", help=found.description)
    return found


def check_payload(name: str, payload: Mapping[str, Any]) -> None:
    """Hold a payload against its model. Raises TypeError that names the event and the field: the sender is wrong."""
    import msgspec

    try:
        msgspec.convert(dict(payload), entry(name).payload, strict=True)
    except msgspec.ValidationError as error:
        raise TypeError(f"payload of `{name}`: {error}") from error
