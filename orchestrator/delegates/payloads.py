"""What each notification and control carries, one typed model each. `catalogue.py` says when they happen.

Delegates receive the fields as keyword arguments of plain JSON; these models are the promise about their names and
shapes, the source of `schemas/delegates.schema.json`, and what the tests hold every sender against. All durations are
seconds.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields that any payload may have besides its own."""

    run_id: str = ""
    """The run it belongs to; empty outside a run."""


class TaskDetails(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    verb: str = ""
    attempt: int = 1
    """From 1."""
    attempts_max: int = 1
    description: str = ""
    agent: str | None = None
    model: str | None = None


class ErrorSummary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: str
    """One of the words `retry.on` knows."""
    message: str


class ResultSummary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: str = ""
    """The value, trimmed to a few hundred characters; the whole is in the journal."""
    error: ErrorSummary | None = None
    reason: str | None = None
    """Why it was skipped, blocked or cancelled."""
    attempts: int = 0
    duration: float | None = None
    cost: float | None = None
    """In the run's currency; None where nothing was paid or the price is unknown."""
    tokens: int | None = None
    synthetic: bool = False
    """True if an `embedded/*` program answered, not an AI model."""


class EngineStarted(Payload, frozen=True, kw_only=True):
    workflow: str = ""
    """Path of the workflow below the project."""
    resumed: bool = False


class EngineStopped(Payload, frozen=True, kw_only=True):
    workflow: str = ""
    status: str = ""
    """The run's status as it stands: an ending, or `waiting` or `paused`."""
    duration: float | None = None
    cost: float | None = None


class TaskExecutionStarted(Payload, frozen=True, kw_only=True):
    task_id: str
    """The task's full name, e.g. `build[a].rounds#2.code`."""
    task_details: TaskDetails


class TaskExecutionCompleted(Payload, frozen=True, kw_only=True):
    task_id: str
    status: str
    result_summary: ResultSummary


class EngineErrorOccurred(Payload, frozen=True, kw_only=True):
    error_type: str
    error_message: str
    task_id: str = ""


class DelegateExecutionError(Payload, frozen=True, kw_only=True):
    event_type: str
    """What was being delivered. Left out for a delegate whose own second parameter bears this name."""
    failed_event_type: str
    """The same."""
    delegate_name: str
    error: str


class EngineRequest(Payload, frozen=True, kw_only=True):
    task_ids: list[str] = []
    """Full names of the tasks about to start."""
    step: str = ""
    """The step about to begin inside a running task; empty for new tasks."""


class EngineRequestPause(EngineRequest, frozen=True, kw_only=True):
    pass


class EngineRequestStop(EngineRequest, frozen=True, kw_only=True):
    pass


class LoopPayload(Payload, frozen=True, kw_only=True):
    """Fields that any AI-loop payload may have besides its own."""

    task_id: str = ""
    agent_id: str = ""
    session_id: str = ""


class LoopStarted(LoopPayload, frozen=True, kw_only=True):
    target_model: str = ""
    resumed: bool = False


class LoopStopped(LoopPayload, frozen=True, kw_only=True):
    target_model: str = ""
    reason: str = ""
    turns: int = 0


class RequestPrepared(LoopPayload, frozen=True, kw_only=True):
    request_payload: dict[str, Any]
    """The request as it will be sent: messages, tools, settings; never a key."""
    target_model: str


class ResponseReceived(LoopPayload, frozen=True, kw_only=True):
    response_data: dict[str, Any]
    tokens_used: dict[str, int]
    """input_tokens, output_tokens, total_tokens."""
    cost: float | None
    """None if the price is unknown."""
    target_model: str = ""
    synthetic: bool = False


class ProcessingStep(LoopPayload, frozen=True, kw_only=True):
    step_name: str
    details: dict[str, Any] = {}


class LoopErrorOccurred(LoopPayload, frozen=True, kw_only=True):
    error_type: str
    error_message: str


class BudgetThresholdReached(LoopPayload, frozen=True, kw_only=True):
    budget: str
    """Whose it is: a run, a task or all items of it, a conversation."""
    limit: str
    """`cost`, `tokens`, `turns`, `time`, `cost_per_day` or `tokens_per_day`."""
    percent: int
    """80 or 100."""
    used: float
    """In the currency's unit, tokens, requests or seconds."""
    most: float
    currency: str = ""
    """Of a limit of cost."""


class SessionStarted(LoopPayload, frozen=True, kw_only=True):
    target_model: str = ""


class SessionEnded(LoopPayload, frozen=True, kw_only=True):
    reason: str = ""


class ChunkReceived(LoopPayload, frozen=True, kw_only=True):
    chunk: str
    is_final: bool = False
    seq: int = 0
    """Number of the chunk in its answer, from 0."""


class ToolCallGenerated(LoopPayload, frozen=True, kw_only=True):
    tool_call_id: str
    tool_name: str
    arguments: dict[str, Any] = {}


class LoopRequest(LoopPayload, frozen=True, kw_only=True):
    target_model: str = ""
    turn: int = 0


class LoopRequestPause(LoopRequest, frozen=True, kw_only=True):
    pass


class LoopRequestStop(LoopRequest, frozen=True, kw_only=True):
    pass
