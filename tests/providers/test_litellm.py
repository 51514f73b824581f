"""A third party's real server: LiteLLM's proxy answers our providers in three wire formats, and parses what our wire server sends.

Nightly: `pytest --nightly tests/providers/test_litellm.py`.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from providers import litellm_proxy, vendor_anthropic, vendor_openai_responses
from providers.conformance import ADD, VERDICT, Stage
from providers.litellm_proxy import KEY, Proxy
from providers.wire_conformance import outcome
from providers.wire_server import Received, Reply, WireServer, streamed, text_reply, tool_reply, wire_server

from orchestrator import registry
from orchestrator.ai.answer import Answer
from orchestrator.core.messages import Message, ToolCall, ToolResult, Usage, user
from orchestrator.ports.chat_model import ChatModelError, ProviderOptions

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]

CALLS = [("call_1", "add", ['{"a"', ': 1, "b"', ": 2}"]), ("call_2", "add", ['{"a": 3, "b": 4}'])]
HELLO = "Hello, wide world. This is a mock."
TURNS = (
    user("Add one and two."),
    Message("assistant", (ToolCall("call_1", "add", '{"a": 1, "b": 2}'),)),
    Message("tool", (ToolResult("call_1", "add", "3"),)),
)


def upstream(received: Received) -> Reply:
    """Our wire server as the proxy's upstream, in whatever format it asks."""
    calls = bool(received.body.get("tools")) and "3" not in json.dumps(received.body.get("messages", [])[-1:])
    if received.path.endswith("/responses"):
        said = vendor_openai_responses.calls(CALLS) if calls else vendor_openai_responses.text("Hel", "lo, ", "world.")
        return Reply(events=said)
    if received.path.endswith("/models"):
        return Reply(body=b'{"object": "list", "data": []}')
    if received.body.get("response_format"):
        return text_reply('{"ok": true, ', '"reason": "fine"}')
    if calls and "mixed" in json.dumps(received.body):
        return tool_reply(CALLS)
    return Reply(events=one_by_one()) if calls else text_reply("Hel", "lo, ", "world.")


def one_by_one() -> list[bytes]:
    """Parallel calls as OpenAI sends them: each is whole before the next begins."""
    deltas: list[dict[str, Any]] = []
    for index, (id_, name, pieces) in enumerate(CALLS):
        first = {"index": index, "id": id_, "type": "function", "function": {"name": name, "arguments": ""}}
        deltas.append({"tool_calls": [first]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces]
    return streamed(*deltas, finish="tool_calls")


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory, session_tool_env: dict[str, str]) -> Path:
    return litellm_proxy.environment(tmp_path_factory.mktemp("litellm") / "venv", session_tool_env)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(venv: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Proxy, WireServer]]:
    async with (
        wire_server(upstream) as wire,
        litellm_proxy.proxy(venv, tmp_path_factory.mktemp("proxy"), wire.url) as it,
    ):
        yield it, wire
        assert it.outside() == "", "the proxy tried to reach the outside"


