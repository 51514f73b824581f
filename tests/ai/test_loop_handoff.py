"""A conversation that goes on with another agent: within a question, between questions, after a crash."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ai.test_loop import POINTS, AddTool, _as_after_a_kill
from ai.world import World

from orchestrator.ai import AILoopManager
from orchestrator.ai.handoff import HandOff
from orchestrator.ai.record import read_session
from orchestrator.errors import CredentialsError, NotFoundError, TaskError, UsageError
from orchestrator.ports.chat_model import ChatModelError, ToolSpec
from orchestrator.ports.tool import PersonNeeded
from orchestrator.testing.scripted import ScriptedModel, Turn

OVER = Turn(text="I pass this on.", tool_calls=[("add", {"a": 1, "b": 2}), ("transfer", {"to": "sales"})])


class Transfer:
    name = "transfer"
    effect: Any = "pure"
    spec = ToolSpec(
        name="transfer",
        description="Hand over",
        parameters={"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]},
    )

    async def call(self, arguments: dict[str, Any], call_id: str) -> Any:
        return HandOff(arguments["to"], "She wants a discount.")


class Team:
    """`router` on scripted/m may hand over to `sales` on scripted/n, and the other way round."""

    def __init__(self, *turns: Any, sales: ScriptedModel) -> None:
        self.world = World(*turns, n=sales)
        self.sales = sales

    async def find(self, agent_id: str) -> Any:
        if agent_id == "locked":
            raise CredentialsError("OPENAI_API_KEY is not set")
        models = {"sales": "scripted/n", "router": "scripted/m"}
        if agent_id not in models:
            raise NotFoundError(f"no agent is called {agent_id!r}")
        return self.world.factory.seat(
            agent_id,
            {"model": models[agent_id], "temperature": 0.7, "max_tokens": 77},
            instructions=f"You are {agent_id}.",
            tools=[Transfer()],
        )

    def loop(self, **how: Any) -> Any:
        return self.world.loop(
            "router", tools=[AddTool(), Transfer()], agents=self.find, instructions="You route.", **how
        )


async def test_the_next_request_goes_to_the_other_agent_with_its_own_config() -> None:
    team = Team(OVER, sales=ScriptedModel('{"points": 5}'))
    got = await team.loop().ask("A discount?", instructions="Be quick.", output_schema=POINTS)
    assert (got.value, got.agent, got.model, got.turns) == ({"points": 5}, "sales", "scripted/n", 2)
    (asked,) = team.sales.requests
    assert asked.instructions == "You are sales.\n\nBe quick."
    assert (asked.agent, asked.temperature, asked.max_tokens) == ("sales", 0.7, 77)
    assert [tool.name for tool in asked.tools] == ["transfer"]
    assert asked.output_schema == POINTS


async def test_the_new_agent_sees_no_call_of_the_old_ones_tools_but_what_came_of_them() -> None:
    team = Team("Hello.", OVER, sales=ScriptedModel("20 %."))
    loop = team.loop()
    await loop.ask("Hi")
    await loop.ask("A discount?")
    (asked,) = team.sales.requests
    assert [m.role for m in asked.messages] == ["user", "assistant", "user"]
    assert not any(message.tool_calls for message in asked.messages)
    last = asked.messages[-1].text
    assert last.startswith("A discount?")
    assert 'add({"a": 1, "b": 2}) gave: 3' in last
    assert "It said: I pass this on." in last
    assert last.endswith("Its message to you: She wants a discount.")


async def test_who_answered_what_stands_in_the_ledger() -> None:
    team = Team(OVER, sales=ScriptedModel("20 %."))
    await team.loop().ask("?", key="k")
    calls = read_session(team.world.journal, "r1/agent/k").calls
    assert [(call.agent, call.model) for call in calls] == [("router", "scripted/m"), ("sales", "scripted/n")]


@pytest.mark.parametrize("to", ["nobody", "locked"])
async def test_an_agent_that_cannot_take_over_is_told_to_the_one_that_asked(to: str) -> None:
    team = Team(Turn(tool_calls=[("transfer", {"to": to})]), "I do it myself.", sales=ScriptedModel())
    got = await team.loop().ask("?")
    assert (got.value, got.agent) == ("I do it myself.", "router")
    (result,) = team.world.model.requests[1].messages[-1].parts
    assert "cannot be handed over" in result.content  # type: ignore[union-attr]


async def test_of_two_hand_offs_at_once_one_holds() -> None:
    both = Turn(tool_calls=[("transfer", {"to": "sales"}), ("transfer", {"to": "sales"})])
    team = Team(both, sales=ScriptedModel("Mine."))
    assert (await team.loop().ask("?")).agent == "sales"


async def test_two_agents_that_hand_over_to_each_other_for_ever_are_ended_by_the_turns() -> None:
    to_router = Turn(tool_calls=[("transfer", {"to": "router"})])
    to_sales = Turn(tool_calls=[("transfer", {"to": "sales"})])
    team = Team(to_sales, sales=ScriptedModel(to_router, repeat_last=True))
    team.world.model.repeat_last = True
    with pytest.raises(TaskError, match="no answer after 7 turns"):
        await team.loop(config={"max_turns": 7}).ask("?")
    assert len(team.world.model.requests) + len(team.sales.requests) == 7


async def test_killed_after_the_hand_off_the_new_agent_goes_on() -> None:
    gate = asyncio.Event()
    team = Team(OVER, sales=ScriptedModel(Turn(text="20 %.", gate=gate), "30 %."))
    lost = asyncio.create_task(team.loop().ask("?", key="k"))
    await team.sales.asked.wait()
    team.world.journal = _as_after_a_kill(team.world.journal)
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)
    team.world.start()
    got = await team.loop().ask("?", key="k")
    assert (got.value, got.agent) == ("30 %.", "sales")
    assert len(team.world.model.requests) == 1


async def test_a_hand_off_beside_a_call_that_waits_for_a_person_takes_effect_afterwards() -> None:
    from ai.test_loop_tools import AskingTool

    send = AskingTool()
    turn = Turn(tool_calls=[("transfer", {"to": "sales"}), ("send", {"a": 1, "b": 1})])
    team = Team(turn, sales=ScriptedModel("20 %."))

    def loop() -> Any:
        return team.world.loop("router", tools=[send, Transfer()], agents=team.find)

    with pytest.raises(PersonNeeded):
        await loop().ask("?", key="k")
    assert team.sales.requests == []
    team.world.start()
    send.allowed.add("call_1_1")
    assert (await loop().ask("?", key="k")).agent == "sales"


async def test_a_retry_that_starts_afresh_stays_with_the_agent_that_took_over() -> None:
    team = Team(OVER, sales=ScriptedModel(ChatModelError("refused", "no"), "20 %."))
    loop = team.loop()
    with pytest.raises(TaskError):
        await loop.ask("?", key="k")
    assert (await loop.ask("?", key="k")).agent == "sales"
    assert "She wants a discount." in team.sales.requests[1].messages[-1].text


# Between questions


async def test_a_session_switches_to_another_agent_with_a_clean_context() -> None:
    team = Team(Turn(tool_calls=[("add", {"a": 1, "b": 2})]), "Three.", sales=ScriptedModel("Sales here."))
    loop = team.loop()
    await loop.ask("1 and 2?")
    await loop.switch("sales", "He counts slowly.")
    got = await loop.ask("And now?")
    assert (got.agent, loop.agent_id, loop.config.model) == ("sales", "sales", "scripted/n")
    (asked,) = team.sales.requests
    assert [(m.role, m.text) for m in asked.messages] == [
        ("user", "1 and 2?"),
        ("assistant", "Three."),
        ("user", "(The agent before you says: He counts slowly.)\n\nAnd now?"),
    ]
    assert [m.text for m in loop.conversation][-2:] == ["And now?", "Sales here."]


async def test_the_record_knows_who_had_the_conversation_last() -> None:
    team = Team("Hello.", sales=ScriptedModel("Sales here."))
    loop = team.loop()
    await loop.ask("Hi")
    await loop.switch("sales")
    await loop.ask("?")
    team.world.start()
    again = team.loop()
    assert (again.agent_id, again.last_agent) == ("router", "sales")
    await again.switch(again.last_agent)
    assert again.config.model == "scripted/n"


async def test_switching_back_and_forth_keeps_what_was_said() -> None:
    team = Team("M1", "M2", sales=ScriptedModel("N1"))
    loop = team.loop()
    await loop.ask("1")
    await loop.switch("sales")
    await loop.ask("2")
    await loop.switch("router")
    await loop.ask("3")
    assert [m.text for m in team.world.model.requests[-1].messages] == ["1", "M1", "2", "N1", "3"]


async def test_before_anything_was_said_a_switch_is_just_another_agent() -> None:
    team = Team(sales=ScriptedModel("Sales here."))
    loop = team.loop()
    await loop.switch("sales")
    assert (await loop.ask("?")).agent == "sales"


async def test_an_agent_nobody_declared_cannot_take_over_a_session() -> None:
    team = Team("Hello.", sales=ScriptedModel())
    loop = team.loop()
    with pytest.raises(NotFoundError, match="ghost"):
        await loop.switch("ghost")
    assert (await loop.ask("?")).agent == "router"
    with pytest.raises(NotFoundError, match="knows no agent 'sales'"):
        await team.world.loop().switch("sales")


async def test_a_question_that_waits_for_a_person_must_end_before_the_switch() -> None:
    from ai.test_loop_tools import AskingTool

    team = Team(Turn(tool_calls=[("send", {"a": 1, "b": 1})]), sales=ScriptedModel())
    loop = team.world.loop("router", tools=[AskingTool()], agents=team.find)
    with pytest.raises(PersonNeeded):
        await loop.ask("?", key="k")
    with pytest.raises(UsageError, match="has not answered yet"):
        await loop.switch("sales")


async def test_the_manager_switches_the_loop_it_keeps() -> None:
    team = Team("Hello.", sales=ScriptedModel("Sales here."))
    loops = AILoopManager(team.world.factory)
    loop = loops.get_or_create_ai_loop("router", {"model": "scripted/m"}, loop_id="chat", agents=team.find)
    await loop.ask("Hi")
    assert await loops.switch_agent("chat", "sales") is loop
    assert loops.get_active_models() == {"chat": "scripted/n"}
    assert (await loop.ask("?")).value == "Sales here."
    with pytest.raises(NotFoundError):
        await loops.switch_agent("elsewhere", "sales")


async def test_another_agents_task_in_the_same_conversation_sees_no_foreign_tools() -> None:
    team = Team(Turn(tool_calls=[("add", {"a": 1, "b": 2})]), "Three.", sales=ScriptedModel("Sales."))
    await team.loop().ask("1 and 2?", key="a")
    other = team.world.loop("sales", "scripted/n")
    await other.ask("So?", key="b")
    (asked,) = team.sales.requests
    assert [(m.role, m.text) for m in asked.messages] == [
        ("user", "1 and 2?"),
        ("assistant", "Three."),
        ("user", "So?"),
    ]


async def test_delegates_hear_who_speaks() -> None:
    team = Team(OVER, sales=ScriptedModel("20 %."))
    loop = team.loop()
    heard: list[tuple[str, str]] = []
    for event in ("ai_request_prepared", "ai_processing_step"):
        loop.delegate_manager.register(
            event,
            lambda sender, event_type, **p: heard.append((p["agent_id"], p.get("step_name", "request"))),
        )
    await loop.ask("?")
    assert heard[0] == ("router", "request")
    assert ("router", "handoff") in heard
    assert heard[-1] == ("sales", "request")
