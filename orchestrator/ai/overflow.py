"""When a conversation no longer fits its model: noticed before it is sent, and asked to be summed up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from orchestrator.core.events import Failure
from orchestrator.core.messages import Message, user
from orchestrator.core.session_context import transcript
from orchestrator.core.session_events import ContextTooLong
from orchestrator.core.session_state import Exchange, Session
from orchestrator.ports.chat_model import ToolSpec

ANSWER_TOKENS: Final = 4_096
"""Room kept for an answer without `max_tokens`; a quarter of a small window."""
SLACK: Final = 0.8
"""How much of the room that is left by the newest messages is filled again, so that not every turn overflows."""

SUMMARY_INSTRUCTIONS: Final = (
    "You sum up part of a conversation between a user and an assistant with tools, so that the assistant can go on without it. "
    "Keep names, numbers, decisions, open questions, and what tools found or changed. Write plain text, as short as it allows."
)


def too_long(
    session: Session, exchange: Exchange, tools: Iterable[ToolSpec], size: Callable[[list[Message]], int]
) -> ContextTooLong | None:
    """Whether the next request would not fit the declared `context_window`, by the measure of the requests before it."""
    terms = exchange.terms
    window = terms.context_window
    if window is None or exchange.condensing:
        return None
    overhead = len(terms.instructions) + sum(len(msgspec.json.encode(tool.parameters)) for tool in tools)
    room = window - (terms.settings.get("max_tokens") or min(ANSWER_TOKENS, window // 4))
    measured = any(call.usage is not None for call in session.calls)
    # Once measured, a byte of the messages counts for its share of instructions and tools as well.
    bytes_room = int(room * session.bytes_per_token) - (0 if measured else overhead)
    sent = size(session.context)
    if sent <= bytes_room:
        return None
    tokens = int(sent / session.bytes_per_token)
    failure = Failure(
        "context_too_long",
        f"the conversation is about {tokens} tokens long; {max(room, 0)} of {window} are left for it",
    )
    return ContextTooLong(failure, max(int(bytes_room * SLACK), 0))


def summary_messages(session: Session, exchange: Exchange) -> tuple[Message, ...]:
    """What the model is sent to have the messages summed up that no longer fit."""
    old = [session.context[at] for at in exchange.condensing]
    return (user(f"Sum up this part of the conversation:\n\n{transcript(old)}"),)
