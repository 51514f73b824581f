"""What every provider promises. A provider's test subclasses ProviderConformance and says how each scene is set.

A scene is a situation on the provider's side; `set_scene` returns a ChatModel that will meet it and the model's name.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, NamedTuple

import pytest

from orchestrator.ai.answer import Answer, Assembly
from orchestrator.core.messages import Message, Text, user
from orchestrator.ports.chat_model import ChatModel, ChatModelError, ChatRequest, Finished, ToolSpec, UsageReported

Scene = Literal[
    "text", "tool_calls", "structured", "length", "rate_limited", "overloaded", "outage", "auth", "context_too_long",
    "refused", "timeout", "cut", "early_end", "empty", "no_usage", "malformed", "slow", "busy",
]  # fmt: skip


class Stage(NamedTuple):
    model: ChatModel
    name: str
    settings: dict[str, Any]


ADD = ToolSpec(
    name="add",
    description="Add two numbers",
    parameters={
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
)
VERDICT = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "reason": {"type": "string"}},
    "required": ["ok", "reason"],
    "additionalProperties": False,
}


def a_request(stage: Stage, prompt: str = "Say hello to the world.", **changes: Any) -> ChatRequest:
    known: dict[str, Any] = {"model": stage.name, "messages": (user(prompt),), "settings": stage.settings}
    return ChatRequest(**(known | changes))


async def answer(stage: Stage, request: ChatRequest | None = None) -> Answer:
    assembly = Assembly()
    async for event in stage.model.stream(request or a_request(stage)):
        assembly.take(event)
    return assembly.answer()


class ProviderConformance:
    missing: frozenset[Scene] = frozenset()
    """Scenes this provider cannot get into, each for a reason its test states."""

    def set_scene(self, scene: Scene) -> AbstractAsyncContextManager[Stage]:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _known(self, request: pytest.FixtureRequest) -> None:
        marker = request.node.get_closest_marker("parametrize")
        scene = request.node.callspec.params.get("scene") if marker and hasattr(request.node, "callspec") else None
        if scene in self.missing:
            pytest.skip(f"{type(self).__name__} never meets {scene}")

    async def test_text_arrives_in_pieces_then_usage_then_the_end(self) -> None:
        async with self.set_scene("text") as stage:
            events = [event async for event in stage.model.stream(a_request(stage))]
        assert isinstance(events[-1], Finished)
        assert events[-1].reason == "stop"
        assert sum(isinstance(event, Finished) for event in events) == 1
        usage = [event.usage for event in events if isinstance(event, UsageReported)][-1]
        assert usage.input_tokens > 0
        assert usage.output_tokens > 0

    async def test_one_connection_answers_again_and_again(self) -> None:
        async with self.set_scene("text") as stage:
            first, second = await answer(stage), await answer(stage)
        assert first.message.text == second.message.text != ""

    async def test_many_requests_at_once_do_not_mix(self) -> None:
        async with self.set_scene("text") as stage:
            answers = await asyncio.gather(*(answer(stage) for _ in range(20)))
        assert len({a.message.text for a in answers}) == 1

    async def test_tool_calls_carry_names_ids_and_whole_arguments(self) -> None:
        async with self.set_scene("tool_calls") as stage:
            got = await answer(stage, a_request(stage, "add: a: 1\nb: 2", tools=(ADD,)))
        assert got.finish == "tool_calls"
        call = got.message.tool_calls[0]
        assert call.name == "add"
        assert call.id
        assert json.loads(call.arguments) == {"a": 1, "b": 2}

    async def test_structured_output_is_json_for_the_schema(self) -> None:
        async with self.set_scene("structured") as stage:
            got = await answer(stage, a_request(stage, output_schema=VERDICT))
        value = json.loads(got.message.text)
        assert isinstance(value["ok"], bool)
        assert isinstance(value["reason"], str)

    async def test_an_answer_cut_at_max_tokens_says_so(self) -> None:
        async with self.set_scene("length") as stage:
            got = await answer(stage, a_request(stage, "Say hello to the wide, wide world. " * 5, max_tokens=4))
        assert got.finish == "length"

    @pytest.mark.parametrize(
        ("scene", "type_", "retryable"),
        [
            ("rate_limited", "rate_limited", True),
            ("overloaded", "overloaded", True),
            ("busy", "overloaded", True),
            ("outage", "outage", True),
            ("auth", "auth", False),
            ("context_too_long", "context_too_long", False),
            ("refused", "refused", False),
            ("cut", "outage", True),
            ("early_end", "outage", True),
            ("empty", "invalid_output", True),
            ("no_usage", "invalid_output", True),
            ("malformed", "outage", True),
        ],
    )
    async def test_a_failure_has_its_word(self, scene: Scene, type_: str, retryable: bool) -> None:
        async with self.set_scene(scene) as stage:
            with pytest.raises(ChatModelError) as caught:
                await answer(stage)
        assert caught.value.type == type_
        assert caught.value.retryable is retryable
        assert caught.value.message

    async def test_what_the_provider_asks_to_wait_is_passed_on(self) -> None:
        async with self.set_scene("rate_limited") as stage:
            with pytest.raises(ChatModelError) as caught:
                await answer(stage)
        assert caught.value.retry_after == pytest.approx(7, abs=2)
        assert caught.value.charged is False

    async def test_closing_the_stream_ends_the_request(self) -> None:
        async with self.set_scene("text") as stage:
            stream: AsyncIterator[Any] = stage.model.stream(a_request(stage))
            await anext(stream)
            await stream.aclose()  # type: ignore[attr-defined]
            assert (await answer(stage)).message.text

    async def test_closing_twice_is_fine(self) -> None:
        async with self.set_scene("text") as stage:
            await answer(stage)
            await stage.model.close()
            await stage.model.close()

    async def test_a_conversation_of_several_turns_is_taken(self) -> None:
        async with self.set_scene("text") as stage:
            said = (user("Hello."), Message("assistant", (Text("Hello yourself."),)), user("And again."))
            assert (await answer(stage, a_request(stage, messages=said))).message.text
