"""`embedded/*`: models that are no AI but small deterministic programs. They need no key and no network, stream, call tools,
report usage and cost nothing; and they can be told to fail, so that a workflow's other paths can be tried offline.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final, cast

from orchestrator import registry
from orchestrator.core.messages import Usage
from orchestrator.errors import ErrorType, NotFoundError
from orchestrator.ports.chat_model import (
    ChatEvent,
    ChatModelError,
    ChatRequest,
    Finished,
    ProviderOptions,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from orchestrator.providers.embedded_models import _text
from orchestrator.providers.embedded_models._reply import EmbeddedModel, Reply, prompt_of

MODELS: Final = "orchestrator.providers.embedded_models"
CHUNK_WORDS: Final = 3

OWN_SETTINGS: Final = frozenset(
    {"fail", "fail_times", "fail_when", "retry_after", "pace", "sentences", "labels", "keywords"}
)
COMMON_SETTINGS: Final = frozenset(
    {"top_p", "top_k", "seed", "stop", "presence_penalty", "frequency_penalty", "reasoning_effort"}
    | {"parallel_tool_calls", "api"}
)
"""Taken and without effect, as `temperature` is: these programs never vary. Going live is then a change of the model alone."""

_RAISED: Final = frozenset(
    {"rate_limited", "overloaded", "outage", "auth", "context_too_long", "refused", "timeout", "internal"}
)
_SHOWN: Final = frozenset({"cut", "invalid_output", "empty"})
FAILURES: Final = tuple(sorted(_RAISED | _SHOWN))
"""What `fail` may say: an error's word, or an answer that is `cut` in the middle, `empty` or `invalid_output` (no JSON)."""


class EmbeddedChat:
    """Implements ports.ChatModel."""

    synthetic = True

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        model: EmbeddedModel = registry.load(MODELS, request.model, "MODEL", noun="embedded model")
        failing = _failing(request)
        if failing in _RAISED:
            raise ChatModelError(
                cast("ErrorType", failing),
                f"embedded/{request.model} was told to fail",
                retry_after=request.settings.get("retry_after"),
                charged=False,
            )
        reply = _spoilt(model.reply(request), failing)
        pace = float(request.settings.get("pace", 0.0))
        limit, used = request.max_tokens, 0
        for piece in _pieces(reply.text):
            used += _text.count_tokens(piece)
            if limit is not None and used > limit:
                yield _usage(request, limit)
                yield Finished("length", request.model)
                return
            yield TextDelta(piece)
            await asyncio.sleep(pace)
        if failing == "cut":
            return
        for index, (name, arguments) in enumerate(reply.tool_calls):
            text = json.dumps(arguments, ensure_ascii=False)
            used += _text.count_tokens(text)
            yield ToolCallDelta(index, text, f"call_{request.number}_{index}", name)
        yield _usage(request, used)
        yield Finished("tool_calls" if reply.tool_calls else "stop", request.model)

    async def close(self) -> None:
        pass


def _failing(request: ChatRequest) -> str:
    """How this request is to fail: `fail`, if `fail_when` stands in the prompt and `fail_times` is not used up."""
    settings = request.settings
    fail = settings.get("fail")
    if not fail or request.number > settings.get("fail_times", request.number):
        return ""
    when = settings.get("fail_when")
    if when is not None and str(when) not in prompt_of(request):
        return ""
    if fail not in FAILURES:
        near = f"there are: {', '.join(FAILURES)}"
        raise ChatModelError("invalid_input", f"`fail` says {fail!r}", help=near, charged=False)
    return str(fail)


def _spoilt(reply: Reply, failing: str) -> Reply:
    if failing == "invalid_output":
        return Reply("This is no JSON.")
    if failing == "empty":
        return Reply()
    if failing == "cut":
        return Reply(reply.text[: len(reply.text) // 2])
    return reply


def _pieces(text: str) -> list[str]:
    """A few words at a time, spaces and line ends kept."""
    pieces, start, seen = [], 0, 0
    for at, char in enumerate(text):
        if char.isspace() and not text[at - 1 : at].isspace():
            seen += 1
            if seen % CHUNK_WORDS == 0:
                pieces.append(text[start:at])
                start = at
    return [*pieces, text[start:]] if text[start:] else pieces


def _usage(request: ChatRequest, output_tokens: int) -> UsageReported:
    said: list[str] = [request.instructions]
    for message in request.messages:
        said += [
            str(getattr(part, name))
            for part in message.parts
            for name in ("text", "arguments", "content")
            if hasattr(part, name)
        ]
    return UsageReported(Usage(sum(_text.count_tokens(text) for text in said), output_tokens))


class Embedded:
    """Implements ports.Provider."""

    name = "embedded"
    settings = OWN_SETTINGS | COMMON_SETTINGS
    takes_extra = False

    def check(self, model: str, options: ProviderOptions) -> None:
        try:
            registry.find(MODELS, model, noun="embedded model")
        except NotFoundError as error:
            known = ", ".join(f"embedded/{name}" for name in registry.names(MODELS))
            raise NotFoundError(
                f"there is no model embedded/{model}", help=error.help or f"there are: {known}"
            ) from None

    def open(self, options: ProviderOptions) -> EmbeddedChat:
        return EmbeddedChat()


PROVIDER = Embedded()
