"""The google provider: what exactly goes out, and what it cannot say over that wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from providers import vendor_google
from providers.conformance import ADD, VERDICT, Stage, a_request, answer
from providers.wire_conformance import outcome
from providers.wire_server import Reply, WireServer, sse, wire_server

from orchestrator import registry
from orchestrator.ai.answer import Answer
from orchestrator.core.messages import File, Image, Message, Text, ToolCall, ToolResult, user
from orchestrator.errors import CredentialsError, NotFoundError
from orchestrator.ports.chat_model import ChatModelError, Notice, ProviderOptions

KEY = "AIza-canary-0123456789"
HELLO = Reply(events=vendor_google.text("Hello"))
OLD, NEW, PLAIN = "gemini-2.5-flash", "gemini-3.8-flash", "gemini-2.0-flash"
TURNS = (
    user("Add one and two."),
    Message("assistant", (Text("Let me add."), ToolCall("c1", "add", '{"a": 1, "b": 2}'))),
    Message("tool", (ToolResult("c1", "add", "3"),)),
)


def provider() -> Any:
    return registry.load("orchestrator.providers", "google", "PROVIDER")


@asynccontextmanager
async def served(*replies: Any, model: str = OLD) -> AsyncIterator[tuple[Stage, WireServer]]:
    async with wire_server(*replies) as wire:
        url = wire.url.removesuffix("/v1")
        chat = provider().open(ProviderOptions(environ={"GEMINI_API_KEY": KEY, "GOOGLE_GEMINI_BASE_URL": url}))
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
        "seed": 7,
        "stop": ["END"],
        "presence_penalty": 0.1,
        "frequency_penalty": -0.2,
        "extra": {"labels": {"team": "red"}},
    }
    async with served(HELLO) as (stage, wire):
        request = a_request(
            stage, settings=settings, temperature=0.25, max_tokens=99, instructions="Be brief.", tools=(ADD,)
        )
        await answer(stage, request)
    sent = wire.received[0]
    assert sent.path == f"/v1beta/models/{OLD}:streamGenerateContent?alt=sse"
    assert sent.headers["x-goog-api-key"] == KEY
    (tool,) = sent.body.pop("tools")[0]["functionDeclarations"]
    assert tool["name"] == "add"
    assert sent.body.pop("toolConfig")["functionCallingConfig"]["mode"] in ("AUTO", "VALIDATED")
    assert sent.body.pop("systemInstruction")["parts"] == [{"text": "Be brief."}]
    assert sent.body == {
        "contents": [{"role": "user", "parts": [{"text": "Say hello to the world."}]}],
        "generationConfig": {
            "temperature": 0.25,
            "topP": 0.9,
            "topK": 40,
            "maxOutputTokens": 99,
            "stopSequences": ["END"],
            "presencePenalty": 0.1,
            "frequencyPenalty": -0.2,
            "seed": 7,
            "responseModalities": ["TEXT"],
        },
        "labels": {"team": "red"},
    }


async def test_nothing_is_sent_that_was_not_set() -> None:
    body, notices = await asked()
    assert body == {
        "contents": [{"role": "user", "parts": [{"text": "Say hello to the world."}]}],
        "generationConfig": {"responseModalities": ["TEXT"]},
    }
    assert notices == []


async def test_what_the_service_does_not_know_is_left_out_and_said() -> None:
    _, notices = await asked(settings={"parallel_tool_calls": False, "api": "responses"})
    assert notices == [f"google/{OLD} takes no parallel_tool_calls, api: left out"]


async def test_reasoning_effort_is_a_level_or_a_number_of_tokens_as_the_model_knows_it() -> None:
    def thinking(body: dict[str, Any]) -> dict[str, Any]:
        config = body["generationConfig"]["thinkingConfig"]
        return {name.replace("_", "").lower(): value for name, value in config.items()}

    body, _ = await asked(OLD, settings={"reasoning_effort": "low"})
    assert thinking(body)["thinkingbudget"] == 2048
    body, _ = await asked(OLD, settings={"reasoning_effort": "none"})
    assert thinking(body)["thinkingbudget"] == 0
    body, _ = await asked(NEW, settings={"reasoning_effort": "high"})
    assert thinking(body)["thinkinglevel"] == "HIGH"
    body, notices = await asked(PLAIN, settings={"reasoning_effort": "high"})
    assert "thinkingConfig" not in body["generationConfig"]
    assert notices == [f"google/{PLAIN} takes no reasoning_effort: left out"]


async def test_a_schema_is_enforced_and_beside_tools_only_where_the_model_can() -> None:
    body, notices = await asked(OLD, output_schema=VERDICT)
    assert body["generationConfig"]["responseMimeType"] == "application/json"
    assert notices == []
    body, notices = await asked(OLD, output_schema=VERDICT, tools=(ADD,))
    assert "responseMimeType" not in body["generationConfig"]
    assert '"ok"' in str(body["systemInstruction"])
    assert "beside tools" in notices[0]
    body, notices = await asked(NEW, output_schema=VERDICT, tools=(ADD,))
    assert body["generationConfig"]["responseMimeType"] == "application/json"
    assert notices == []


async def test_a_conversation_with_tools_and_files_is_spelled_as_the_wire_wants_it() -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(20)
    files = (Image("image/png", png), File("a.txt", "text/plain", b"words"), File("b.pdf", "application/pdf", b"%PDF"))
    said = (Message("user", (Text("What is this?"), *files)), *TURNS[1:])
    body, _ = await asked(NEW, messages=said, tools=(ADD,))
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
    kinds = [next(iter(part)) for part in body["contents"][0]["parts"]]
    assert kinds == ["text", "inlineData", "text", "text", "inlineData"]
    call = body["contents"][1]["parts"][1]["functionCall"]
    assert (call["name"], call["args"]) == ("add", {"a": 1, "b": 2})
    assert body["contents"][2]["parts"][0]["functionResponse"]["name"] == "add"


async def test_an_image_by_address_is_refused_since_it_would_have_to_be_fetched() -> None:
    said = (Message("user", (Text("Look."), Image("image/png", url="https://example.com/a.png"))),)
    async with served(HELLO) as (stage, wire):
        with pytest.raises(ChatModelError, match="no image by its address"):
            await answer(stage, a_request(stage, messages=said))
    assert wire.received == []


@pytest.mark.parametrize("finish", [None, "CONTINUATION"])
async def test_a_stream_that_could_be_continued_is_not_continued_behind_our_back(finish: str | None) -> None:
    part = {"content": {"parts": [{"text": "Hel"}], "role": "model"}, "continuationToken": "dG9rZW4="}
    ended = part | ({"finishReason": finish} if finish else {})
    stopped = sse({"candidates": [ended], "usageMetadata": vendor_google.USAGE, "responseId": "r"})
    async with served(Reply(events=[stopped])) as (stage, wire):
        got = await outcome(stage)
    assert len(wire.received) == 1
    if finish is None:
        assert isinstance(got, ChatModelError)
        assert got.type == "outage"
    else:
        assert isinstance(got, Answer)
        assert got.finish == "length"


@pytest.mark.parametrize("finish", ["SAFETY", "RECITATION", "PROHIBITED_CONTENT", "SPII", "BLOCKLIST"])
async def test_a_filtered_answer_is_refused(finish: str) -> None:
    async with served(Reply(events=vendor_google.text("He", finish=finish))) as (stage, _):
        with pytest.raises(ChatModelError) as caught:
            await answer(stage)
    assert caught.value.type == "refused"


@pytest.mark.parametrize(
    ("finish", "word"),
    [("MALFORMED_FUNCTION_CALL", "invalid_output"), ("OTHER", "outage"), ("NEVER_HEARD_OF", "outage")],
)
async def test_an_end_that_is_none_is_a_failed_attempt(finish: str, word: str) -> None:
    async with served(Reply(events=vendor_google.text("He", finish=finish))) as (stage, _):
        with pytest.raises(ChatModelError, match=finish) as caught:
            await answer(stage)
    assert (caught.value.type, caught.value.retryable) == (word, True)


async def test_a_quota_of_the_day_is_not_worth_another_try() -> None:
    spent = {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
    }
    async with served(vendor_google.error(429, "RESOURCE_EXHAUSTED", "You exceeded your quota", spent)) as (stage, _):
        with pytest.raises(ChatModelError) as caught:
            await answer(stage)
    assert (caught.value.type, caught.value.retryable) == ("rate_limited", False)


async def test_an_error_inside_the_stream_has_its_word() -> None:
    said = sse({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}})
    async with served(Reply(events=[*vendor_google.text("He", finish=None), said])) as (stage, _):
        with pytest.raises(ChatModelError, match="overloaded") as caught:
            await answer(stage)
    assert (caught.value.type, caught.value.charged) == ("overloaded", True)


def test_a_missing_key_is_named_and_either_variable_does() -> None:
    with pytest.raises(CredentialsError, match=r"the variable GEMINI_API_KEY \(or GOOGLE_API_KEY\) is not set"):
        provider().check(OLD, ProviderOptions(environ={}))
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        provider().check(OLD, ProviderOptions(environ={name: KEY}))


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("importlib.util.find_spec", missing)
    with pytest.raises(NotFoundError, match="needs a package") as caught:
        provider().check(OLD, ProviderOptions(environ={"GEMINI_API_KEY": KEY}))
    assert caught.value.help == "pip install 'whisper-flow[google]'"
