"""What each vendor's server says in which situation, byte by byte as it comes over the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from providers.conformance import Scene
from providers.wire_server import Reply

Calls = Iterable[tuple[str, str, list[str]]]
"""(id, name, pieces of the arguments)."""


@dataclass(slots=True, kw_only=True)
class Vendor:
    provider: str
    model: str
    key_env: str
    scenes: dict[Scene, Reply]
    text: Callable[..., list[bytes]]
    """Pieces of an answer → its stream; `finish` in the vendor's own word."""
    calls: Callable[[Calls], list[bytes]]
    complete_after: Callable[[bytes], int]
    """The bytes of a text stream up to which nothing of the answer, its usage and its reason is missing."""
    raw_text: Callable[[bytes], list[bytes]]
    """One piece of text, given as the inside of a JSON string, in a stream that is otherwise whole."""
    path: str = ""
    """What stands behind the server's address."""
    settings: dict[str, Any] = field(default_factory=dict)
    reports_cached: bool = True
    reports_reasoning: bool = True
    max_tokens: int | None = None

    def base_url(self, url: str) -> str:
        return url + self.path


def body(status: int, said: object, **headers: str) -> Reply:
    data = said if isinstance(said, bytes) else json.dumps(said).encode()
    return Reply(status=status, body=data, headers={k.replace("_", "-"): v for k, v in headers.items()})


def named(event: dict[str, Any]) -> bytes:
    """A server-sent event with its name, as Anthropic and OpenAI's responses send them."""
    return b"event: " + event["type"].encode() + b"\ndata: " + json.dumps(event).encode() + b"\n\n"


def after_event(part: bytes) -> Callable[[bytes], int]:
    """The end of the last event that holds `part`."""

    def end(whole: bytes) -> int:
        return whole.index(b"\n", whole.rindex(part)) + 1

    return end


def within(stream: list[bytes], text: bytes) -> list[bytes]:
    """`XX` in a stream replaced by what no honest encoder would write."""
    return [event.replace(b'"XX"', b'"' + text + b'"') for event in stream]
