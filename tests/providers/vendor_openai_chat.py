"""OpenAI's chat completions."""

from __future__ import annotations

from typing import Any

from providers.vendors import Vendor, after_event, body, within
from providers.wire_server import Reply, chunk, error_reply, streamed, text_reply, tool_reply

TOO_LONG = (
    "This model's maximum context length is 128000 tokens. However, your messages resulted in 200113 tokens. "
    "Please reduce the length of the messages."
)
HELLO = text_reply("Hel", "lo, ", "world.")


def text(*pieces: str, finish: str | None = "stop") -> list[bytes]:
    deltas: list[dict[str, Any]] = [{"content": piece} for piece in pieces]
    if finish is None:
        return streamed(*deltas, finish=None, usage=None, done=False)
    return streamed(*deltas, finish=finish)


def chat(provider: str, key_env: str, model: str) -> Vendor:
    return Vendor(
        provider=provider,
        model=model,
        key_env=key_env,
        path="/v1",
        text=text,
        calls=lambda calls: tool_reply(calls).events or [],
        complete_after=after_event(b'"usage"'),
        raw_text=lambda said: within(text("XX"), said),
        scenes={
            "text": HELLO,
            "tool_calls": tool_reply([("call_1", "add", ['{"a"', ': 1, "b"', ": 2}"])]),
            "structured": text_reply('{"ok": tr', 'ue, "reason": "fine"}'),
            "length": text_reply("Hello wor", finish="length"),
            "rate_limited": error_reply(429, "rate_limit_exceeded", "Rate limit reached", retry_after="7"),
            "overloaded": error_reply(503, None, "The engine is currently overloaded"),
            "outage": error_reply(500, None, "The server had an error", "server_error"),
            "auth": error_reply(401, "invalid_api_key", "Incorrect API key provided: sk-not-a-key."),
            "context_too_long": error_reply(400, "context_length_exceeded", TOO_LONG, "invalid_request_error"),
            "refused": Reply(events=streamed({"refusal": "I cannot "}, {"refusal": "help with that."})),
            "cut": Reply(events=HELLO.events, cut_after=400),
            "early_end": Reply(events=streamed({"content": "Hello"}, finish=None, usage=None, done=False)),
            "empty": Reply(events=streamed()),
            "no_usage": text_reply("Hello.", usage=None),
            "malformed": Reply(events=[chunk({"content": "Hel"}), b"data: {not json\n\n"]),
            "busy": body(529, {"error": {"message": "Overloaded", "type": "overloaded_error", "code": None}}),
        },
    )


VENDORS = {
    "openai": chat("openai", "OPENAI_API_KEY", "gpt-4.1"),
    "custom": chat("custom", "CUSTOM_API_KEY", "meta/llama-4"),
    "ollama": chat("ollama", "OLLAMA_API_KEY", "qwen3:8b"),
    "local": chat("local", "LOCAL_API_KEY", "qwen3-8b-instruct"),
}
