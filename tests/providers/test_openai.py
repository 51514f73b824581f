"""The openai provider (and its cousins) against a real server on loopback that speaks the real wire format."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from providers import vendor_openai_chat, vendor_openai_responses
from providers.conformance import ADD, VERDICT, Stage, a_request, answer
from providers.vendors import body
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
from orchestrator.core.messages import File, Image, Message, Text, ToolCall, ToolResult, user
from orchestrator.errors import CredentialsError
from orchestrator.ports.chat_model import ChatModelError, Notice, ProviderOptions

KEY = "sk-canary-0123456789abcdef"
HELLO = text_reply("Hel", "lo, ", "world.")
SCENES = vendor_openai_chat.VENDORS["openai"].scenes


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


@pytest.mark.parametrize("effort", ["minimal", "xhigh", "max"])
async def test_every_word_for_an_effort_goes_out_as_it_is(effort: str) -> None:
    async with served(HELLO, model="gpt-5-mini") as (stage, wire):
        request = a_request(stage, settings={"reasoning_effort": effort})
        _ = [event async for event in stage.model.stream(request)]
    assert wire.received[0].body["reasoning_effort"] == effort


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


@pytest.mark.parametrize("arguments", ['{"a": 1', "[1]", "nonsense"])
async def test_tool_arguments_that_are_no_object_are_a_failed_attempt(arguments: str) -> None:
    async with served(tool_reply([("c1", "add", [arguments])])) as (stage, _):
        with pytest.raises(ChatModelError, match="not a JSON object") as caught:
            await answer(stage, a_request(stage, tools=(ADD,)))
    assert caught.value.retryable


@pytest.mark.parametrize("pieces", [['{"a": 1, "b": 2}'], ['{"a"', ': 1, "b": 2}'], ['{"a": 1', "", ', "b"', ": 2}"]])
async def test_arguments_may_begin_beside_the_name(pieces: list[str]) -> None:
    """Some servers send the first piece with the name, others the name alone."""

    calls = [{"index": 0, "function": {"arguments": piece}} for piece in pieces]
    calls[0] = {"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": pieces[0]}}
    events = streamed(*({"tool_calls": [call]} for call in calls), finish="tool_calls")
    async with served(Reply(events=events)) as (stage, _):
        (call,) = (await answer(stage, a_request(stage, tools=(ADD,)))).message.tool_calls
    assert (call.name, json.loads(call.arguments)) == ("add", {"a": 1, "b": 2})


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


async def test_a_used_up_quota_is_not_worth_another_try() -> None:
    async with served(error_reply(429, "insufficient_quota", "You exceeded your current quota")) as (stage, wire):
        with pytest.raises(ChatModelError) as caught:
            await answer(stage)
    assert (caught.value.type, caught.value.retryable) == ("rate_limited", False)
    assert "waiting does not help" in str(caught.value.help)
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


async def test_a_model_that_only_answers_to_the_other_api_says_which_line_helps() -> None:
    said = "This model is only supported in v1/responses and not in v1/chat/completions."
    async with served(error_reply(404, None, said, "invalid_request_error")) as (stage, _):
        with pytest.raises(ChatModelError, match="only supported") as caught:
            await answer(stage)
    assert caught.value.help == "set `api: responses` in the agent's `ai_config`"


async def test_responses_get_exactly_what_was_configured_and_keep_nothing() -> None:
    settings = {"api": "responses", "top_p": 0.9, "seed": 7, "stop": "END", "extra": {"user": "u-1"}}
    async with served(Reply(events=vendor_openai_responses.text("Hello"))) as (stage, wire):
        request = a_request(
            stage, settings=settings, temperature=0.25, max_tokens=99, instructions="Be brief.", tools=(ADD,)
        )
        events = [event async for event in stage.model.stream(request)]
    sent = wire.received[0]
    assert sent.path == "/v1/responses"
    tool = sent.body.pop("tools")[0]
    assert (tool["name"], tool["parameters"]["properties"]) == ("add", ADD.parameters["properties"])
    assert sent.body.pop("input") == [{"role": "user", "content": "Say hello to the world."}]
    assert sent.body == {
        "model": "gpt-4.1",
        "instructions": "Be brief.",
        "temperature": 0.25,
        "top_p": 0.9,
        "max_output_tokens": 99,
        "tool_choice": "auto",
        "store": False,
        "stream": True,
        "user": "u-1",
    }
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert notices == ["openai/gpt-4.1 by `api: responses` takes no seed, stop: left out"]


async def test_a_conversation_with_tools_goes_out_as_responses_want_it() -> None:
    said = (
        user("Add one and two."),
        Message("assistant", (Text("Let me add."), ToolCall("c1", "add", '{"a": 1, "b": 2}'))),
        Message("tool", (ToolResult("c1", "add", "3"),)),
    )
    async with served(Reply(events=vendor_openai_responses.text("Three"))) as (stage, wire):
        settings = {"api": "responses"}
        await answer(stage, a_request(stage, messages=said, tools=(ADD,), settings=settings, output_schema=VERDICT))
    kinds = [item.get("type", item.get("role")) for item in wire.received[0].body["input"]]
    assert kinds == ["user", "assistant", "function_call", "function_call_output"]
    assert wire.received[0].body["text"]["format"]["type"] == "json_schema"


@pytest.mark.parametrize("setting", [{"api": "telepathy"}, {"reasoning_effort": "very"}])
async def test_a_word_nobody_knows_is_refused_before_anything_is_sent(setting: dict[str, str]) -> None:
    async with served(HELLO) as (stage, wire):
        with pytest.raises(ChatModelError, match=next(iter(setting.values()))) as caught:
            await answer(stage, a_request(stage, settings=setting))
    assert (caught.value.type, caught.value.charged, caught.value.help[:6]) == ("invalid_input", False, "one of")
    assert wire.received == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, {"error": {"message": "litellm.ContextWindowExceededError: too much", "type": "invalid_request_error"}}),
        (400, {"error": {"code": 400, "message": "the request exceeds the available context size, try increasing it"}}),
        (400, {"error": "input length exceeds the context length"}),
        (413, {"error": {"message": "Request Entity Too Large"}}),
    ],
)
async def test_a_context_that_is_too_long_is_known_in_every_servers_words(status: int, said: dict[str, Any]) -> None:
    async with served(body(status, said), name="custom") as (stage, _):
        with pytest.raises(ChatModelError) as caught:
            await answer(stage)
    assert (caught.value.type, caught.value.retryable) == ("context_too_long", False)
