"""How a loop tells and asks its delegates: the names of contract §1, each with its payload, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from orchestrator.core.budget import Threshold, amount
from orchestrator.core.messages import Message, Text, ToolCall, Usage
from orchestrator.delegates.catalogue import (
    BUDGET_REACHED,
    CHUNK_RECEIVED,
    LOOP_ERROR,
    LOOP_REQUEST_PAUSE,
    LOOP_REQUEST_STOP,
    LOOP_STARTED,
    LOOP_STOPPED,
    PROCESSING_STEP,
    REQUEST_PREPARED,
    RESPONSE_RECEIVED,
    SESSION_ENDED,
    SESSION_STARTED,
    TOOL_CALL,
)
from orchestrator.ports.chat_model import ChatRequest

JSON = Any


class LoopDelegates(Protocol):
    """What a loop needs of its DelegateManager."""

    wanted: frozenset[str]

    def notify(self, event_type: str, sender: Any, /, **payload: Any) -> None: ...

    async def ask(self, control_type: str, sender: Any, /, **payload: Any) -> bool: ...


class LoopVoice:
    """Speaks for one loop: every payload carries who and where. What nobody listens to is not even built."""

    def __init__(self, delegates: LoopDelegates, sender: object, *, run_id: str, task_id: str, agent_id: str) -> None:
        self._delegates = delegates
        self._sender = sender
        self._who = {"run_id": run_id, "task_id": task_id, "agent_id": agent_id, "session_id": ""}

    @property
    def task_id(self) -> str:
        return self._who["task_id"]

    def in_session(self, session_id: str, task_id: str | None = None) -> None:
        self._who["session_id"] = session_id
        if task_id is not None:
            self._who["task_id"] = task_id

    def as_agent(self, agent_id: str) -> None:
        """Another agent speaks from now on."""
        self._who["agent_id"] = agent_id

    def _tell(self, event: str, **payload: JSON) -> None:
        if event in self._delegates.wanted:
            self._delegates.notify(event, self._sender, **self._who, **payload)

    def session_started(self, model: str) -> None:
        self._tell(SESSION_STARTED, target_model=model)

    def session_ended(self, reason: str) -> None:
        self._tell(SESSION_ENDED, reason=reason)

    def loop_started(self, model: str, resumed: bool) -> None:
        self._tell(LOOP_STARTED, target_model=model, resumed=resumed)

    def loop_stopped(self, model: str, reason: str, turns: int) -> None:
        self._tell(LOOP_STOPPED, target_model=model, reason=reason, turns=turns)

    def request_prepared(self, request: ChatRequest, model: str) -> None:
        if REQUEST_PREPARED in self._delegates.wanted:
            self._tell(REQUEST_PREPARED, request_payload=shown_request(request), target_model=model)

    def chunk_received(self, text: str, seq: int, final: bool = False) -> None:
        self._tell(CHUNK_RECEIVED, chunk=text, seq=seq, is_final=final)

    def response_received(
        self, message: Message, finish: str, usage: Usage, cost: float | None, model: str, synthetic: bool
    ) -> None:
        if RESPONSE_RECEIVED not in self._delegates.wanted:
            return
        calls = [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in message.tool_calls]
        tokens = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        }
        data = {"text": message.text, "tool_calls": calls, "finish_reason": finish}
        self._tell(
            RESPONSE_RECEIVED,
            response_data=data,
            tokens_used=tokens,
            cost=cost,
            target_model=model,
            synthetic=synthetic,
        )

    def tool_call(self, call: ToolCall, arguments: Mapping[str, JSON]) -> None:
        self._tell(TOOL_CALL, tool_call_id=call.id, tool_name=call.name, arguments=dict(arguments))

    def step(self, name: str, **details: JSON) -> None:
        self._tell(PROCESSING_STEP, step_name=name, details=details)

    def budget_reached(self, threshold: Threshold) -> None:
        money = threshold.word.startswith("cost")
        used, most = threshold.used, threshold.limit
        self._tell(
            BUDGET_REACHED,
            budget=threshold.name,
            limit=threshold.word,
            percent=threshold.percent,
            used=amount(int(used)) if money else float(used),
            most=amount(int(most)) if money else float(most),
            currency=threshold.currency if money else "",
        )

    def failed(self, type_: str, message: str) -> None:
        self._tell(LOOP_ERROR, error_type=type_, error_message=message)

    async def pause_asked(self, model: str, turn: int) -> bool:
        return await self._ask(LOOP_REQUEST_PAUSE, model, turn)

    async def stop_asked(self, model: str, turn: int) -> bool:
        return await self._ask(LOOP_REQUEST_STOP, model, turn)

    async def _ask(self, control: str, model: str, turn: int) -> bool:
        if control not in self._delegates.wanted:
            return False
        return await self._delegates.ask(control, self._sender, **self._who, target_model=model, turn=turn)


def shown_request(request: ChatRequest) -> dict[str, JSON]:
    """The request as plain JSON, without the bytes of images and files; there is no key in it."""
    shown: dict[str, JSON] = {
        "model": request.model,
        "instructions": request.instructions,
        "messages": [_shown_message(message) for message in request.messages],
        **dict(request.settings),
    }
    optional = {
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "output_schema": request.output_schema,
        "tools": [tool.name for tool in request.tools] or None,
    }
    return shown | {name: value for name, value in optional.items() if value is not None}


def _shown_message(message: Message) -> dict[str, JSON]:
    parts: list[dict[str, JSON]] = []
    for part in message.parts:
        kind = part.__struct_config__.tag
        if isinstance(part, Text):
            parts.append({"kind": kind, "text": part.text})
        else:
            parts.append({"kind": kind} | {n: getattr(part, n) for n in part.__struct_fields__ if n != "data"})
    return {"role": message.role, "parts": parts}
