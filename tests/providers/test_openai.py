"""The openai provider (and its cousins) against a real server on loopback that speaks the real wire format."""

from __future__ import annotations

import asyncio
import email.utils
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from providers.conformance import ADD, VERDICT, ProviderConformance, Scene, Stage, a_request, answer
from providers.wire_server import (
    Reply,
    WireServer,
    chunk,
    error_reply,
    sse,
    streamed,
    text_reply,
    tool_reply,
    wire_server,
)

from orchestrator import registry
from orchestrator.core.messages import File, Image, Message, Text, ToolCall, ToolResult, Usage, user
from orchestrator.errors import CredentialsError
from orchestrator.ports.chat_model import ChatModelError, Notice, ProviderOptions, ToolSpec

KEY = "sk-canary-0123456789abcdef"
HELLO = text_reply("Hel", "lo, ", "world.")
TOO_LONG = "This model's maximum context length is 128000 tokens. Please reduce the length of the messages."

SCENES: dict[Scene, Reply] = {
    "text": HELLO,
    "tool_calls": tool_reply([("call_1", "add", ['{"a"', ': 1, "b"', ": 2}"])]),
    "structured": text_reply('{"ok": tr', 'ue, "reason": "fine"}'),
    "length": text_reply("Hello wor", finish="length"),
    "rate_limited": error_reply(429, "rate_limit_exceeded", "Rate limit reached", retry_after="7"),
    "overloaded": error_reply(503, None, "The engine is currently overloaded"),
    "outage": error_reply(500, None, "The server had an error"),
    "auth": error_reply(401, "invalid_api_key", "Incorrect API key provided"),
    "context_too_long": error_reply(400, "context_length_exceeded", TOO_LONG),
    "refused": Reply(events=streamed({"refusal": "I cannot "}, {"refusal": "help with that."})),
    "cut": Reply(events=HELLO.events, cut_after=400),
    "early_end": Reply(events=streamed({"content": "Hello"}, finish=None, usage=None, done=False)),
    "empty": Reply(events=streamed()),
    "no_usage": text_reply("Hello.", usage=None),
    "malformed": Reply(events=[chunk({"content": "Hel"}), b"data: {not json\n\n"]),
}


def options(url: str, **environ: str) -> ProviderOptions:
    return ProviderOptions(environ={"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": url, "CUSTOM_BASE_URL": url, **environ})


def provider(name: str = "openai") -> Any:
    return registry.load("orchestrator.providers", name, "PROVIDER")


@asynccontextmanager
async def served(
    *replies: Any, name: str = "openai", model: str = "gpt-4.1"
) -> AsyncIterator[tuple[Stage, WireServer]]:
    async with wire_server(*replies) as wire:
        chat = provider(name).open(options(wire.url))
        yield Stage(chat, model, {}), wire
        await chat.close()


class TestOpenAI(ProviderConformance):
    name = "openai"

    @asynccontextmanager
    async def set_scene(self, scene: Scene) -> AsyncIterator[Stage]:
        async with served(SCENES[scene], name=self.name) as (stage, _):
            yield stage


class TestCustom(TestOpenAI):
    name = "custom"


# What goes out


async def test_the_request_carries_exactly_what_was_configured() -> None:
    settings = {
        "top_p": 0.9,
        "seed": 7,
        "stop": ["END"],
        "presence_penalty": 0.1,
        "frequency_penalty": -0.2,
        "parallel_tool_calls": False,
        "extra": {"logit_bias": {"50256": -100}},
    }
    async with served(HELLO) as (stage, wire):
        request = a_request(
            stage, settings=settings, temperature=0.25, max_tokens=99, instructions="Be brief.", tools=(ADD,)
        )
        await answer(stage, request)
    sent = wire.received[0]
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    tool = sent.body.pop("tools")[0]
    assert tool["function"]["name"] == "add"
    assert tool["function"]["parameters"]["properties"] == ADD.parameters["properties"]
    assert sent.body == {
        "model": "gpt-4.1",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Say hello to the world."},
        ],
        "temperature": 0.25,
        "max_completion_tokens": 99,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["END"],
        "presence_penalty": 0.1,
        "frequency_penalty": -0.2,
        "parallel_tool_calls": False,
        "logit_bias": {"50256": -100},
        "tool_choice": "auto",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_nothing_is_sent_that_was_not_set() -> None:
    async with served(HELLO) as (stage, wire):
        await answer(stage)
    assert set(wire.received[0].body) == {"model", "messages", "stream", "stream_options"}


