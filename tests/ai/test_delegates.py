"""Delegates of an AI loop: every point of the contract, and the controls that hold and stop it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ai.test_loop import AddTool
from ai.world import World

from orchestrator.ai.record import read_session
from orchestrator.delegates import DelegateManager, catalogue, check_payload
from orchestrator.errors import TaskError
from orchestrator.ports.chat_model import ChatModelError
from orchestrator.testing.scripted import Turn


class Ear:
    """Hears everything, and holds each payload against its model."""

    def __init__(self, manager: Any) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        for entry in catalogue():
            if entry.origin == "ai_loop" and entry.kind == "notification":
                manager.register(entry.name, self)

    def __call__(self, sender: Any, event_type: str, **payload: Any) -> None:
        check_payload(event_type, payload)
        self.heard.append((event_type, payload))

    def names(self) -> list[str]:
        return [name for name, _ in self.heard]

    def of(self, name: str) -> list[dict[str, Any]]:
        return [payload for heard, payload in self.heard if heard == name]


async def test_every_point_of_a_conversation_is_told_in_order() -> None:
    world = World(
        ChatModelError("overloaded", "later"),
        Turn(text="Adding.", tool_calls=[("add", {"a": 1, "b": 2})]),
        "Three.",
    )
    loop = world.loop("adder", tools=[AddTool()], task_id="sum", instructions="Add.")
    ear = Ear(loop.delegate_manager)
    await loop.ask("One and two?")
    await loop.close()
    assert ear.names() == [
        "ai_loop.session_started",
        "ai_loop_started",
        "ai_request_prepared",
        "ai_loop_error_occurred",
        "ai_processing_step",
        "ai_request_prepared",
        "ai_loop.message.ai_chunk_received",
        "ai_loop.message.ai_chunk_received",
        "ai_response_received",
        "ai_loop.tool.call_generated",
        "ai_processing_step",
        "ai_processing_step",
        "ai_request_prepared",
        "ai_loop.message.ai_chunk_received",
        "ai_loop.message.ai_chunk_received",
        "ai_response_received",
        "ai_loop_stopped",
        "ai_loop.session_ended",
    ]
    who = {(p["run_id"], p["task_id"], p["agent_id"], p["session_id"]) for _, p in ear.heard}
    assert who == {("r1", "sum", "adder", "r1/agent/k")}
    chunks = [(p["chunk"], p["seq"], p["is_final"]) for p in ear.of("ai_loop.message.ai_chunk_received")]
    assert chunks == [("Adding.", 0, False), ("", 1, True), ("Three.", 0, False), ("", 1, True)]
    first = ear.of("ai_request_prepared")[0]
    assert first["target_model"] == "scripted/m"
    assert first["request_payload"]["instructions"] == "Add."
    assert first["request_payload"]["messages"][0]["parts"] == [{"kind": "text", "text": "One and two?"}]
    answered = ear.of("ai_response_received")[0]
    assert answered["tokens_used"] == {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    assert answered["response_data"]["tool_calls"][0]["name"] == "add"
    assert ear.of("ai_loop.tool.call_generated")[0]["arguments"] == {"a": 1, "b": 2}
    assert [p["step_name"] for p in ear.of("ai_processing_step")] == ["retry", "tool_started", "tool"]
    assert ear.of("ai_loop_stopped")[0]["reason"] == "ended"


async def test_an_answer_is_told_only_when_it_is_on_record() -> None:
    world = World(Turn(tool_calls=[("add", {"a": 1, "b": 2})]), "Three.")
    loop = world.loop(tools=[AddTool()])
    on_record: list[list[str]] = []

    def look(sender: Any, event_type: str, **payload: Any) -> None:
        on_record.append([call.status for call in read_session(world.journal, "r1/agent/k").calls])

    loop.delegate_manager.register("ai_response_received", look)
    await loop.ask("?")
    assert on_record == [["answered"], ["answered", "answered"]]


async def test_a_repair_is_told() -> None:
    world = World("no json", '{"ok": true}')
    loop = world.loop()
    ear = Ear(loop.delegate_manager)
    await loop.ask("?", output_schema={"type": "object", "properties": {"ok": {"type": "boolean"}}})
    assert ear.of("ai_processing_step")[0]["step_name"] == "repair"


async def test_each_loop_has_a_manager_of_its_own() -> None:
    world = World("x", "y")
    one, two = world.loop(stream="s1"), world.loop(stream="s2")
    ear = Ear(one.get_delegate_manager())
    await two.ask("?")
    assert ear.heard == []
    await one.ask("?")
    assert ear.heard != []


async def test_one_registration_on_the_runs_manager_hears_all_its_loops() -> None:
    world = World("x", "y")
    above = DelegateManager()
    world.factory._delegates = lambda run_id: DelegateManager(parent=above)
    ear = Ear(above)
    await world.sessions().run_turns(world.call(key="a", agent_id="one"))
    await world.sessions().run_turns(world.call(key="b", agent_id="two"))
    assert {p["agent_id"] for p in ear.of("ai_loop_started")} == {"one", "two"}
    assert {p["task_id"] for p in ear.of("ai_loop_started")} == {"t"}


async def test_a_delegate_holds_the_loop_before_each_request_until_it_lets_go() -> None:
    world = World("Hello.")
    loop = world.loop()
    asked: list[dict[str, Any]] = []

    def hold(sender: Any, control_type: str, **payload: Any) -> bool:
        asked.append(payload)
        assert world.model.requests == []
        return len(asked) < 4

    loop.delegate_manager.register("ai_loop_request_pause", hold)
    assert (await loop.ask("?")).value == "Hello."
    assert len(asked) == 4
    assert (asked[0]["target_model"], asked[0]["turn"]) == ("scripted/m", 1)


async def test_an_async_delegate_may_stop_the_loop() -> None:
    world = World(Turn(tool_calls=[("add", {"a": 1, "b": 2})]), "never")
    loop = world.loop(tools=[AddTool()])

    async def stop(sender: Any, control_type: str, **payload: Any) -> bool:
        await asyncio.sleep(0)
        return bool(payload["turn"] == 2)

    loop.delegate_manager.register("ai_loop_request_stop", stop)
    with pytest.raises(TaskError, match="stopped") as caught:
        await loop.ask("?")
    assert caught.value.type == "cancelled"
    assert len(world.model.requests) == 1


async def test_a_delegate_that_raises_harms_nobody() -> None:
    world = World("Hello.")
    loop = world.loop()

    def broken(sender: Any, event_type: str, **payload: Any) -> None:
        raise RuntimeError("mine alone")

    for entry in catalogue():
        if entry.origin == "ai_loop":
            loop.delegate_manager.register(entry.name, broken)
    assert (await loop.ask("?")).value == "Hello."
