"""A talk's agents may call workflows as in a run: found in the plan, within the talk's budget."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from ai.test_approvals import House, results
from ai.test_called_workflows import PAID, asks_paid

from orchestrator.agents.conversation import Conversation
from orchestrator.bootstrap import ExecutionEngine
from orchestrator.errors import TaskError
from orchestrator.ports.services import AgentAnswer
from orchestrator.testing.scripted import Turn

TALK = """
    name: talk
    %s
    agents:
      chief: {model: scripted/chief, tools: [./paid.yaml, ./sure.yaml], permissions: {allow: ['workflows/*']}}
"""
SURE = "name: sure\ntasks: {sure: {ask: 'Sure?'}}\n"


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    (tmp_path / "workflows" / "paid.yaml").write_text(PAID)
    (tmp_path / "workflows" / "sure.yaml").write_text(SURE)
    return house


@pytest.fixture
async def engine(house: House) -> AsyncIterator[ExecutionEngine]:
    async with house.engine() as opened:
        yield opened


def talk_of(house: House, engine: ExecutionEngine, more: str = "") -> Conversation:
    plan = house.plan(TALK % more)
    plan.children["workflows/paid.yaml"].workers["w"]["provider"] = "scripted"
    return Conversation(engine, plan, "chief")


async def say(talk: Conversation, text: str) -> AgentAnswer:
    async def nobody(question: Any) -> Any:
        raise AssertionError(f"nobody is to be asked: {question}")

    return await talk.say(text, publish=lambda type, data: None, ask=nobody)


async def test_a_talk_calls_a_workflow_and_tells_what_it_cost(house: House, engine: ExecutionEngine) -> None:
    chief = house.model(asks_paid(), "Done.", name="chief")
    house.model("A line.")
    answer = await say(talk_of(house, engine), "Write it.")
    assert results(chief) == [('{"text": "A line."}', False)]
    assert answer.cost == pytest.approx(0.06)


async def test_a_called_workflow_draws_on_the_talks_budget(house: House, engine: ExecutionEngine) -> None:
    chief = house.model(asks_paid(), "Nothing.", name="chief")
    paid = house.model("A line.")
    talk = talk_of(house, engine, "budget: {cost: $0.05, allow_unpriced: true}")
    await say(talk, "Write it.")
    ((told, failed),) = results(chief)
    assert failed
    assert f"run {talk.id}" in told
    assert paid.requests == []


async def test_a_called_workflow_that_waits_for_a_person_ends_the_turn_and_says_so(
    house: House, engine: ExecutionEngine
) -> None:
    house.model(Turn(tool_calls=[("sure", {})]), "Then not.", name="chief")
    talk = talk_of(house, engine)
    with pytest.raises(TaskError, match=r"of workflows/sure\.yaml is waiting") as caught:
        await say(talk, "Are you sure?")
    assert "whisper-flow answer" in (caught.value.help or "")
    assert (await say(talk, "Leave it.")).text == "Then not."
