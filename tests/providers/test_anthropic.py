"""The anthropic provider: what exactly goes out, and what it cannot say over that wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from providers import vendor_anthropic
from providers.conformance import ADD, VERDICT, Stage, a_request, answer
from providers.wire_server import Reply, WireServer, wire_server

from orchestrator import registry
from orchestrator.core.messages import File, Image, Message, Text, ToolCall, ToolResult, user
from orchestrator.errors import CredentialsError, NotFoundError
from orchestrator.ports.chat_model import ChatModelError, Notice, ProviderOptions, parse_model

KEY = "sk-ant-canary-0123456789"
HELLO = Reply(events=vendor_anthropic.text("Hello"))
OLD, NEW, PLAIN = "claude-sonnet-4-5", "claude-opus-5", "claude-3-5-haiku-latest"
TURNS = (
    user("Add one and two."),
    Message("assistant", (Text("Let me add."), ToolCall("c1", "add", '{"a": 1, "b": 2}'))),
    Message("tool", (ToolResult("c1", "add", "3"),)),
)


def provider() -> Any:
    return registry.load("orchestrator.providers", "anthropic", "PROVIDER")


@asynccontextmanager
async def served(*replies: Any, model: str = OLD) -> AsyncIterator[tuple[Stage, WireServer]]:
    async with wire_server(*replies) as wire:
        url = wire.url.removesuffix("/v1")
        environ = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": url}
        chat = provider().open(ProviderOptions(environ=environ))
        yield Stage(chat, model, {}), wire
        await chat.close()


async def asked(model: str = OLD, **changes: Any) -> tuple[dict[str, Any], list[str]]:
    """The body that goes out and what the user is told."""
    async with served(HELLO, model=model) as (stage, wire):
        events = [event async for event in stage.model.stream(a_request(stage, **changes))]
    return wire.received[0].body, [event.message for event in events if isinstance(event, Notice)]


async def test_the_request_carries_exactly_what_was_configured() -> None:
    settings = {
        "top_p": 0.9,
        "top_k": 40,
        "stop": "END",
        "parallel_tool_calls": False,
        "extra": {"metadata": {"user_id": "u-1"}},
    }
    async with served(HELLO) as (stage, wire):
        request = a_request(
            stage, settings=settings, temperature=0.25, max_tokens=99, instructions="Be brief.", tools=(ADD,)
        )
        await answer(stage, request)
    sent = wire.received[0]
    assert sent.path == "/v1/messages"
    assert KEY in (sent.headers.get("x-api-key", "") + sent.headers.get("authorization", ""))
    tool = sent.body.pop("tools")[0]
    assert tool["name"] == "add"
    assert tool["input_schema"]["properties"] == ADD.parameters["properties"]
    assert sent.body == {
        "model": OLD,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Say hello to the world."}]}],
        "temperature": 0.25,
        "max_tokens": 99,
        "top_p": 0.9,
        "top_k": 40,
        "stop_sequences": ["END"],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "metadata": {"user_id": "u-1"},
        "stream": True,
    }


async def test_nothing_is_sent_that_was_not_set_but_the_limit_the_service_requires() -> None:
    body, notices = await asked()
    assert set(body) == {"model", "messages", "max_tokens", "stream"}
    assert body["max_tokens"] == 16_384
    assert notices == [f"anthropic/{OLD} requires `max_tokens`: 16384 is sent"]


async def test_what_the_service_does_not_know_is_left_out_and_said() -> None:
    settings = {"seed": 1, "presence_penalty": 0.1, "frequency_penalty": 0.1, "api": "responses"}
    body, notices = await asked(settings=settings, max_tokens=50)
    assert set(body) == {"model", "messages", "max_tokens", "stream"}
    assert notices == [f"anthropic/{OLD} takes no seed, presence_penalty, frequency_penalty, api: left out"]


async def test_models_that_refuse_sampling_settings_get_none() -> None:
    body, notices = await asked(NEW, temperature=0.1, settings={"top_k": 3}, max_tokens=50)
    assert not {"temperature", "top_k"} & set(body)
    assert notices == [f"anthropic/{NEW} takes no temperature, top_k: left out"]


async def test_reasoning_effort_is_an_effort_or_a_part_of_max_tokens_as_the_model_knows_it() -> None:
    body, notices = await asked(OLD, temperature=0.3, max_tokens=4_000, settings={"reasoning_effort": "high"})
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 3_000}
    assert "temperature" not in body
    assert notices == [f"anthropic/{OLD} reasons and takes no temperature: left out"]
    body, _ = await asked(NEW, max_tokens=4_000, settings={"reasoning_effort": "high"})
    assert body["thinking"] == {"type": "adaptive"}
    assert body["output_config"]["effort"] == "high"
    body, _ = await asked(NEW, max_tokens=4_000, settings={"reasoning_effort": "max"})
    assert body["output_config"]["effort"] == "max"


async def test_reasoning_that_does_not_fit_is_left_out_and_said() -> None:
    body, notices = await asked(OLD, max_tokens=500, settings={"reasoning_effort": "low"})
    assert "thinking" not in body
    assert "cannot reason within 500 max_tokens" in notices[0]


async def test_a_model_that_wants_its_thoughts_back_thinks_no_more_after_a_tool_call() -> None:
    how = {"max_tokens": 4_000, "tools": (ADD,), "settings": {"reasoning_effort": "low"}}
    body, notices = await asked(OLD, messages=TURNS, **how)
    assert "thinking" not in body
    assert "before its first tool call only" in notices[0]
    body, notices = await asked(NEW, messages=TURNS, **how)
    assert body["thinking"] == {"type": "adaptive"}


async def test_a_schema_is_enforced_by_models_that_can_and_asked_for_in_words_of_others() -> None:
    body, _ = await asked(OLD, output_schema=VERDICT)
    assert body["output_config"]["format"]["schema"]["properties"] == VERDICT["properties"]
    body, notices = await asked(PLAIN, output_schema=VERDICT, max_tokens=50)
    assert "output_config" not in body
    assert '"ok"' in str(body["system"])
    assert notices == [
        f"anthropic/{PLAIN} enforces no schema on this model: it is asked for in words, and checked here"
    ]


async def test_a_schema_too_large_to_be_enforced_is_asked_for_in_words() -> None:
    fields = {f"field_{n}": {"type": "string"} for n in range(60)}
    large = {"type": "object", "properties": fields, "required": [], "additionalProperties": False}
    body, notices = await asked(OLD, output_schema=large, max_tokens=50)
    assert "output_config" not in body
    assert "field_59" in str(body["system"])
    assert "as large as this one" in notices[0]


async def test_a_conversation_with_tools_and_files_is_spelled_as_the_wire_wants_it() -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(20)
    files = (
        Image("image/png", png),
        File("a.txt", "text/plain", b"plain words"),
        File("b.pdf", "application/pdf", b"%PDF-1.4"),
    )
    failed = Message("tool", (ToolResult("c1", "add", "no such number", is_error=True),))
    said = (Message("user", (Text("What is this?"), *files)), TURNS[1], failed, user("Thanks."))
    body, _ = await asked(messages=said, tools=(ADD,), instructions="Be kind.")
    roles = [message["role"] for message in body["messages"]]
    assert roles[:2] == ["user", "assistant"]
    kinds = [part["type"] for part in body["messages"][0]["content"]]
    assert kinds == ["text", "image", "text", "text", "document"]
    assert body["messages"][1]["content"][1] == {
        "type": "tool_use",
        "id": "c1",
        "name": "add",
        "input": {"a": 1, "b": 2},
    }
    result = body["messages"][2]["content"][0]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", "c1")
    assert "no such number" in str(result["content"])


async def test_a_file_it_cannot_read_is_refused_before_anything_is_sent() -> None:
    said = (Message("user", (Text("Listen."), File("a.mp3", "audio/mpeg", b"ID3"))),)
    async with served(HELLO) as (stage, wire):
        with pytest.raises(ChatModelError, match=r"cannot read 'a.mp3' \(audio/mpeg\)") as caught:
            await answer(stage, a_request(stage, messages=said))
    assert (caught.value.type, caught.value.charged) == ("invalid_input", False)
    assert wire.received == []


async def test_a_refusal_is_passed_on_in_its_own_words() -> None:
    async with served(vendor_anthropic.VENDOR.scenes["refused"]) as (stage, _):
        with pytest.raises(ChatModelError, match="I cannot help with that"):
            await answer(stage)


@pytest.mark.parametrize(
    ("type_", "word"),
    [("overloaded_error", "overloaded"), ("api_error", "outage"), ("rate_limit_error", "rate_limited")],
)
async def test_an_error_inside_the_stream_has_its_word(type_: str, word: str) -> None:
    said = vendor_anthropic.named({"type": "error", "error": {"type": type_, "message": "Slow down"}})
    async with served(Reply(events=[*vendor_anthropic.text("He", finish=None), said])) as (stage, _):
        with pytest.raises(ChatModelError, match="Slow down") as caught:
            await answer(stage)
    assert (caught.value.type, caught.value.charged) == (word, True)


async def test_an_empty_purse_is_not_worth_another_try() -> None:
    low = "Your credit balance is too low to access the Anthropic API."
    async with served(vendor_anthropic.error(400, "invalid_request_error", low)) as (stage, _):
        with pytest.raises(ChatModelError) as caught:
            await answer(stage)
    assert (caught.value.type, caught.value.retryable) == ("rate_limited", False)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(CredentialsError, match="the variable ANTHROPIC_API_KEY is not set"):
        provider().check(OLD, ProviderOptions(environ={"OPENAI_API_KEY": KEY}))
    with pytest.raises(CredentialsError, match="TEAM_KEY"):
        provider().check(OLD, ProviderOptions(environ={"ANTHROPIC_API_KEY": KEY}, key_env="TEAM_KEY"))


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NotFoundError, match="needs a package") as caught:
        provider().check(OLD, ProviderOptions(environ={"ANTHROPIC_API_KEY": KEY}))
    assert caught.value.help == "pip install 'whisper-flow[anthropic]'"


def test_both_spellings_lead_here() -> None:
    for text in (f"anthropic/{OLD}", f"anthropic:{OLD}"):
        assert parse_model(text) == ("anthropic", OLD)
