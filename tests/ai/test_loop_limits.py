"""Where one question ends at the latest: by its time, by going round in circles."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ai.test_loop import AddTool
from ai.world import World

from orchestrator.errors import TaskError, UsageError
from orchestrator.ports.chat_model import ChatModelError
from orchestrator.testing.scripted import Turn

ADD = Turn(tool_calls=[("add", {"a": 1, "b": 1})])
OTHER = Turn(tool_calls=[("add", {"a": 2, "b": 2})])


def results(world: World, request: int) -> list[Any]:
    return list(world.model.requests[request].messages[-1].parts)


async def test_a_model_that_repeats_itself_is_told_once_and_then_ended() -> None:
    tool = AddTool()
    world = World(ADD)
    world.model.repeat_last = True
    with pytest.raises(TaskError, match="goes on to call 'add' with the same arguments") as caught:
        await world.loop(tools=[tool], config={"max_identical_calls": 3}).ask("?")
    assert caught.value.type == "budget"
    assert len(tool.calls) == 3
    assert len(world.model.requests) == 5
    (told,) = results(world, 4)
    assert told.is_error
    assert "asked for 3 times in a row already" in told.content


async def test_a_model_that_takes_the_hint_goes_on() -> None:
    tool = AddTool()
    world = World(ADD, ADD, ADD, OTHER, ADD, "Two.")
    got = await world.loop(tools=[tool], config={"max_identical_calls": 2}).ask("?")
    assert got.value == "Two."
    assert [call["a"] for call in tool.calls] == [1, 1, 2, 1]


async def test_calls_of_one_answer_count_as_well_and_those_in_excess_are_not_made() -> None:
    tool = AddTool()
    world = World(Turn(tool_calls=[("add", {"a": 1, "b": 1})] * 4), "Two.")
    await world.loop(tools=[tool], config={"max_identical_calls": 3}).ask("?")
    assert len(tool.calls) == 3
    assert [part.is_error for part in results(world, 1)] == [False, False, False, True]


async def test_a_new_question_may_repeat_an_old_call() -> None:
    world = World(ADD, "Two.", ADD, "Two again.")
    loop = world.loop(tools=[AddTool()], config={"max_identical_calls": 1})
    await loop.ask("1")
    assert (await loop.ask("2")).value == "Two again."


async def test_the_time_for_a_question_bounds_its_retries() -> None:
    world = World(*[ChatModelError("outage", "gone")] * 3)
    with pytest.raises(TaskError, match="gone"):
        await world.loop(config={"max_time": 5, "retries": 50, "retry_delay": 2.0}).ask("?")
    assert sum(world.clock.slept) <= 5


async def test_the_time_for_a_question_ends_a_silent_model() -> None:
    world = World(Turn(text="Hello", gate=asyncio.Event()))
    with pytest.raises(TaskError) as caught:
        await world.loop(config={"max_time": 0.05}).ask("?")
    assert caught.value.type == "timeout"
    assert world.factory.breakers.states() == {"scripted": "closed"}


class RealTime:
    """A clock that goes on its own."""

    def __init__(self) -> None:
        import time

        self.now = time.time
        self.monotonic = time.monotonic
        self.sleep = asyncio.sleep


async def test_the_time_for_a_question_ends_a_tool_that_does_not() -> None:
    tool = AddTool()
    tool.gate = asyncio.Event()
    world = World(ADD, "never")
    world.clock = RealTime()  # type: ignore[assignment]
    world.start()
    with pytest.raises(TaskError, match="while its tools ran") as caught:
        await world.loop(tools=[tool], config={"max_time": 0.05}).ask("?")
    assert caught.value.type == "timeout"
    assert len(world.model.requests) == 1


async def test_the_callers_deadline_holds_where_it_is_the_nearer_one() -> None:
    world = World("never")
    with pytest.raises(TaskError) as caught:
        await world.loop(config={"max_time": 100}).ask("?", deadline=world.clock.now() - 1)
    assert caught.value.type == "timeout"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"max_time": 0}, "`max_time` must be at least"),
        ({"max_identical_calls": 0}, "`max_identical_calls` must be at least 1"),
        ({"on_overflow": "forget"}, "`on_overflow` must be one of fail, drop_oldest, summarise"),
        ({"context_window": 1}, "`context_window` must be at least"),
        ({"max_time": "soon"}, "`max_time` must be a duration"),
    ],
)
def test_limits_that_cannot_be_are_errors(config: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        World().loop(config=config)
