"""The rate gate over real meters: windows, places, restarts, other processes; time passes when somebody sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import TaskError
from orchestrator.stores._meters_memory import MemoryMeters
from orchestrator.stores._meters_sqlite import SqliteMeters
from orchestrator.workers.gate import NoRoom, RateGate, limited
from orchestrator.workers.metering import Metering


class SleepersClock:
    """Time passes only by sleeping, at once."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


class World:
    def __init__(self, state: Path | None) -> None:
        self.state = state
        self.clock = SleepersClock()
        self.started: list[Metering] = []

    def gate(self) -> RateGate:
        """As a process of its own would have it: over the same state, if there is one."""
        state = self.state
        metering = Metering(MemoryMeters if state is None else lambda: SqliteMeters(state))
        self.started.append(metering)
        return RateGate(metering, self.clock, self.clock.sleep)


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    found = World(tmp_path if request.param == "sqlite" else None)
    yield found
    for metering in found.started:
        await metering.close()


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[World]:
    found = World(tmp_path)
    yield found
    for metering in found.started:
        await metering.close()


def worker(name: str = "fast", **limits: int) -> dict[str, Any]:
    return {"definition_id": name, "provider": "openai", "model_name": "gpt-5-mini", "rate_limits": limits}


def test_absent_or_zero_is_no_limit() -> None:
    assert not limited(None)
    assert not limited({"definition_id": "fast"})
    assert not limited(worker(max_requests_per_minute=0))
    assert limited(worker(max_requests_per_minute=1))


async def test_nothing_is_drawn_where_nothing_is_limited(world: World) -> None:
    gate = world.gate()
    assert await gate.enter(worker(max_tokens_per_day=0), 10**9) is None
    assert await gate.take_place(worker(), lambda message: None) is None


async def test_requests_of_a_minute_are_counted_and_the_refusal_says_when(world: World) -> None:
    gate, limits = world.gate(), worker(max_requests_per_minute=3)
    for _ in range(3):
        passed = await gate.enter(limits, 10)
        assert passed is not None
        gate.leave(limits, passed, 10)
    with pytest.raises(NoRoom, match="limit of 3 requests a minute is used up for worker fast") as caught:
        await gate.enter(limits, 10)
    assert caught.value.seconds == pytest.approx(60, abs=0.3)
    world.clock.time += caught.value.seconds
    assert await gate.enter(limits, 10) is not None


async def test_tokens_count_at_their_bound_until_they_are_settled(world: World) -> None:
    gate, limits = world.gate(), worker(max_tokens_per_minute=1000)
    first = await gate.enter(limits, 900)
    assert first is not None
    with pytest.raises(NoRoom, match="tokens a minute"):
        await gate.enter(limits, 200)
    gate.leave(limits, first, 100)
    assert await gate.enter(limits, 900) is not None


async def test_a_request_that_was_not_sent_counts_nothing(world: World) -> None:
    gate, limits = world.gate(), worker(max_requests_per_day=1, max_tokens_per_day=100)
    passed = await gate.enter(limits, 100)
    assert passed is not None
    gate.turn_back(limits, passed)
    assert await gate.enter(limits, 100) is not None


async def test_a_request_larger_than_the_limit_fails_at_once_with_the_remedy(world: World) -> None:
    with pytest.raises(TaskError, match="may use up to 300 tokens, and worker `fast` may use 200") as caught:
        await world.gate().enter(worker(max_tokens_per_minute=200), 300)
    assert caught.value.type == "rate_limited"
    assert "max_tokens_per_minute" in (caught.value.help or "")


async def test_who_waits_a_moment_goes_on_when_somebody_settles(world: World) -> None:
    gate, limits = world.gate(), worker(max_tokens_per_minute=1000)
    first = await gate.enter(limits, 900)
    assert first is not None
    waiting = asyncio.create_task(gate.enter(limits, 500))
    await asyncio.sleep(0)
    gate.leave(limits, first, 10)
    assert await waiting is not None


async def test_two_definitions_of_one_name_on_different_models_share_nothing(world: World) -> None:
    gate = world.gate()
    one, other = worker(max_requests_per_day=1), {**worker(max_requests_per_day=1), "model_name": "gpt-5"}
    assert await gate.enter(one, 1) is not None
    assert await gate.enter(other, 1) is not None
    with pytest.raises(NoRoom):
        await gate.enter(one, 1)


async def test_places_are_waited_for_and_whoever_came_first_gets_the_next(world: World) -> None:
    gate, limits = world.gate(), worker(max_concurrent_active_instances=1)
    held, order, said = await gate.take_place(limits, lambda message: None), list[int](), list[str]()
    assert held is not None

    async def one(number: int) -> None:
        ticket = await gate.take_place(limits, said.append)
        assert ticket is not None
        order.append(number)
        gate.give_place(limits, ticket)

    waiting = [asyncio.create_task(one(number)) for number in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert order == []
    gate.give_place(limits, held)
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2]
    assert any("waits for one of the 1 places of worker `fast`" in line for line in said)


async def test_the_windows_hold_across_processes_and_restarts(shared: World) -> None:
    limits = worker(max_requests_per_day=2)
    first, second = shared.gate(), shared.gate()
    assert await first.enter(limits, 1) is not None
    assert await second.enter(limits, 1) is not None
    for metering in shared.started:
        await metering.close()
    restarted = shared.gate()
    with pytest.raises(NoRoom):
        await restarted.enter(limits, 1)
    assert await restarted.free_at(limits) is not None
    shared.clock.time += 2 * 86_400
    assert await restarted.free_at(limits) is None
    assert await restarted.enter(limits, 1) is not None


async def test_cut_off_while_it_draws_nothing_stays_drawn(shared: World) -> None:
    gate, limits = shared.gate(), worker(max_requests_per_day=1)
    cut = asyncio.create_task(gate.enter(limits, 1))
    await asyncio.sleep(0)
    cut.cancel()
    await asyncio.gather(cut, return_exceptions=True)
    assert await gate.enter(limits, 1) is not None


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 1)), min_size=1, max_size=30))
def test_no_minute_ever_sees_more_requests_or_tokens_than_its_limit(wishes: list[tuple[int, float]]) -> None:
    async def all_of_them() -> list[tuple[float, int]]:
        world = World(None)
        gate, limits = world.gate(), worker(max_requests_per_minute=4, max_tokens_per_minute=1000)
        sent: list[tuple[float, int]] = []
        for bound, share in wishes:
            while True:
                try:
                    passed = await gate.enter(limits, bound)
                    break
                except NoRoom as later:
                    world.clock.time += later.seconds
            assert passed is not None
            used = int(bound * share)
            sent.append((world.clock.time, used))
            gate.leave(limits, passed, used)
        for metering in world.started:
            await metering.close()
        return sent

    sent = asyncio.run(all_of_them())
    assert len(sent) == len(wishes)
    for at, _ in sent:
        minute = [used for other, used in sent if at - 60 < other <= at]
        assert len(minute) <= 4
        assert sum(minute) <= 1000