async def test_other_servers_get_the_older_name_of_max_tokens_and_never_openais_key() -> None:
    async with served(HELLO, name="custom") as (stage, wire):
        await answer(stage, a_request(stage, max_tokens=50))
    assert wire.received[0].body["max_tokens"] == 50
    assert "max_completion_tokens" not in wire.received[0].body
    assert KEY not in wire.received[0].headers["authorization"]


async def test_a_model_that_reasons_gets_no_sampling_settings_and_the_user_is_told() -> None:
    async with served(HELLO, model="gpt-5-mini") as (stage, wire):
        request = a_request(stage, temperature=0.0, settings={"top_p": 0.5, "reasoning_effort": "low"})
        events = [event async for event in stage.model.stream(request)]
    assert not {"temperature", "top_p"} & set(wire.received[0].body)
    assert wire.received[0].body["reasoning_effort"] == "low"
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert notices == ["openai/gpt-5-mini reasons and takes no temperature, top_p: left out"]


async def test_the_schema_goes_out_as_the_providers_structured_output() -> None:
    async with served(SCENES["structured"]) as (stage, wire):
        await answer(stage, a_request(stage, output_schema=VERDICT))
    asked = wire.received[0].body["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["schema"]["properties"] == VERDICT["properties"]
    assert asked["json_schema"]["schema"]["required"] == ["ok", "reason"]


async def test_a_conversation_with_tools_and_files_is_spelled_as_the_wire_wants_it() -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(20)
    said = (
        Message("user", (Text("What is this?"), Image("image/png", png), File("a.txt", "text/plain", b"plain words"))),
        Message("assistant", (Text("Let me add."), ToolCall("c1", "add", '{"a": 1, "b": 2}'))),
        Message("tool", (ToolResult("c1", "add", "3"),)),
        user("Thanks."),
    )
    async with served(HELLO) as (stage, wire):
        await answer(stage, a_request(stage, messages=said, tools=(ADD,), instructions="Be kind."))
    messages = wire.received[0].body["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "tool", "user"]
    kinds = [part["type"] for part in messages[1]["content"]]
    assert kinds == ["text", "image_url", "text"]
    assert messages[1]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")
    assert "plain words" in messages[1]["content"][2]["text"]
    call = messages[2]["tool_calls"][0]
    assert (call["id"], call["function"]["name"]) == ("c1", "add")
    assert messages[3] == {"role": "tool", "tool_call_id": "c1", "content": "3"}


async def test_two_keys_and_two_addresses_do_not_mix() -> None:
    async with wire_server(text_reply("one")) as first, wire_server(text_reply("two")) as second:
        environ = {"KEY_ONE": "k-one", "KEY_TWO": "k-two"}
        chats = [
            provider("custom").open(ProviderOptions(environ=environ, key_env="KEY_ONE", base_url=first.url)),
            provider("custom").open(ProviderOptions(environ=environ, key_env="KEY_TWO", base_url=second.url)),
        ]
        got = await asyncio.gather(*(answer(Stage(chat, "m", {})) for chat in chats for _ in range(5)))
        for chat in chats:
            await chat.close()
    assert [a.message.text for a in got] == ["one"] * 5 + ["two"] * 5
    assert {r.headers["authorization"] for r in first.received} == {"Bearer k-one"}
    assert {r.headers["authorization"] for r in second.received} == {"Bearer k-two"}


# What comes back


async def test_the_very_first_piece_of_text_is_not_lost() -> None:
    async with served(Reply(events=[chunk({"role": "assistant", "content": "A"}), *streamed({"content": "BC"})])) as (
        stage,
        _,
    ):
        assert (await answer(stage)).message.text == "ABC"


async def test_usage_counts_cached_and_reasoning_tokens() -> None:
    async with served(HELLO) as (stage, _):
        assert (await answer(stage)).usage == Usage(21, 7, 4, 3)


async def test_parallel_tool_calls_that_come_interleaved_are_told_apart() -> None:
    calls = [("c1", "add", ['{"a": 1', ', "b": 2}']), ("c2", "mul", ['{"x"', ": 3}"]), ("c3", "add", ["{}"])]
    mul = ToolSpec(name="mul", description="", parameters={"type": "object", "properties": {}})
    async with served(tool_reply(calls)) as (stage, _):
        got = await answer(stage, a_request(stage, tools=(ADD, mul)))
    assert [(c.id, c.name, c.arguments) for c in got.message.tool_calls] == [
        ("c1", "add", '{"a": 1, "b": 2}'),
        ("c2", "mul", '{"x": 3}'),
        ("c3", "add", "{}"),
    ]


@pytest.mark.parametrize("arguments", ['{"a": 1', "[1]", "nonsense"])
async def test_tool_arguments_that_are_no_object_are_a_failed_attempt(arguments: str) -> None:
    async with served(tool_reply([("c1", "add", [arguments])])) as (stage, _):
        with pytest.raises(ChatModelError, match="not a JSON object") as caught:
            await answer(stage, a_request(stage, tools=(ADD,)))
    assert caught.value.retryable


async def test_a_stream_cut_anywhere_is_never_a_whole_answer() -> None:
    whole = b"".join(HELLO.events or [])
    end = whole.index(b"data: [DONE]")
    cuts = [*range(1, end, 97), whole.index(b'"finish_reason": "stop"') + 30]
    for at in cuts:
        async with served(Reply(events=[whole], cut_after=at)) as (stage, _):
            with pytest.raises(ChatModelError) as caught:
                await answer(stage)
            assert caught.value.type == "outage"
            assert caught.value.retryable
            assert caught.value.charged


async def test_an_end_nobody_knows_is_a_failed_attempt() -> None:
    async with served(text_reply("Hello", finish="sleepy")) as (stage, _):
        with pytest.raises(ChatModelError, match="sleepy"):
            await answer(stage)


async def test_a_refusal_is_passed_on_in_its_own_words() -> None:
    async with served(SCENES["refused"]) as (stage, _):
        with pytest.raises(ChatModelError, match="I cannot help with that"):
            await answer(stage)


async def test_a_filtered_answer_is_refused() -> None:
    async with served(text_reply("He", finish="content_filter")) as (stage, _):
        with pytest.raises(ChatModelError) as caught:
            await answer(stage)
    assert caught.value.type == "refused"


async def test_an_error_inside_the_stream_has_its_word() -> None:
    error = sse({"error": {"message": "Slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}})
    async with served(Reply(events=[chunk({"content": "He"}), error])) as (stage, _):
        with pytest.raises(ChatModelError, match="Slow down") as caught:
            await answer(stage)
    assert caught.value.type == "rate_limited"
    assert caught.value.charged


async def test_odd_characters_and_a_pair_of_halves_come_out_sound() -> None:
    pieces = [b'{"content": "a\\ud83d"}', b'{"content": "\\ude00b\\u0000\\udc00c"}']
    events = [chunk({"content": "XX"}).replace(b'{"content": "XX"}', piece) for piece in pieces]
    async with served(Reply(events=[*events, *streamed()])) as (stage, _):
        text = (await answer(stage)).message.text
    assert text == "a😀b\x00\ufffdc"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("3", 3.0),
        ("0", 0.0),
        ("-5", None),
        ("soon", None),
        ("99999999999", None),
        ("date", 20.0),
        ("past", 0.0),
    ],
)
async def test_retry_after_is_read_in_seconds_and_as_a_date(header: str, expected: float | None) -> None:
    dated = {"date": time.time() + 20, "past": time.time() - 100}
    value = email.utils.formatdate(dated[header], usegmt=True) if header in dated else header
    async with served(error_reply(429, retry_after=value)) as (stage, _):
        with pytest.raises(ChatModelError) as caught:
            await answer(stage)
    assert caught.value.retry_after == (expected if expected is None else pytest.approx(expected, abs=2))


async def test_a_used_up_quota_is_not_worth_another_try() -> None:
    async with served(error_reply(429, "insufficient_quota", "You exceeded your current quota")) as (stage, wire):
        with pytest.raises(ChatModelError) as caught:
            await answer(stage)
    assert (caught.value.type, caught.value.retryable) == ("rate_limited", False)
    assert "waiting does not help" in str(caught.value.help)
    assert len(wire.received) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529, 429, 408])
async def test_the_sdk_repeats_nothing(status: int) -> None:
    async with served(error_reply(status)) as (stage, wire):
        with pytest.raises(ChatModelError) as caught:
            await answer(stage)
    assert caught.value.retryable
    assert len(wire.received) == 1


@pytest.mark.parametrize(
    ("status", "code", "type_"),
    [(404, "model_not_found", "invalid_input"), (400, "invalid_request", "invalid_input"), (403, None, "auth")],
)
async def test_what_is_wrong_with_the_request_is_not_tried_again(status: int, code: str | None, type_: str) -> None:
    async with served(error_reply(status, code)) as (stage, _):
        with pytest.raises(ChatModelError) as caught:
            await answer(stage)
    assert (caught.value.type, caught.value.retryable, caught.value.charged) == (type_, False, False)


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"\xff\xfe"])
async def test_an_answer_that_is_no_stream_at_all_is_an_outage(body: bytes) -> None:
    async with served(Reply(body=body)) as (stage, _):
        with pytest.raises(ChatModelError) as caught:
            await answer(stage)
    assert caught.value.type == "outage"