def test_the_guard_notices_who_looks_outside(venv: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(litellm_proxy.GUARD)
    log = tmp_path / "guard.log"
    done = subprocess.run(
        [venv / "bin" / "python", "-c", "import socket; socket.create_connection(('model.example', 443))"],
        env={"PYTHONPATH": str(tmp_path), "GUARD_LOG": str(log)},
        capture_output=True,
    )
    assert done.returncode == 1
    assert "model.example" in log.read_text()


@contextlib.contextmanager
def opened(name: str, url: str, model: str, **settings: Any) -> Iterator[Stage]:
    keys = ("CUSTOM_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")
    options = ProviderOptions(environ=dict.fromkeys(keys, KEY), base_url=url)
    yield Stage(registry.load("orchestrator.providers", name, "PROVIDER").open(options), model, settings)


@pytest.mark.asyncio(loop_scope="module")
class TestProxy:
    async def asked(self, name: str, url: str, model: str, how: dict[str, Any] | None = None, **changes: Any) -> Any:
        with opened(name, url, model, **(how or {})) as stage:
            try:
                return await outcome(stage, **changes)
            finally:
                await stage.model.close()

    @pytest.mark.parametrize("name", ["openai", "custom"])
    async def test_its_own_answer_is_taken(self, world: tuple[Proxy, WireServer], name: str) -> None:
        got = await self.asked(name, world[0].url + "/v1", "mock-text", temperature=0.1, max_tokens=50)
        assert isinstance(got, Answer)
        assert got.message.text == HELLO
        assert got.finish == "stop"
        assert got.usage.output_tokens > 0

    @pytest.mark.parametrize(
        ("model", "word"),
        [("mock-rate", "rate_limited"), ("mock-broken", "outage"), ("mock-long", "context_too_long")],
    )
    async def test_its_errors_have_their_word(self, world: tuple[Proxy, WireServer], model: str, word: str) -> None:
        got = await self.asked("custom", world[0].url + "/v1", model)
        assert isinstance(got, ChatModelError)
        assert (got.type, got.charged) == (word, False)

    async def test_a_wrong_key_is_refused(self, world: tuple[Proxy, WireServer]) -> None:
        options = ProviderOptions(environ={"CUSTOM_API_KEY": "sk-wrong-key-0123456789"}, base_url=world[0].url + "/v1")
        chat = registry.load("orchestrator.providers", "custom", "PROVIDER").open(options)
        got = await outcome(Stage(chat, "mock-text", {}))
        await chat.close()
        assert isinstance(got, ChatModelError)
        assert (got.type in ("auth", "invalid_input"), got.retryable, got.charged) == (True, False, False)
        assert "sk-wrong-key-0123456789" not in got.message

    @pytest.mark.parametrize("model", ["up-openai", "up-vllm"])
    @pytest.mark.parametrize(
        ("name", "path", "how"),
        [("custom", "/v1", {}), ("openai", "/v1", {"api": "responses"}), ("anthropic", "", {})],
        ids=["chat", "responses", "messages"],
    )
    async def test_text_and_calls_come_through_it(
        self, world: tuple[Proxy, WireServer], model: str, name: str, path: str, how: dict[str, Any]
    ) -> None:
        url = world[0].url + path
        got = await self.asked(name, url, model, how, instructions="Be brief.", max_tokens=60)
        assert isinstance(got, Answer), got
        assert got.message.text == "Hello, world."
        assert (got.usage.input_tokens, got.usage.output_tokens) == (21, 7)
        got = await self.asked(name, url, model, how, tools=(ADD,), max_tokens=60)
        assert isinstance(got, Answer), got
        assert [(call.name, json.loads(call.arguments)) for call in got.message.tool_calls] == [
            ("add", {"a": 1, "b": 2}),
            ("add", {"a": 3, "b": 4}),
        ]
        assert got.finish == "tool_calls"

    async def test_calls_that_it_mixes_up_are_not_believed(self, world: tuple[Proxy, WireServer]) -> None:
        """Its translation to messages puts the arguments of calls that come interleaved into one call."""
        said = (user("Answer with mixed calls."),)
        got = await self.asked("anthropic", world[0].url, "up-vllm", messages=said, tools=(ADD,), max_tokens=60)
        assert isinstance(got, ChatModelError)
        assert (got.type, got.retryable) == ("invalid_output", True)

    @pytest.mark.parametrize(("name", "path"), [("custom", "/v1"), ("anthropic", "")])
    async def test_a_conversation_and_its_config_arrive_behind_it(
        self, world: tuple[Proxy, WireServer], name: str, path: str
    ) -> None:
        proxy, wire = world
        settings = {"temperature": 0.25, "max_tokens": 77, "instructions": "Be brief."}
        got = await self.asked(name, proxy.url + path, "up-vllm", messages=TURNS, tools=(ADD,), **settings)
        assert isinstance(got, Answer), got
        body = wire.received[-1].body
        assert (body["temperature"], body["max_tokens"]) == (0.25, 77)
        assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "tool"]
        assert body["tools"][0]["function"]["name"] == "add"

    async def test_a_schema_arrives_behind_it(self, world: tuple[Proxy, WireServer]) -> None:
        got = await self.asked("custom", world[0].url + "/v1", "up-vllm", output_schema=VERDICT)
        assert isinstance(got, Answer), got
        assert json.loads(got.message.text) == {"ok": True, "reason": "fine"}

    async def test_cached_and_reasoning_tokens_come_through_it(self, world: tuple[Proxy, WireServer]) -> None:
        got = await self.asked("custom", world[0].url + "/v1", "up-openai")
        assert isinstance(got, Answer)
        assert got.usage == Usage(21, 7, 4, 3)

    # Our wire server's bodies beside its own

    async def test_our_chat_chunks_have_all_that_its_own_have(self, world: tuple[Proxy, WireServer]) -> None:
        ask = {"model": "mock-text", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        theirs = await world[0].raw("/v1/chat/completions", ask | {"stream_options": {"include_usage": True}})
        assert _missing(theirs, _events(streamed({"content": "Hi"}))) == set()

    async def test_our_messages_events_have_all_that_its_own_have(self, world: tuple[Proxy, WireServer]) -> None:
        ask = {"model": "up-vllm", "stream": True, "max_tokens": 60, "messages": [{"role": "user", "content": "hi"}]}
        theirs = await world[0].raw("/v1/messages", ask)
        ours = _events(vendor_anthropic.text("Hi"))
        assert _missing(theirs, ours) == set()
        assert [event["type"] for event in theirs if event["type"] != "ping"][-3:] == [e["type"] for e in ours][-3:]

    async def test_our_responses_events_have_all_that_it_passes_on(self, world: tuple[Proxy, WireServer]) -> None:
        theirs = await world[0].raw("/v1/responses", {"model": "up-openai", "stream": True, "input": "hi"})
        kinds = [event["type"] for event in _events(vendor_openai_responses.text("Hel", "lo, ", "world."))]
        assert [event["type"] for event in theirs] == kinds


ADDED: set[tuple[str, str]] = {
    # Its own figures, not part of the format.
    ("usage.cost", "number"),
    ("usage.completion_tokens_details.text_tokens", "number"),
}


def _events(stream: list[bytes]) -> list[dict[str, Any]]:
    lines = b"".join(stream).decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def _missing(theirs: list[dict[str, Any]], ours: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Paths with types that their events have and none of ours has."""
    assert len(theirs) > 3, theirs
    return {p for event in theirs for p in _paths(event)} - {p for event in ours for p in _paths(event)} - ADDED


def _paths(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, f"{at}.{key}" if at else key)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, f"{at}[]")
    elif value is not None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        yield at, "number" if is_number else type(value).__name__
