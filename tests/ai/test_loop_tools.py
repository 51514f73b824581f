"""Tools that wait for a person, tools that must not run twice, tools beside structured output."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ai.test_loop import POINTS, AddTool, _as_after_a_kill
from ai.world import World

from orchestrator.ai.record import read_session
from orchestrator.core.session_events import ToolDeferred, ToolStarted, decode_events
from orchestrator.errors import TaskError
from orchestrator.ports.tool import PersonNeeded, Question
from orchestrator.testing.scripted import Turn

TWO = Turn(tool_calls=[("add", {"a": 1, "b": 2}), ("send", {"a": 3, "b": 4})])


class AskingTool(AddTool):
    """Asks a person before every call."""

    def __init__(self, effect: Any = "at_most_once") -> None:
        super().__init__(effect)
        from dataclasses import replace

        self.name = "send"
        self.spec = replace(self.spec, name="send")
        self.allowed: set[str] = set()

    async def call(self, arguments: dict[str, Any], call_id: str) -> Any:
        if call_id not in self.allowed:
            raise PersonNeeded(Question(key=f"may:{call_id}", question="May I?", schema={"type": "object"}))
        return await super().call(arguments, call_id)


def recorded(world: World, *kinds: type[Any]) -> list[Any]:
    events = [e for batch in world.journal.read("r1/agent/k") for e in decode_events(batch.payload)]
    return [event for event in events if isinstance(event, kinds)]


async def test_a_call_that_needs_a_person_parks_the_question_after_the_others_are_on_record() -> None:
    world, add, send = World(TWO, "Sent."), AddTool(), AskingTool()
    with pytest.raises(PersonNeeded) as caught:
        await world.loop(tools=[add, send]).ask("?", key="k")
    assert caught.value.question.key == "may:call_1_1"
    exchange = read_session(world.journal, "r1/agent/k").exchanges["k"]
    assert [call.name for call in exchange.pending] == ["send"]
    assert [result.content for result in exchange.results] == ["3"]


async def test_after_days_another_process_makes_the_call_and_no_request_is_repeated() -> None:
    world, send = World(TWO, "Sent."), AskingTool()
    with pytest.raises(PersonNeeded):
        await world.loop(tools=[AddTool(), send]).ask("?", key="k")
    world.start()
    send.allowed.add("call_1_1")
    add = AddTool()
    got = await world.loop(tools=[add, send]).ask("?", key="k")
    assert got.value == "Sent."
    assert (len(send.calls), add.calls) == (1, [])
    assert len(world.model.requests) == 2
    results: Any = world.model.requests[1].messages[-1].parts
    assert [(result.content, result.is_error) for result in results] == [("3", False), ("7", False)]


async def test_the_same_loop_asks_again_for_as_long_as_nobody_answers() -> None:
    world, send = World(TWO, "Sent."), AskingTool()
    loop = world.loop(tools=[AddTool(), send])
    for _ in range(3):
        with pytest.raises(PersonNeeded):
            await loop.ask("?", key="k")
    send.allowed.add("call_1_1")
    assert (await loop.ask("?", key="k")).value == "Sent."


async def test_of_two_questions_the_one_the_model_asked_first_goes_to_the_person() -> None:
    world = World(Turn(tool_calls=[("send", {"a": 1, "b": 1}), ("send", {"a": 2, "b": 2})]))
    with pytest.raises(PersonNeeded) as caught:
        await world.loop(tools=[AskingTool()]).ask("?", key="k")
    assert caught.value.question.key == "may:call_1_0"


async def test_a_call_that_must_not_run_twice_is_on_record_before_it_starts() -> None:
    world = World(Turn(tool_calls=[("add", {"a": 1, "b": 2})]), "Three.")
    seen: list[int] = []

    class Looking(AddTool):
        async def call(self, arguments: dict[str, Any], call_id: str) -> Any:
            seen.append(len(recorded(world, ToolStarted)))
            return await super().call(arguments, call_id)

    await world.loop(tools=[Looking("at_most_once")]).ask("?", key="k")
    assert seen == [1]


async def test_a_call_that_may_run_twice_leaves_no_such_mark() -> None:
    world = World(Turn(tool_calls=[("add", {"a": 1, "b": 2})]), "Three.")
    await world.loop(tools=[AddTool()]).ask("?", key="k")
    assert recorded(world, ToolStarted, ToolDeferred) == []


async def test_a_call_that_waits_for_a_person_is_not_taken_for_started_after_a_crash() -> None:
    world, send = World(TWO, "Sent."), AskingTool()
    with pytest.raises(PersonNeeded):
        await world.loop(tools=[AddTool(), send]).ask("?", key="k")
    assert [type(event) for event in recorded(world, ToolStarted, ToolDeferred)] == [ToolStarted, ToolDeferred]
    world.journal = _as_after_a_kill(world.journal)
    world.start()
    send.allowed.add("call_1_1")
    await world.loop(tools=[AddTool(), send]).ask("?", key="k")
    assert len(send.calls) == 1


async def test_a_cancelled_call_that_must_not_run_twice_is_not_made_again() -> None:
    tool = AddTool("at_most_once")
    tool.gate = asyncio.Event()
    world = World(Turn(tool_calls=[("add", {"a": 1, "b": 2})]), "Unknown.")
    loop = world.loop(tools=[tool])
    asking = asyncio.create_task(loop.ask("?", key="k"))
    await tool.started.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert (await loop.ask("?", key="k")).value == "Unknown."
    assert len(tool.calls) == 1


async def test_other_questions_are_not_disturbed_by_one_that_waits() -> None:
    world, send = World(TWO, "Second."), AskingTool()
    first = world.loop(tools=[AddTool(), send])
    with pytest.raises(PersonNeeded):
        await first.ask("?", key="k")
    other = world.loop(stream="r1/agent/other")
    assert (await other.ask("?")).value == "Second."


async def test_the_answer_after_tools_must_fit_and_is_repaired() -> None:
    world = World(
        Turn(tool_calls=[("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})]),
        "Three and seven, ten in all.",
        Turn(tool_calls=[("add", {"a": 3, "b": 7})]),
        '{"points": 10}',
    )
    tool = AddTool()
    got = await world.loop(tools=[tool]).ask("?", output_schema=POINTS)
    assert got.value == {"points": 10}
    assert [r.output_schema for r in world.model.requests] == [POINTS] * 4
    assert "does not fit the required JSON schema" in world.model.requests[2].messages[-1].text
    assert (got.turns, len(tool.calls)) == (4, 3)


async def test_parallel_calls_run_at_the_same_time_and_answer_in_the_models_order() -> None:
    arrived, both = [], asyncio.Event()

    class Meeting(AddTool):
        async def call(self, arguments: dict[str, Any], call_id: str) -> Any:
            arrived.append(call_id)
            if len(arrived) == 2:
                both.set()
            await both.wait()
            if arguments["a"] == 1:
                await asyncio.sleep(0)
            return arguments["a"]

    world = World(Turn(tool_calls=[("add", {"a": 1, "b": 0}), ("add", {"a": 2, "b": 0})]), "Done.")
    await asyncio.wait_for(world.loop(tools=[Meeting()]).ask("?"), 5)
    results: Any = world.model.requests[1].messages[-1].parts
    assert [result.content for result in results] == ["1", "2"]


async def test_wrong_arguments_go_back_to_the_model_and_the_call_beside_them_is_made() -> None:
    tool = AddTool()
    world = World(Turn(tool_calls=[("add", {"a": "one", "b": 2}), ("add", {"a": 1, "b": 2})]), "Three.")
    await world.loop(tools=[tool]).ask("?")
    results: Any = world.model.requests[1].messages[-1].parts
    assert [(result.is_error) for result in results] == [True, False]
    assert "not of type 'integer'" in results[0].content
    assert tool.calls == [{"a": 1, "b": 2}]


async def test_a_stop_while_tools_run_is_kept_with_what_was_done_and_asked_again_goes_on() -> None:
    slow, world = AddTool(), World(Turn(tool_calls=[("add", {"a": 1, "b": 2})]), "Three.")
    slow.gate = asyncio.Event()
    asking = asyncio.create_task(world.loop(tools=[slow]).ask("?", key="k", control=lambda: world.control))
    await slow.started.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await world.loop(tools=[AddTool()]).ask("?", key="k")).value == "Three."


async def test_a_journal_that_fails_before_a_call_that_must_not_repeat_means_it_is_not_made() -> None:
    from ai.test_loop import FullJournal

    from orchestrator.errors import JournalFullError

    journal = FullJournal()
    journal.room = 2
    tool = AddTool("at_most_once")
    world = World(Turn(tool_calls=[("add", {"a": 1, "b": 2})]), "Three.", journal=journal)
    loop = world.loop(tools=[tool])
    with pytest.raises(JournalFullError):
        await loop.ask("?", key="k")
    assert tool.calls == []
    journal.room = 100
    assert (await loop.ask("?", key="k")).value == "Three."
    assert len(tool.calls) == 1


async def test_a_failing_tool_beside_a_parked_one_is_told_when_the_question_goes_on() -> None:
    world, add, send = World(TWO, "Sent."), AddTool(), AskingTool()
    add.error = TaskError("tool", "broken")
    loop = world.loop(tools=[add, send])
    with pytest.raises(PersonNeeded):
        await loop.ask("?", key="k")
    send.allowed.add("call_1_1")
    await loop.ask("?", key="k")
    results: Any = world.model.requests[1].messages[-1].parts
    assert [(result.content, result.is_error) for result in results] == [("tool: broken", True), ("7", False)]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_result_of_any_size_reaches_the_model_within_bounds(fails: bool) -> None:
    class Talkative(AddTool):
        async def call(self, arguments: dict[str, Any], call_id: str) -> Any:
            text = "head" + "x" * 20_000_000 + "tail"
            if fails:
                raise TaskError("tool", text)
            return {"text": text}

    world = World(Turn(tool_calls=[("add", {"a": 1, "b": 2})]), "Oh.")
    assert (await world.loop(tools=[Talkative()]).ask("?")).value == "Oh."
    result: Any = world.model.requests[1].messages[-1].parts[0]
    assert result.is_error is fails
    assert len(result.content) < 310_000
    assert "head" in result.content[:100]
    assert "tail" in result.content[-100:]
    assert "characters left out" in result.content
