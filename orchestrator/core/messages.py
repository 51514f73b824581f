"""What a conversation is made of: messages with typed parts, from the start.

They stand in the journal, so words and fields are only ever added, at the end.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Part(msgspec.Struct, frozen=True, array_like=True):
    """Base of all parts; array-like, so that a journal stays small."""


class Text(Part, frozen=True, array_like=True, tag="text"):
    text: str


class Image(Part, frozen=True, array_like=True, tag="image"):
    """An image by its bytes (`data`), by the hash under which the journal keeps them (`digest`), or by a public address
    (`url`): exactly one is set. A conversation on record never holds `data`.
    """

    media_type: str
    data: bytes = b""
    digest: str = ""
    url: str = ""


class File(Part, frozen=True, array_like=True, tag="file"):
    """A document; `data` or `digest` as for images."""

    name: str
    media_type: str
    data: bytes = b""
    digest: str = ""


class ToolCall(Part, frozen=True, array_like=True, tag="tool_call"):
    id: str
    """Unique in its conversation since ids are checked on arrival (`ai/answer.py`); in older records, in its turn."""
    name: str
    arguments: str
    """A JSON object as text, as the model wrote it; halves of characters are replaced."""


class ToolResult(Part, frozen=True, array_like=True, tag="tool_result"):
    call_id: str
    name: str
    content: str
    """Text, or JSON as text."""
    is_error: bool = False


AnyPart = Text | Image | File | ToolCall | ToolResult

Role = Literal["user", "assistant", "tool"]


class Message(msgspec.Struct, frozen=True, array_like=True):
    role: Role
    parts: tuple[AnyPart, ...]

    @property
    def text(self) -> str:
        """All text of the message, without tool calls, results and files."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """Tokens of one or more model calls. Cached tokens are part of the input, reasoning tokens part of the output."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


def user(text: str, *files: Image | File) -> Message:
    return Message("user", (Text(text), *files))


def assistant(text: str, *calls: ToolCall) -> Message:
    return Message("assistant", (*((Text(text),) if text else ()), *calls))
