"""One model request, from its stream to a whole answer, or to a failure that says what went wrong."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, cast

import msgspec

from orchestrator.ai.foreign_json import read_json, sound
from orchestrator.core.messages import AnyPart, Message, Text, ToolCall, Usage
from orchestrator.ports.chat_model import (
    ChatModel,
    ChatModelError,
    ChatRequest,
    Finished,
    Notice,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)

ANSWER_SIZE_MAX: Final = 8 * 1024 * 1024
"""Characters of one answer, tool arguments included; an endless stream is cut here."""
TOOL_CALLS_MAX: Final = 128
CALL_ID_MAX: Final = 128
_ODD: Final = re.compile(r"[^!-.0-~]")
"""Whatever is no visible ASCII, and the slash, which parts the names of conversations."""


@dataclass(slots=True)
class Answer:
    message: Message
    finish: str
    usage: Usage
    model: str


@dataclass(slots=True)
class Assembly:
    """What has arrived so far; it outlives a failure, so that partial text and usage are kept."""

    on_text: Callable[[str], None] = lambda text: None
    on_notice: Callable[[str], None] = lambda message: None
    texts: list[str] = field(default_factory=list)
    calls: dict[int, list[str]] = field(default_factory=dict)
    """Tool calls by index: [id, name, arguments]."""
    usage: Usage | None = None
    finished: Finished | None = None
    size: int = 0
    _held: str = ""
    """Half of a character that came in two pieces."""

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def take(self, event: object) -> None:
        match event:
            case TextDelta(text):
                self._take_text(text)
            case ToolCallDelta():
                self._take_call(event)
            case UsageReported(usage):
                self.usage = usage
            case Notice(message):
                self.on_notice(message)
            case ReasoningDelta(text):
                self._grow(len(text))
            case Finished():
                self.finished = event

    def _take_text(self, text: str) -> None:
        self._grow(len(text))
        text = self._held + text
        self._held = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        if text:
            whole = sound(text)
            self.texts.append(whole)
            self.on_text(whole)

    def _take_call(self, delta: ToolCallDelta) -> None:
        self._grow(len(delta.arguments))
        call = self.calls.setdefault(delta.index, ["", "", ""])
        if len(self.calls) > TOOL_CALLS_MAX:
            raise ChatModelError("invalid_output", f"the model asked for more than {TOOL_CALLS_MAX} tool calls at once")
        call[0] = call[0] or delta.id
        call[1] = call[1] or delta.name
        call[2] += delta.arguments

    def _grow(self, by: int) -> None:
        self.size += by
        if self.size > ANSWER_SIZE_MAX:
            raise ChatModelError("invalid_output", f"the answer is longer than {ANSWER_SIZE_MAX} characters")

    def answer(self) -> Answer:
        """The whole answer. Raises ChatModelError if it is not one."""
        if self._held:
            self.texts.append("\ufffd")
            self._held = ""
        finished = self.finished
        if finished is None:
            raise ChatModelError("outage", "the provider's answer ended early")
        if finished.reason == "refused":
            said = f": {finished.refusal}" if finished.refusal else ""
            raise ChatModelError("refused", f"the model or its provider's filter refused to answer{said}")
        if self.usage is None:
            raise ChatModelError(
                "invalid_output",
                "the provider did not report usage, so what this answer cost is unknown",
                retryable=True,
                help="an OpenAI-compatible server must honour `stream_options.include_usage`",
            )
        calls = tuple(self._tool_call(index) for index in sorted(self.calls))
        if not calls and not self.text.strip():
            raise self._empty(finished)
        text = (Text(self.text),) if self.text else ()
        return Answer(Message("assistant", (*text, *calls)), finished.reason, self.usage, finished.model)

    def _empty(self, finished: Finished) -> ChatModelError:
        if finished.reason == "length":
            return ChatModelError(
                "invalid_output",
                "the answer was cut at max_tokens before its first word",
                help="raise `max_tokens`: what a model thinks counts as well",
            )
        return ChatModelError("invalid_output", "the model's answer is empty", retryable=True)

    def _tool_call(self, index: int) -> ToolCall:
        id_, name, arguments = self.calls[index]
        arguments = sound(arguments) or "{}"
        try:
            value = read_json(arguments)
            if "\\ud" in arguments.lower():
                # A half of a character may stand there as an escape: what is recorded must be what was checked.
                arguments = json.dumps(value, ensure_ascii=False)
        except ValueError:
            value = None
        if not name or not isinstance(value, dict):
            raise ChatModelError(
                "invalid_output", f"the arguments of tool call {name or index!r} are not a JSON object", retryable=True
            )
        return ToolCall(id_ or f"call_{index}", name, arguments)


def with_own_ids(message: Message, taken: Collection[str], number: int) -> Message:
    """The answer to request `number` of a conversation, each of its tool calls with an id that no other call has.

    What a person allowed, a sub-agent answered or a child run came to is found again by that id: a model, or a server without
    ids, that says one twice must not get what belongs to another call. Ids also stand in names: nothing odd is left in them.
    """
    seen = set(taken)
    parts: list[AnyPart] = []
    for part in message.parts:
        if isinstance(part, ToolCall):
            id_ = _ODD.sub("_", part.id)[:CALL_ID_MAX]
            mark = 0
            while id_ in seen:
                mark += 1
                end = f"_{number}_{mark}"
                id_ = f"{_ODD.sub('_', part.id)[: CALL_ID_MAX - len(end)]}{end}"
            seen.add(id_)
            part = msgspec.structs.replace(part, id=id_)
        parts.append(part)
    return Message(message.role, tuple(parts))


class Interruptible:
    """One request that can be ended from outside within one turn of the event loop, or by its time limit."""

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._scope: asyncio.Timeout | None = None
        self.reason: str | None = None
        """Why it was ended from outside; None if it was not."""

    async def run(self, model: ChatModel, request: ChatRequest, assembly: Assembly) -> None:
        """Feed the whole stream into `assembly`. Raises ChatModelError; InterruptedError if `interrupt` ended it."""
        try:
            async with asyncio.timeout(self._limit) as self._scope:
                await self._feed(model, request, assembly)
        except TimeoutError:
            if self.reason is None:
                raise ChatModelError("timeout", "the model did not finish its answer in time") from None
        finally:
            self._scope = None
        if self.reason is not None:
            raise InterruptedError(self.reason)

    async def _feed(self, model: ChatModel, request: ChatRequest, assembly: Assembly) -> None:
        async with aclosing(cast("Any", model.stream(request))) as stream:
            async for event in stream:
                assembly.take(event)
                if self.reason is not None:
                    return

    def interrupt(self, reason: str) -> None:
        if self.reason is None:
            self.reason = reason
            if self._scope is not None:
                self._scope.reschedule(0.0)