async def test_nobody_listening_is_an_outage_that_cost_nothing() -> None:
    async with wire_server(HELLO) as wire:
        url = wire.url
    chat = provider("custom").open(options(url))
    with pytest.raises(ChatModelError) as caught:
        await answer(Stage(chat, "m", {}))
    assert (caught.value.type, caught.value.charged) == ("outage", False)
    await chat.close()


async def test_a_key_that_comes_back_in_an_error_is_not_passed_on() -> None:
    async with served(error_reply(401, "invalid_api_key", f"Incorrect API key provided: {KEY}.\x1b[31m")) as (stage, _):
        with pytest.raises(ChatModelError) as caught:
            await answer(stage)
    assert KEY not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert "***" in str(caught.value)


async def test_hanging_up_ends_the_request_on_the_wire() -> None:
    gate = asyncio.Event()
    async with served(Reply(events=HELLO.events, gate=gate)) as (stage, wire):
        stream = stage.model.stream(a_request(stage))
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.wait_for(wire.arrived.wait(), 5)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with aclosing(stream):  # type: ignore[type-var]
            pass
        await asyncio.wait_for(wire.hung_up.wait(), 5)


# Keys and imports


def test_a_missing_key_is_named() -> None:
    with pytest.raises(CredentialsError, match="the variable OPENAI_API_KEY is not set") as caught:
        provider().check("gpt-5-mini", ProviderOptions(environ={}))
    assert "embedded/" in str(caught.value.help)


def test_a_workers_own_key_is_named_even_where_the_usual_one_is_set() -> None:
    with pytest.raises(CredentialsError, match="TEAM_KEY"):
        provider().check("m", ProviderOptions(environ={"OPENAI_API_KEY": KEY}, key_env="TEAM_KEY"))


def test_a_custom_server_without_an_address_says_what_to_set() -> None:
    with pytest.raises(CredentialsError, match="CUSTOM_BASE_URL"):
        provider("custom").check("m", ProviderOptions(environ={}))


def test_local_servers_need_no_key() -> None:
    for name in ("ollama", "local"):
        provider(name).check("qwen3:8b", ProviderOptions(environ={}))


def test_checking_and_opening_import_no_sdk() -> None:
    code = """
import sys
from orchestrator import registry
from orchestrator.ports.chat_model import ProviderOptions
options = ProviderOptions(environ={"OPENAI_API_KEY": "k"})
provider = registry.load("orchestrator.providers", "openai", "PROVIDER")
provider.check("gpt-5", options)
provider.open(options)
assert not {"pydantic_ai", "pydantic", "openai", "httpx", "httpx2"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
