"""OpenAI's responses."""

from __future__ import annotations

from typing import Any

from providers.vendor_openai_chat import TOO_LONG
from providers.vendors import Calls, Vendor, after_event, named, within
from providers.wire_server import Reply, error_reply

USAGE = {
    "input_tokens": 21,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 28,
}


def response(status: str, **more: Any) -> dict[str, Any]:
    known = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "model": "m-1",
        "status": status,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "usage": None,
    }
    return known | more


def numbered(*events: dict[str, Any]) -> list[bytes]:
    return [named({**event, "sequence_number": at}) for at, event in enumerate(events)]


def opening() -> list[dict[str, Any]]:
    return [
        {"type": "response.created", "response": response("in_progress")},
        {"type": "response.in_progress", "response": response("in_progress")},
    ]


def ending(finish: str | None, usage: Any) -> list[dict[str, Any]]:
    if finish is None:
        return []
    if finish == "completed":
        return [{"type": "response.completed", "response": response("completed", usage=usage)}]
    why = {"reason": finish}
    return [
        {
            "type": "response.incomplete",
            "response": response("incomplete", usage=usage, incomplete_details=why),
        }
    ]


def message(kind: str, delta: str, said: list[str]) -> list[dict[str, Any]]:
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    key = "text" if kind == "output_text" else "refusal"
    empty = {"type": kind, key: "", **({"annotations": [], "logprobs": []} if key == "text" else {})}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    whole = "".join(said)
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **where, "part": empty},
        *({"type": f"response.{delta}.delta", **where, "delta": piece, "logprobs": []} for piece in said),
        {"type": f"response.{delta}.done", **where, key: whole, "logprobs": []},
        {"type": "response.content_part.done", **where, "part": empty | {key: whole}},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": item | {"status": "completed", "content": [empty | {key: whole}]},
        },
    ]


def text(*pieces: str, finish: str | None = "completed", usage: Any = USAGE) -> list[bytes]:
    said = message("output_text", "output_text", list(pieces)) if pieces else []
    return numbered(*opening(), *said, *ending(finish, usage))


def refusal(*pieces: str) -> list[bytes]:
    return numbered(*opening(), *message("refusal", "refusal", list(pieces)), *ending("completed", USAGE))


def calls(wanted: Calls) -> list[bytes]:
    events = opening()
    wanted = list(wanted)

    def item(at: int, arguments: str, status: str) -> dict[str, Any]:
        id_, name, _ = wanted[at]
        known = {"type": "function_call", "id": f"fc_{at}", "call_id": id_, "name": name}
        return known | {"arguments": arguments, "status": status}

    for at in range(len(wanted)):
        events.append({"type": "response.output_item.added", "output_index": at, "item": item(at, "", "in_progress")})
    for round_ in range(max(len(pieces) for _, _, pieces in wanted)):
        for at, (_, _, pieces) in enumerate(wanted):
            if round_ < len(pieces):
                where = {"item_id": f"fc_{at}", "output_index": at}
                events.append({"type": "response.function_call_arguments.delta", **where, "delta": pieces[round_]})
    for at, (_, name, pieces) in enumerate(wanted):
        whole = "".join(pieces)
        where = {"item_id": f"fc_{at}", "output_index": at}
        events.append({"type": "response.function_call_arguments.done", **where, "name": name, "arguments": whole})
        events.append({"type": "response.output_item.done", "output_index": at, "item": item(at, whole, "completed")})
    return numbered(*events, *ending("completed", USAGE))


VENDOR = Vendor(
    provider="openai",
    model="gpt-4.1",
    key_env="OPENAI_API_KEY",
    path="/v1",
    settings={"api": "responses"},
    text=text,
    calls=calls,
    complete_after=after_event(b'"response.completed"'),
    raw_text=lambda said: within(text("XX"), said),
    scenes={
        "text": Reply(events=text("Hel", "lo, ", "world.")),
        "tool_calls": Reply(events=calls([("call_1", "add", ['{"a"', ': 1, "b"', ": 2}"])])),
        "structured": Reply(events=text('{"ok": tr', 'ue, "reason": "fine"}')),
        "length": Reply(events=text("Hello wor", finish="max_output_tokens")),
        "rate_limited": error_reply(429, "rate_limit_exceeded", "Rate limit reached", "requests", retry_after="7"),
        "overloaded": error_reply(503, "server_is_overloaded", "Our servers are currently overloaded."),
        "outage": error_reply(500, None, "The server had an error", "server_error"),
        "auth": error_reply(401, "invalid_api_key", "Incorrect API key provided: sk-not-a-key."),
        "context_too_long": error_reply(400, "context_length_exceeded", TOO_LONG, "invalid_request_error"),
        "refused": Reply(events=refusal("I cannot ", "help with that.")),
        "cut": Reply(events=text("Hel", "lo, ", "world."), cut_after=1400),
        "early_end": Reply(events=text("Hello", finish=None)),
        "empty": Reply(events=text()),
        "no_usage": Reply(events=text("Hello.", usage=None)),
        "malformed": Reply(events=[*text("Hel", finish=None), b"event: response.completed\ndata: {not json\n\n"]),
        "busy": error_reply(529, None, "Overloaded", "overloaded_error"),
    },
)
