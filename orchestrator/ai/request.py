"""From a conversation to the request that goes out, and to the most it can use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from orchestrator.ai.outgoing import Outgoing
from orchestrator.ai.output import asked_schema
from orchestrator.ai.overflow import SUMMARY_INSTRUCTIONS, summary_messages
from orchestrator.core.session_events import Terms
from orchestrator.core.session_state import Session
from orchestrator.ports.chat_model import ChatRequest, ToolSpec, parse_model


def chat_request(
    session: Session,
    terms: Terms,
    *,
    tools: Iterable[ToolSpec],
    outgoing: Outgoing,
    max_tokens: int | None,
    timeout: float,
    number: int,
    task: str = "",
) -> ChatRequest:
    """The next request of a conversation, for `task`: its question, or a summary of what no longer fits."""
    settings = terms.settings
    exchange = session.exchange
    if exchange is not None and exchange.condensing:
        instructions, messages, tools, schema = SUMMARY_INSTRUCTIONS, summary_messages(session, exchange), (), None
    else:
        instructions, schema = terms.instructions, terms.output_schema
        messages = outgoing.messages(session.context)
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


def input_tokens_bound(request: ChatRequest, messages_bound: int) -> int:
    """No tokeniser makes more tokens than there are bytes; `messages_bound` is that of the request's messages."""
    extras: list[Any] = [[tool.name, tool.description, tool.parameters] for tool in request.tools]
    return (
        messages_bound + len(request.instructions.encode()) + len(msgspec.json.encode([extras, request.output_schema]))
    )
