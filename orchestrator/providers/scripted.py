"""`scripted/*`: models that say what a test wrote down. Shipped for users' tests too, see `orchestrator.testing.scripted`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.messages import Usage
from orchestrator.errors import NotFoundError
from orchestrator.ports.chat_model import (
    ChatEvent,
    ChatRequest,
    Finished,
    FinishReason,
    ProviderOptions,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)


@dataclass(slots=True, kw_only=True)
class Turn:
    """One answer. What is left out is as a well-behaved provider does it."""

    text: str = ""
    tool_calls: list[tuple[str, dict[str, Any] | str]] = field(default_factory=list)
    """(name, arguments); a text stands for itself, so that broken JSON can be sent."""
    usage: Usage | None = field(default_factory=lambda: Usage(10, 5))
    finish: FinishReason | None = None
    """None: `tool_calls` if there are any, else `stop`."""
    ends_early: bool = False
    """The stream stops after its text."""
    error: Exception | None = None
    """Raised after the text."""
    chunk: int = 0
    """Characters in a piece of text; 0: all at once."""
    gate: asyncio.Event | None = None
    """Waits for it after the first piece."""


Scripted = str | Turn | Exception | list[ChatEvent] | Callable[[ChatRequest], "str | Turn"]


class ScriptedModel:
    """Implements ports.ChatModel: the n-th request gets the n-th turn; the last one repeats if `repeat_last`."""

    def __init__(self, *turns: Scripted, synthetic: bool = False, repeat_last: bool = False) -> None:
        self.synthetic = synthetic
        self.turns = list(turns)
        self.repeat_last = repeat_last
        self.requests: list[ChatRequest] = []
        """Everything that was asked, in order."""
        self.asked = asyncio.Event()
        """Set when a request has arrived."""
        self.closed = False

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        self.requests.append(request)
        self.asked.set()
        number = len(self.requests)
        if number > len(self.turns) and not (self.repeat_last and self.turns):
            raise AssertionError(f"request {number} was not scripted: {request.messages[-1]!r}")
        turn = self.turns[min(number, len(self.turns)) - 1]
        if callable(turn):
            turn = turn(request)
        if isinstance(turn, Exception):
            raise turn
        if isinstance(turn, list):
            for event in turn:
                yield event
            return
        async for event in _played(Turn(text=turn) if isinstance(turn, str) else turn, number):
            yield event

    async def close(self) -> None:
        self.closed = True


async def _played(turn: Turn, number: int) -> AsyncIterator[ChatEvent]:
    for at, piece in enumerate(_pieces(turn.text, turn.chunk)):
        if at == 1 and turn.gate is not None:
            await turn.gate.wait()
        yield TextDelta(piece)
    if turn.gate is not None:
        await turn.gate.wait()
    if turn.error is not None:
        raise turn.error
    if turn.ends_early:
        return
    for index, (name, arguments) in enumerate(turn.tool_calls):
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        yield ToolCallDelta(index, text[: len(text) // 2], f"call_{number}_{index}", name)
        yield ToolCallDelta(index, text[len(text) // 2 :])
    if turn.usage is not None:
        yield UsageReported(turn.usage)
    yield Finished(turn.finish or ("tool_calls" if turn.tool_calls else "stop"), "scripted")


def _pieces(text: str, size: int) -> Iterable[str]:
    if not size:
        return [text] if text else []
    return [text[at : at + size] for at in range(0, len(text), size)]


class ScriptedProvider:
    """Implements ports.Provider over models by name: `scripted/<name>`."""

    name = "scripted"
    settings = frozenset({"top_p", "seed", "stop"})
    takes_extra = True

    def __init__(self, models: Mapping[str, ScriptedModel] | None = None) -> None:
        self.models = dict(models or {})

    def check(self, model: str, options: ProviderOptions) -> None:
        if model not in self.models:
            help = "scripted models are handed over by a test: AILoopFactory(providers={'scripted': …})"
            raise NotFoundError(f"there is no model scripted/{model}", help=help)

    def open(self, options: ProviderOptions) -> ScriptedModels:
        return ScriptedModels(self.models)


class ScriptedModels:
    """All models of one ScriptedProvider behind one port, as a real provider's connection serves many models."""

    def __init__(self, models: Mapping[str, ScriptedModel]) -> None:
        self._models = models
        self.synthetic = all(model.synthetic for model in models.values())

    def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        return self._models[request.model].stream(request)

    async def close(self) -> None:
        for model in self._models.values():
            await model.close()


PROVIDER = ScriptedProvider()
