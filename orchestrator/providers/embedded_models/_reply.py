"""What an embedded model answers, and what it looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.core.messages import Text, ToolResult
from orchestrator.ports.chat_model import ChatRequest


@dataclass(slots=True, frozen=True)
class Reply:
    text: str = ""
    tool_calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    """(tool's name, arguments)."""


class EmbeddedModel(Protocol):
    def reply(self, request: ChatRequest) -> Reply: ...


def prompt_of(request: ChatRequest) -> str:
    """The prompt in force: the last message of the user that is no repair request and no tool result."""
    texts = [m.text for m in request.messages if m.role == "user"]
    asked = [text for text in texts if not text.startswith("Your last answer does not fit")]
    return asked[-1] if asked else ""


def files_of(request: ChatRequest) -> str:
    """The text of every text file that was sent along."""
    found: list[str] = []
    for message in request.messages:
        for part in message.parts:
            if getattr(part, "media_type", "").startswith("text/") and getattr(part, "data", b""):
                found.append(part.data.decode("utf-8", "replace"))  # type: ignore[union-attr]
    return "\n\n".join(found)


def tool_results(request: ChatRequest) -> list[ToolResult]:
    """What tools returned since the prompt, in order."""
    found: list[ToolResult] = []
    for message in request.messages:
        if message.role == "user" and any(isinstance(part, Text) for part in message.parts):
            found = []
        found += [part for part in message.parts if isinstance(part, ToolResult)]
    return found
