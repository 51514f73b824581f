"""Anthropic's messages."""

from __future__ import annotations

from typing import Any

from providers.vendors import Calls, Vendor, after_event, body, named, within
from providers.wire_server import Reply

STARTED = {"input_tokens": 17, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 1}
ENDED = {**STARTED, "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}}
REFUSAL = {"type": "refusal", "category": "cyber", "explanation": "I cannot help with that."}


def error(status: int, type_: str, message: str, **headers: str) -> Reply:
    said = {"type": "error", "error": {"type": type_, "message": message}, "request_id": "req_011"}
    return body(status, said, **headers)


def opening(usage: Any = STARTED) -> list[bytes]:
    known = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": []}
    message = known | {"stop_reason": None, "stop_sequence": None, "usage": usage}
    return [named({"type": "message_start", "message": message}), named({"type": "ping"})]


def ending(finish: str | None, usage: Any = ENDED, details: Any = None) -> list[bytes]:
    if finish is None:
        return []
    delta = {"stop_reason": finish, "stop_sequence": None, **({"stop_details": details} if details else {})}
    return [named({"type": "message_delta", "delta": delta, "usage": usage}), named({"type": "message_stop"})]


def block(index: int, start: dict[str, Any], deltas: list[dict[str, Any]]) -> list[bytes]:
    return [
        named({"type": "content_block_start", "index": index, "content_block": start}),
        *(named({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas),
        named({"type": "content_block_stop", "index": index}),
    ]


def text(*pieces: str, finish: str | None = "end_turn", started: Any = STARTED, ended: Any = ENDED) -> list[bytes]:
    said = block(0, {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces])
    return [*opening(started), *(said if pieces else []), *ending(finish, ended)]


def calls(wanted: Calls) -> list[bytes]:
    events = opening()
    for at, (id_, name, pieces) in enumerate(wanted):
        start = {"type": "tool_use", "id": id_, "name": name, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces]]
        events += block(at, start, deltas)
    return [*events, *ending("tool_use")]


VENDOR = Vendor(
    provider="anthropic",
    model="claude-sonnet-4-5",
    key_env="ANTHROPIC_API_KEY",
    text=text,
    calls=calls,
    complete_after=after_event(b'"message_delta"'),
    raw_text=lambda said: within(text("XX"), said),
    scenes={
        "text": Reply(events=text("Hel", "lo, ", "world.")),
        "tool_calls": Reply(events=calls([("toolu_1", "add", ['{"a"', ': 1, "b"', ": 2}"])])),
        "structured": Reply(events=text('{"ok": tr', 'ue, "reason": "fine"}')),
        "length": Reply(events=text("Hello wor", finish="max_tokens")),
        "rate_limited": error(
            429, "rate_limit_error", "This request would exceed your organization's rate limit.", retry_after="7"
        ),
        "overloaded": error(529, "overloaded_error", "Overloaded"),
        "outage": error(500, "api_error", "Internal server error"),
        "auth": error(401, "authentication_error", "invalid x-api-key"),
        "context_too_long": error(400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
        "refused": Reply(events=[*opening(), *ending("refusal", details=REFUSAL)]),
        "cut": Reply(events=text("Hel", "lo, ", "world."), cut_after=700),
        "early_end": Reply(events=text("Hello", finish=None)),
        "empty": Reply(events=text()),
        "no_usage": Reply(events=text("Hello.", started={}, ended={})),
        "malformed": Reply(events=[*text("Hel", finish=None), b"event: message_delta\ndata: {not json\n\n"]),
        "busy": error(529, "overloaded_error", "Overloaded"),
    },
)
