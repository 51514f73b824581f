"""Workflows that agents call as tools: what they cost is their caller's, and so are the limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ai.test_approvals import House, results

from orchestrator.bootstrap import ExecutionEngine
from orchestrator.core.plan import Plan
from orchestrator.ports.chat_model import ChatModelError
from orchestrator.testing.scripted import Turn

PAID = """
name: paid
workers:
  w: {provider: custom, model_name: m, auth: none, base_config: {base_url: 'http://127.0.0.1:9/v1'},
      cost_metrics: {input_per_token: 0.001, output_per_token: 0.01}}
agents:
  writer: {worker: w, instructions: Write., ai_config: {max_tokens: 50}}
tasks: {write: {agent: writer, prompt: One line.}}
outputs: {text: '${{ write }}'}
"""
ONE_ANSWER = 10 * 0.001 + 5 * 0.01
CALLER = """
    name: caller
    agents:
      chief: {{model: scripted/chief, tools: [./paid.yaml], permissions: {{allow: ['workflows/*']}}{chief}}}
      scout: {{model: scripted/scout, tools: [./paid.yaml], permissions: {{allow: ['workflows/*']}}}}
    tasks:
      work: {{agent: chief, prompt: Do it.{task}}}
"""


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    (tmp_path / "workflows" / "paid.yaml").write_text(PAID)
    return house


@pytest.fixture
async def engine(house: House) -> AsyncIterator[ExecutionEngine]:
    async with house.engine() as opened:
        yield opened


def plan_of(house: House, *, chief: str = "", task: str = "") -> Plan:
    plan = house.plan(CALLER.format(chief=chief, task=task))
    plan.children["workflows/paid.yaml"].workers["w"]["provider"] = "scripted"
    return plan


def asks_paid(times: int = 1) -> Turn:
    return Turn(tool_calls=[("paid", {})] * times)


async def test_what_called_workflows_cost_is_the_cost_of_the_agents_task(house: House, engine: ExecutionEngine) -> None:
    house.model(asks_paid(2), "Done.", name="chief")
    house.model("A line.", "Another.")
    result = await engine.run(plan_of(house))
    assert result.status == "succeeded", result.failure
    assert result.tasks["work"].cost == pytest.approx(2 * ONE_ANSWER)
    assert result.cost == pytest.approx(2 * ONE_ANSWER)


async def test_so_it_is_where_an_agent_behind_the_agent_called_them(house: House, engine: ExecutionEngine) -> None:
    house.model(Turn(tool_calls=[("ask_scout", {"prompt": "Go."})]), "Done.", name="chief")
    house.model(asks_paid(), "Found.", name="scout")
    house.model("A line.")
    result = await engine.run(plan_of(house, chief=", sub_agents: [scout]"))
    assert result.status == "succeeded", result.failure
    assert result.tasks["work"].cost == pytest.approx(ONE_ANSWER)


async def test_a_failed_task_tells_what_its_called_workflows_cost(house: House, engine: ExecutionEngine) -> None:
    house.model(asks_paid(), ChatModelError("refused", "not this"), name="chief")
    house.model("A line.")
    result = await engine.run(plan_of(house))
    assert result.status == "failed"
    assert result.cost == pytest.approx(ONE_ANSWER)


async def test_a_called_workflow_draws_on_the_budget_of_the_task_that_called_it(
    house: House, engine: ExecutionEngine
) -> None:
    chief = house.model(asks_paid(), asks_paid(), "Done.", name="chief")
    paid = house.model("A line.")
    # Room for one answer of at most 50 tokens and a short question, not for two.
    result = await engine.run(plan_of(house, task=", budget: {cost: $0.55, allow_unpriced: true}"))
    assert result.status == "succeeded", result.failure
    ((told, failed),) = results(chief)
    assert failed
    assert "task work of run" in told
    assert len(paid.requests) == 1
