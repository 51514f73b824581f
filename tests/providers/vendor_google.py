"""Google's Gemini API."""

from __future__ import annotations

import json
from typing import Any

from providers.vendors import Calls, Vendor, after_event, body, within
from providers.wire_server import Reply, sse

USAGE = {
    "promptTokenCount": 21,
    "candidatesTokenCount": 4,
    "thoughtsTokenCount": 3,
    "cachedContentTokenCount": 4,
    "totalTokenCount": 28,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 21}],
}
SO_FAR = {"promptTokenCount": 21, "totalTokenCount": 21}
TOO_LONG = "The input token count (1200345) exceeds the maximum number of tokens allowed (1048576)."


def error(status: int, code: str, message: str, *details: dict[str, Any], **headers: str) -> Reply:
    said = {"error": {"code": status, "message": message, "status": code, "details": list(details)}}
    return body(status, said, **headers)


def chunk(parts: list[dict[str, Any]], finish: str | None = None, usage: Any = SO_FAR) -> bytes:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    known = {"candidates": [candidate], "modelVersion": "m-1", "responseId": "r-1"}
    return sse(known | ({} if usage is None else {"usageMetadata": usage}))


def text(*pieces: str, finish: str | None = "STOP", usage: Any = USAGE) -> list[bytes]:
    so_far = None if usage is None else SO_FAR
    *first, last = pieces or ("",)
    return [*(chunk([{"text": piece}], usage=so_far) for piece in first), chunk([{"text": last}], finish, usage)]


def calls(wanted: Calls) -> list[bytes]:
    made = [
        {"functionCall": {"id": id_, "name": name, "args": json.loads("".join(pieces))}, "thoughtSignature": "c2ln"}
        for id_, name, pieces in wanted
    ]
    return [chunk(made), chunk([{"text": ""}], "STOP", USAGE)]


VENDOR = Vendor(
    provider="google",
    model="gemini-2.5-flash",
    key_env="GEMINI_API_KEY",
    text=text,
    calls=calls,
    complete_after=after_event(b'"finishReason"'),
    raw_text=lambda said: within(text("XX"), said),
    scenes={
        "text": Reply(events=text("Hel", "lo, ", "world.")),
        "tool_calls": Reply(events=calls([("call_1", "add", ['{"a"', ': 1, "b"', ": 2}"])])),
        "structured": Reply(events=text('{"ok": tr', 'ue, "reason": "fine"}')),
        "length": Reply(events=text("Hello wor", finish="MAX_TOKENS")),
        "rate_limited": error(
            429,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota, please check your plan and billing details.",
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}],
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"},
        ),
        "overloaded": error(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
        "outage": error(500, "INTERNAL", "An internal error has occurred."),
        "auth": error(
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"},
        ),
        "context_too_long": error(400, "INVALID_ARGUMENT", TOO_LONG),
        "refused": Reply(
            events=[sse({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": SO_FAR})]
        ),
        "cut": Reply(events=text("Hel", "lo, ", "world."), cut_after=400),
        "early_end": Reply(events=text("Hel", "lo", finish=None)),
        "empty": Reply(events=text()),
        "no_usage": Reply(events=text("Hello.", usage=None)),
        "malformed": Reply(events=[*text("Hel", finish=None), b"data: {not json\n\n"]),
        "busy": error(529, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    },
)
