"""Interrupted at any turn of the event loop, an agent leaves no budget reserved that it does not spend."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

from ai.test_limits import AGENT, worker
from ai.world import World

from orchestrator.ai.accounts import open_account

LIMITS = {"tokens": 100_000, "cost_per_day": "$50", "day": "d"}
PLACES = {"max_concurrent_active_instances": 1, "max_requests_per_minute": 50}
TURNS = 60


async def interrupted(world: World, call: Any, ticks: int) -> None:
    life = asyncio.ensure_future(world.sessions().run_turns(call))
    for _ in range(ticks):
        await asyncio.sleep(0)
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)


async def test_interrupted_at_any_turn_nothing_stays_reserved_and_nobody_waits_for_it() -> None:
    for ticks in range(TURNS):
        world = World("x", "y")
        account = world.factory.budgets.account("run r1", LIMITS, streams="r1/agent/")
        how: dict[str, Any] = {"agent": AGENT, "worker": worker(rate_limits=PLACES)}
        how["budgets"] = ({"name": "run r1", **LIMITS},)
        await interrupted(world, world.call(**how), ticks)
        assert (account.tokens_reserved, account.turns_reserved, account.out) == (0, 0, 0), ticks
        again = open_account("again", LIMITS, world.journal, "r1/agent/")
        assert account.tokens_spent == again.tokens_spent, ticks
        # The worker has one place: whoever comes next gets it.
        next_one = world.sessions().run_turns(world.call(key="next", **how))
        assert (await asyncio.wait_for(next_one, 10)).text in "xy", ticks


async def test_a_refusal_in_the_very_turn_of_an_interruption_is_no_error_that_nobody_heard() -> None:
    unheard: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: unheard.append(context))
    for ticks in range(TURNS):
        world = World("x")
        tight = ({"name": "run r1", "tokens": 1, "cost_per_day": "$50", "day": "d"},)
        await interrupted(world, world.call(agent=AGENT, worker=worker(), budgets=tight), ticks)
    gc.collect()
    assert unheard == []
