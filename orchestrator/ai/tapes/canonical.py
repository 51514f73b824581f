"""A model request as it stands on a tape: secrets replaced, bytes by their hash, one spelling, and its key.

The key is a hash of all that decides the answer: who is asked (provider and model) and with what. It leaves out what differs
from run to run and is never sent: the request's number, its time limit, its conversation, and a `max_tokens` that a budget
happened to leave.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from orchestrator.core.messages import AnyPart, File, Image, Message, Text, ToolCall, ToolResult
from orchestrator.host.redact import Redactor
from orchestrator.ports.chat_model import ChatRequest

JSON = Any

KEY_LENGTH: Final = 32
CAPPED: Final = "what the budget leaves"


def canonical_request(provider: str, request: ChatRequest, redactor: Redactor) -> dict[str, JSON]:
    """The request as JSON; what is not set is left out."""
    settings: dict[str, JSON] = {
        "temperature": request.temperature,
        "max_tokens": CAPPED if request.capped else request.max_tokens,
        "settings": dict(request.settings) or None,
        "tools": [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in request.tools
        ]
        or None,
        "output_schema": request.output_schema,
    }
    found: dict[str, JSON] = {
        "provider": provider,
        "model": request.model,
        **({"instructions": request.instructions} if request.instructions else {}),
        "messages": [_message(message) for message in request.messages],
        **{name: value for name, value in settings.items() if value is not None},
    }
    # Through JSON and back: a tuple among the settings is a list on the tape.
    cleaned: dict[str, JSON] = redactor.value(json.loads(json.dumps(found)))
    return cleaned


def _message(message: Message) -> dict[str, JSON]:
    return {"role": message.role, "parts": [_part(part) for part in message.parts]}


def _part(part: AnyPart) -> dict[str, JSON]:
    match part:
        case Text(text):
            return {"text": text}
        case Image(url=url) if url:
            return {"image": {"media_type": part.media_type, "url": url}}
        case Image():
            return {"image": {"media_type": part.media_type, **_bytes(part.data, part.digest)}}
        case File():
            return {"file": {"name": part.name, "media_type": part.media_type, **_bytes(part.data, part.digest)}}
        case ToolCall():
            return {"tool_call": {"id": part.id, "name": part.name, "arguments": part.arguments}}
        case ToolResult():
            result = {"call_id": part.call_id, "name": part.name, "content": part.content}
            return {"tool_result": {**result, "is_error": True} if part.is_error else result}
    raise AssertionError(f"a part of kind {type(part).__name__} has no place on a tape")


def _bytes(data: bytes, digest: str) -> dict[str, JSON]:
    if not data and digest:
        return {"sha256": digest}
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def key_of(canonical: JSON) -> str:
    """The same for equal JSON, whatever the order of its names."""
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]
