"""One circuit breaker per provider, shared by all loops of a process."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ai.world import SleepersClock, World
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ai.breaker import FAILURES_MAX, OPEN_S, OPEN_S_MAX, Breaker
from orchestrator.errors import TaskError
from orchestrator.ports.chat_model import ChatModelError
from orchestrator.testing.scripted import ScriptedModel

DOWN = ChatModelError("outage", "gone")


def opened(clock: SleepersClock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(FAILURES_MAX):
        assert breaker.admit() == 0
        breaker.failed("gone")
    return breaker


def test_it_opens_after_failures_in_a_row_and_says_for_how_long() -> None:
    clock = SleepersClock()
    breaker = opened(clock)
    assert breaker.state == "open"
    assert breaker.admit() == OPEN_S
    clock.time += OPEN_S - 1
    assert breaker.admit() == pytest.approx(1)


def test_an_answer_in_between_begins_the_count_anew() -> None:
    breaker = Breaker(SleepersClock())
    for _ in range(FAILURES_MAX * 3):
        breaker.failed("gone")
        breaker.succeeded()
    assert breaker.state == "closed"


def test_one_probe_goes_out_and_the_others_wait_for_it() -> None:
    clock = SleepersClock()
    breaker = opened(clock)
    clock.time += OPEN_S
    assert breaker.admit() == 0
    assert breaker.state == "half-open"
    assert breaker.admit() > 0
    breaker.succeeded()
    assert (breaker.state, breaker.admit()) == ("closed", 0)


def test_a_probe_that_fails_doubles_the_wait_up_to_its_most() -> None:
    clock = SleepersClock()
    breaker = opened(clock)
    waits = []
    for _ in range(6):
        clock.time += breaker.wait()
        assert breaker.admit() == 0
        assert breaker.failed("still gone")
        waits.append(breaker.wait())
    assert waits == [20, 40, 80, OPEN_S_MAX, OPEN_S_MAX, OPEN_S_MAX]


def test_a_probe_that_was_called_off_lets_another_one_out() -> None:
    clock = SleepersClock()
    breaker = opened(clock)
    clock.time += OPEN_S
    assert breaker.admit() == 0
    breaker.released()
    assert breaker.admit() == 0


@given(st.lists(st.sampled_from(["admit", "fail", "succeed", "release", "wait"]), max_size=60))
def test_never_two_probes_at_once_and_never_shut_for_ever(doings: list[str]) -> None:
    clock = SleepersClock()
    breaker, out, probing = Breaker(clock), 0, False
    for doing in doings:
        if doing == "admit":
            was_open = breaker.state != "closed"
            if breaker.admit() == 0:
                assert not (was_open and probing), "a second probe"
                out, probing = out + 1, was_open
        elif doing == "wait":
            clock.time += 7
        elif out:
            out, probing = out - 1, False
            {"fail": lambda: breaker.failed("x"), "succeed": breaker.succeeded, "release": breaker.released}[doing]()
    clock.time += OPEN_S_MAX
    if breaker.wait():
        breaker.released()
    assert breaker.admit() == 0


async def test_a_provider_that_is_down_is_not_asked_by_the_next_loop_until_it_is_time() -> None:
    world = World(*[DOWN] * FAILURES_MAX, "Back.")
    for number in range(FAILURES_MAX):
        with pytest.raises(TaskError):
            await world.loop(stream=f"s{number}", config={"retries": 0}).ask("?")
    assert world.factory.breakers.states() == {"scripted": "open"}
    told: list[str] = []
    got = await world.loop(stream="t").ask("?", publish=lambda type, data: told.append(data.get("message", "")))
    assert got.value == "Back."
    assert OPEN_S <= world.clock.slept[-1] <= OPEN_S * 1.2
    assert any("scripted is left alone for 10 s: gone" in text for text in told)
    assert world.factory.breakers.states() == {"scripted": "closed"}
    assert got.requests == 1


async def test_what_cannot_wait_fails_as_outage_and_says_when_it_is_asked_again() -> None:
    world = World(*[DOWN] * FAILURES_MAX)
    for number in range(FAILURES_MAX):
        with pytest.raises(TaskError):
            await world.loop(stream=f"s{number}", config={"retries": 0}).ask("?")
    with pytest.raises(TaskError, match="asked again in 10 s") as caught:
        await world.loop(stream="t").ask("?", deadline=world.clock.now() + 5)
    assert caught.value.type == "outage"
    assert len(world.model.requests) == FAILURES_MAX


async def test_with_a_fallback_nobody_waits_for_a_provider_that_is_down() -> None:
    world = World(*[DOWN] * FAILURES_MAX)
    for number in range(FAILURES_MAX):
        with pytest.raises(TaskError):
            await world.loop(stream=f"s{number}", config={"retries": 0}).ask("?")
    got = await world.loop(stream="t", fallback=["embedded/writer"]).ask("?")
    assert got.model == "embedded/writer"
    assert world.clock.slept == []


@pytest.mark.parametrize("type_", ["rate_limited", "auth", "refused", "invalid_input"])
async def test_an_answer_that_only_concerns_the_request_does_not_open_it(type_: Any) -> None:
    world = World(*[ChatModelError(type_, "no")] * (FAILURES_MAX + 1))
    for number in range(FAILURES_MAX + 1):
        with pytest.raises(TaskError):
            await world.loop(stream=f"s{number}", config={"retries": 0}).ask("?")
    assert world.factory.breakers.states() == {"scripted": "closed"}


class OneTimeForAll(SleepersClock):
    """Who sleeps at the same time as others does so beside them, not after them."""

    async def sleep(self, seconds: float) -> None:
        until = self.time + seconds
        for _ in range(20):
            await asyncio.sleep(0)
        self.time = max(self.time, until)


async def test_of_a_hundred_loops_that_wait_one_asks_first() -> None:
    model = ScriptedModel(*[DOWN] * FAILURES_MAX, "Back.", repeat_last=True)
    world = World()
    world.models["m"], world.clock = model, OneTimeForAll()
    world.start()
    for number in range(FAILURES_MAX):
        with pytest.raises(TaskError):
            await world.loop(stream=f"s{number}", config={"retries": 0}).ask("?")
    answers = await asyncio.gather(*(world.loop(stream=f"t{n}").ask("?") for n in range(100)))
    assert {answer.value for answer in answers} == {"Back."}
    assert len(model.requests) == FAILURES_MAX + 100
