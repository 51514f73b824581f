"""Streams of every provider, of text and of tool calls, cut at random bytes, retries on: nothing is answered by halves or asked twice."""

from __future__ import annotations

import random
from typing import Any

import pytest
from ai.test_loop import AddTool
from ai.world import SleepersClock, World
from providers import vendor_anthropic, vendor_google, vendor_openai_chat, vendor_openai_responses
from providers.vendors import Vendor
from providers.wire_server import Received, Reply, wire_server
from sizes import size

from orchestrator.ai.factory import AILoopFactory
from orchestrator.ai.ledger import paid_calls
from orchestrator.core.budget import UNIT
from orchestrator.stores.memory import MemoryJournal

KEY = "sk-canary-0123456789abcdef"
VENDORS: dict[str, Vendor] = {
    **vendor_openai_chat.VENDORS,
    "openai responses": vendor_openai_responses.VENDOR,
    "anthropic": vendor_anthropic.VENDOR,
    "google": vendor_google.VENDOR,
}
CALLS = [("c1", "add", ['{"a": 20123', ', "b": 20345}']), ("c2", "add", ['{"a"', ': 1, "b": 2}'])]
SUM = "40468"
"""What the first call gives: who sends it has had the whole answer that asked for it."""
BUDGET = 500.0
ANSWER = 0.028
"""What a whole answer costs at a thousandth a token."""


class CuttingServer:
    """Cuts the first answers to each question, then gives whole ones."""

    def __init__(self, vendor: Vendor, seed: int) -> None:
        self.vendor = vendor
        self.draw = random.Random(f"{vendor.provider} {seed}")
        self.left = {stage: self.draw.randint(0, 3) for stage in ("calls", "text")}
        self.cuts = 0
        self.asked: list[str] = []

    def reply(self, request: Received) -> Reply:
        stage = "text" if SUM in str(request.body) else "calls"
        self.asked.append(stage)
        events = self.vendor.text("All ", "is ", "☃.") if stage == "text" else self.vendor.calls(CALLS)
        if not self.left[stage]:
            return Reply(events=events)
        self.left[stage] -= 1
        self.cuts += 1
        return Reply(events=events, cut_after=self.draw.randrange(1, len(b"".join(events))))


@pytest.mark.parametrize("name", [*VENDORS])
async def test_an_agent_whose_streams_are_cut_comes_to_the_same_answer(name: str, pytestconfig: pytest.Config) -> None:
    for seed in range(size(pytestconfig, here=4, ci=25, release=1_000)):
        await _one_history(VENDORS[name], seed)


async def _one_history(vendor: Vendor, seed: int) -> None:
    server = CuttingServer(vendor, seed)
    clock, journal, tool = SleepersClock(), MemoryJournal(), AddTool()
    world = World(journal=journal)
    async with wire_server(server.reply) as wire:
        world.factory = AILoopFactory(journal=journal, clock=clock, environ={vendor.key_env: KEY}, sleep=clock.sleep)
        sessions = world.sessions([tool])
        answer = await sessions.run_turns(world.call(**_call(vendor, wire.url.removesuffix("/v1"))))
        await sessions.close()
        await world.factory.close()
    where = f"{vendor.provider}, seed {seed}, {server.cuts} cuts"
    calls = paid_calls(journal, "r1")
    assert answer.text == "All is ☃.", where
    assert [call["a"] for call in tool.calls] == [20123, 1], where
    assert len(server.asked) == len(calls) <= 2 + server.cuts, where
    assert [call.status for call in calls].count("answered") == 2, where
    assert {call.status for call in calls} <= {"answered", "failed"}, where
    # Once the second question was asked, the first had its answer.
    assert server.asked == sorted(server.asked), where
    assert 2 * ANSWER * UNIT <= sum(round(call.cost_counted * UNIT) for call in calls) <= BUDGET * UNIT, where


def _call(vendor: Vendor, url: str) -> dict[str, Any]:
    worker = {
        "definition_id": "w",
        "provider": vendor.provider,
        "model_name": vendor.model,
        "auth": {"env_var": vendor.key_env},
        "base_config": {"base_url": vendor.base_url(url), "max_tokens": 50, "retries": 8, **vendor.settings},
        "cost_metrics": {"input_per_token": 0.001, "output_per_token": 0.001, "cached_per_token": 0.001},
    }
    return {"agent": {}, "worker": worker, "budgets": ({"name": "run r1", "cost": BUDGET},)}
