"""From a conversation to the request that goes out, and to the most it can use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from orchestrator.ai.output import asked_schema
from orchestrator.ai.overflow import SUMMARY_INSTRUCTIONS, summary_messages
from orchestrator.core.messages import AnyPart, File, Image, Message, Text
from orchestrator.core.session_events import Terms
from orchestrator.core.session_state import Session
from orchestrator.ports.chat_model import ChatRequest, ToolSpec, parse_model

IMAGE_TOKENS: Final = 5_000
"""More than any provider counts for one image."""
MESSAGE_TOKENS: Final = 16
"""What roles and separators add to a message, generously."""


def chat_request(
    session: Session,
    terms: Terms,
    *,
    tools: Iterable[ToolSpec],
    blob: Callable[[str], bytes],
    max_tokens: int | None,
    timeout: float,
    number: int,
    task: str = "",
) -> ChatRequest:
    """The next request of a conversation, for `task`: its question, or a summary of what no longer fits.

    `blob` fetches what the record keeps by hash.
    """
    settings = terms.settings
    exchange = session.exchange
    if exchange is not None and exchange.condensing:
        instructions, messages, tools, schema = SUMMARY_INSTRUCTIONS, summary_messages(session, exchange), (), None
    else:
        instructions, schema = terms.instructions, terms.output_schema
        messages = tuple(_loaded(message, blob) for message in session.context)
    return ChatRequest(
        model=parse_model(terms.model)[1],
        messages=messages,
        instructions=instructions,
        temperature=settings.get("temperature"),
        max_tokens=max_tokens,
        settings=settings.get("settings", {}),
        tools=tuple(tool for tool in tools if tool.name in terms.tools),
        output_schema=asked_schema(schema) if schema is not None else None,
        timeout=timeout,
        number=number,
        agent=terms.agent,
        task=task,
        conversation=session.id,
        capped=max_tokens != settings.get("max_tokens"),
    )


def _loaded(message: Message, blob: Callable[[str], bytes]) -> Message:
    # Only a user's message holds files.
    if message.role != "user" or not any(isinstance(part, (Image, File)) and part.digest for part in message.parts):
        return message
    return Message(message.role, tuple(_loaded_part(part, blob) for part in message.parts))


def _loaded_part(part: AnyPart, blob: Callable[[str], bytes]) -> AnyPart:
    if isinstance(part, (Image, File)) and part.digest:
        return msgspec.structs.replace(part, data=blob(part.digest), digest="")
    return part


def input_tokens_bound(request: ChatRequest) -> int:
    """No tokeniser makes more tokens than there are bytes; images count flat."""
    extras: list[Any] = [[tool.name, tool.description, tool.parameters] for tool in request.tools]
    tokens = len(request.instructions.encode()) + len(msgspec.json.encode([extras, request.output_schema]))
    for message in request.messages:
        tokens += MESSAGE_TOKENS
        for part in message.parts:
            tokens += _part_bound(part)
    return tokens


def _part_bound(part: AnyPart) -> int:
    match part:
        case Text(text):
            return len(text) if text.isascii() else len(text.encode())
        case Image():
            return IMAGE_TOKENS
        case File():
            return len(part.data) * 4 // 3 + len(part.name)
    return len(msgspec.json.encode(part))
