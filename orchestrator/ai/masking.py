"""Secrets stop at the door of a conversation: what a model or a tool says passes here before anything is recorded or shown.

A server may echo the key it was asked with, a tool the token it was given. What the loop records, streams, tells its delegates
or gives to the next model came in through one of these two doors, or in a question: `AILoop.ask` masks that one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

from orchestrator.errors import WhisperFlowError
from orchestrator.host.redact import Redactor, harmless
from orchestrator.ports.chat_model import (
    ChatEvent,
    ChatModel,
    ChatRequest,
    Finished,
    Notice,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from orchestrator.ports.tool import Tool

JSON = Any


def masked_model(model: ChatModel, redactor: Redactor) -> ChatModel:
    """The model itself if there is nothing to hide."""
    return MaskedModel(model, redactor) if redactor else model


def masked_tool(tool: Tool, redactor: Redactor) -> Tool:
    """The tool itself if there is nothing to hide."""
    return MaskedTool(tool, redactor) if redactor else tool


class MaskedModel:
    """A ChatModel whose answers hold no secret, also where a secret is spread over many deltas."""

    def __init__(self, model: ChatModel, redactor: Redactor) -> None:
        self._model = model
        self._redactor = redactor
        self.synthetic = model.synthetic

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        mask = _StreamMask(self._redactor)
        events: Any = self._model.stream(request)
        try:
            async with aclosing(events):
                async for event in events:
                    for safe in mask.passed(event):
                        yield safe
        except WhisperFlowError as error:
            for rest in mask.rest():
                yield rest
            raise cleaned(error, self._redactor) from _harmless_cause(error, self._redactor)
        for rest in mask.rest():
            yield rest

    async def close(self) -> None:
        await self._model.close()


class MaskedTool:
    """A Tool whose results and errors hold no secret."""

    def __init__(self, tool: Tool, redactor: Redactor) -> None:
        self._tool = tool
        self._redactor = redactor
        self.name = tool.name
        self.spec = tool.spec
        self.effect = tool.effect

    def __getattr__(self, name: str) -> Any:
        """Whatever else a tool offers (`needs_no_permission`) is offered as it is."""
        return getattr(self._tool, name)

    async def call(self, arguments: dict[str, JSON], call_id: str) -> JSON:
        try:
            result = await self._tool.call(arguments, call_id)
        except WhisperFlowError as error:
            raise cleaned(error, self._redactor) from _harmless_cause(error, self._redactor)
        return self._redactor.value(result)


class _StreamMask:
    """One stream's deltas: each text has its own tail that may be the beginning of a secret, and waits for what follows."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._text = redactor.stream()
        self._reasoning = redactor.stream()
        self._arguments: dict[int, Any] = {}

    def passed(self, event: ChatEvent) -> Iterator[ChatEvent]:
        clean = self._redactor.text
        match event:
            case TextDelta(text=text):
                if safe := self._text.feed_text(text):
                    yield TextDelta(safe)
            case ReasoningDelta(text=text):
                if safe := self._reasoning.feed_text(text):
                    yield ReasoningDelta(safe)
            case ToolCallDelta():
                stream = self._arguments.setdefault(event.index, self._redactor.stream())
                safe = stream.feed_text(event.arguments)
                if safe or event.id or event.name:
                    yield ToolCallDelta(event.index, safe, clean(event.id), clean(event.name))
            case Notice(message=message):
                yield Notice(clean(message))
            case Finished():
                yield from self.rest()
                yield Finished(event.reason, clean(event.model), clean(event.refusal))
            case _:
                yield event

    def rest(self) -> Iterator[ChatEvent]:
        """What was held back; nothing the second time."""
        if text := self._reasoning.flush_text():
            yield ReasoningDelta(text)
        if text := self._text.flush_text():
            yield TextDelta(text)
        for index, stream in self._arguments.items():
            if text := stream.flush_text():
                yield ToolCallDelta(index, text)


def cleaned(error: WhisperFlowError, redactor: Redactor) -> WhisperFlowError:
    """The same error; its words hold no secret any more."""
    error.message = redactor.text(error.message)
    error.args = (error.message,)
    error.help = redactor.text(error.help) if error.help else error.help
    if meta := getattr(error, "meta", None):
        error.meta = redactor.value(meta)  # type: ignore[attr-defined]  # a TaskError's
    return error


def _harmless_cause(error: BaseException, redactor: Redactor) -> BaseException | None:
    """What led to the error, for `--debug`; None if its words or its notes hold a secret: they cannot be changed."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return cause if cause is not None and harmless(cause, redactor) else None
