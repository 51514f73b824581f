"""The messages of a conversation as they go out, and the most they can use; kept from request to request.

A conversation mostly grows at its end. So only what is new there is loaded and measured: a turn costs the same however long
the conversation is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from orchestrator.core.messages import AnyPart, File, Image, Message, Text
from orchestrator.core.session_context import size

IMAGE_TOKENS: Final = 5_000
"""More than any provider counts for one image."""
MESSAGE_TOKENS: Final = 16
"""What roles and separators add to a message, generously."""


class Outgoing:
    """`blob` fetches what the record keeps by hash."""

    def __init__(self, blob: Callable[[str], bytes]) -> None:
        self._blob = blob
        self._seen: list[Message] = []
        self._loaded: tuple[Message, ...] = ()
        self._tokens = 0
        self._size = 0

    def messages(self, context: list[Message]) -> tuple[Message, ...]:
        """With the contents of their files."""
        self._read(context)
        return self._loaded

    def size(self, context: list[Message]) -> int:
        """Roughly their bytes."""
        self._read(context)
        return self._size

    def tokens(self, messages: tuple[Message, ...]) -> int:
        """No tokeniser makes more of these messages."""
        return self._tokens if messages is self._loaded else tokens_bound(messages)

    def _read(self, context: list[Message]) -> None:
        known = len(self._seen)
        if context[:known] != self._seen:
            # Something was left out, summed up, or is told differently to another agent.
            known = 0
            self._seen, self._loaded, self._tokens, self._size = [], (), 0, 0
        if new := context[known:]:
            loaded = tuple(self._load(message) for message in new)
            self._seen += new
            self._loaded += loaded
            self._tokens += tokens_bound(loaded)
            self._size += size(new)

    def _load(self, message: Message) -> Message:
        # Only a user's message holds files.
        if message.role != "user" or not any(isinstance(part, (Image, File)) and part.digest for part in message.parts):
            return message
        return Message(message.role, tuple(self._load_part(part) for part in message.parts))

    def _load_part(self, part: AnyPart) -> AnyPart:
        if isinstance(part, (Image, File)) and part.digest:
            return msgspec.structs.replace(part, data=self._blob(part.digest), digest="")
        return part


def tokens_bound(messages: Sequence[Message]) -> int:
    """No tokeniser makes more tokens than there are bytes; images count flat."""
    return MESSAGE_TOKENS * len(messages) + sum(_part_bound(part) for message in messages for part in message.parts)


def _part_bound(part: AnyPart) -> int:
    match part:
        case Text(text):
            return len(text) if text.isascii() else len(text.encode())
        case Image():
            return IMAGE_TOKENS
        case File():
            return len(part.data) * 4 // 3 + len(part.name)
    return len(msgspec.json.encode(part))
