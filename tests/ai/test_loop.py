from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from ai.world import World

from orchestrator.ai.answer import ANSWER_SIZE_MAX, Assembly
from orchestrator.core.messages import Image, Usage
from orchestrator.core.session_state import Session
from orchestrator.errors import JournalFullError, TaskError, UsageError
from orchestrator.ports.chat_model import ChatModelError, Finished, Notice, TextDelta, ToolSpec, UsageReported
from orchestrator.stores.memory import MemoryJournal
from orchestrator.testing.scripted import ScriptedModel, Turn

POINTS = {
    "type": "object",
    "properties": {"points": {"type": "number", "minimum": 0, "maximum": 10}},
    "required": ["points"],
    "additionalProperties": False,
}


class AddTool:
    """Adds; can be held up, fail, or refuse to be repeated."""

    def __init__(self, effect: Any = "pure") -> None:
        self.name = "add"
        self.spec = ToolSpec(
            name="add",
            description="Add",
            parameters={
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                "required": ["a", "b"],
            },
        )
        self.effect = effect
        self.calls: list[dict[str, Any]] = []
        self.started = asyncio.Event()
        self.gate: asyncio.Event | None = None
        self.error: Exception | None = None

    async def call(self, arguments: dict[str, Any], call_id: str) -> Any:
        self.calls.append(arguments)
        self.started.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return arguments["a"] + arguments["b"]


def session(world: World, stream: str = "r1/agent/k") -> Session:
    from orchestrator.ai.record import read_session

    return read_session(world.journal, stream)


async def test_a_loop_answers_and_remembers_what_was_said() -> None:
    world = World("Hello.", "Again.")
    loop = world.loop(instructions="Be kind.")
    first = await loop.ask("Hi")
    second = await loop.ask("And?")
    assert (first.value, second.value) == ("Hello.", "Again.")
    assert [m.text for m in world.model.requests[1].messages] == ["Hi", "Hello.", "And?"]
    assert {request.instructions for request in world.model.requests} == {"Be kind."}
    assert first.usage == Usage(10, 5)
    assert first.synthetic is False


async def test_chunks_are_published_in_order_as_they_come() -> None:
    world = World(Turn(text="one two three", chunk=4))
    seen: list[dict[str, Any]] = []
    await world.loop().ask("?", publish=lambda type, data: seen.append(data))
    assert "".join(data["text"] for data in seen) == "one two three"
    assert [data["seq"] for data in seen] == [0, 1, 2, 3]


async def test_two_loops_with_two_configs_at_once_send_exactly_their_own() -> None:
    gate = asyncio.Event()
    other = ScriptedModel(Turn(text="B", gate=gate))
    world = World(Turn(text="A", gate=gate), n=other)
    one = world.loop(
        "one", "scripted/m", stream="s1", config={"temperature": 0.1, "max_tokens": 11}, instructions="I am one."
    )
    two = world.loop(
        "two", "scripted:n", stream="s2", config={"temperature": 0.9, "top_p": 0.5}, instructions="I am two."
    )
    both = [asyncio.create_task(one.ask("?")), asyncio.create_task(two.ask("!"))]
    await world.model.asked.wait()
    await other.asked.wait()
    gate.set()
    assert [(await task).value for task in both] == ["A", "B"]
    (first,), (second,) = world.model.requests, other.requests
    assert (first.model, first.temperature, first.max_tokens, dict(first.settings)) == ("m", 0.1, 11, {})
    assert (second.model, second.temperature, second.max_tokens, dict(second.settings)) == (
        "n",
        0.9,
        None,
        {"top_p": 0.5},
    )
    assert (first.instructions, second.instructions) == ("I am one.", "I am two.")


async def test_a_second_question_waits_for_the_first() -> None:
    gate = asyncio.Event()
    world = World(Turn(text="first", gate=gate), "second")
    loop = world.loop()
    tasks = [asyncio.create_task(loop.ask("1")), asyncio.create_task(loop.ask("2"))]
    await world.model.asked.wait()
    assert len(world.model.requests) == 1
    gate.set()
    assert [(await task).value for task in tasks] == ["first", "second"]


# Structured output


async def test_an_answer_that_fits_is_the_value() -> None:
    world = World('{"points": 7}')
    got = await world.loop().ask("?", output_schema=POINTS)
    assert got.value == {"points": 7}
    assert world.model.requests[0].output_schema == POINTS


async def test_a_value_that_is_no_object_is_asked_for_inside_one() -> None:
    world = World('{"result": ["a", "b"]}')
    schema = {"type": "array", "items": {"type": "string"}}
    got = await world.loop().ask("?", output_schema=schema)
    assert got.value == ["a", "b"]
    asked = world.model.requests[0].output_schema
    assert asked is not None
    assert asked["properties"] == {"result": schema}


async def test_an_answer_that_does_not_fit_is_asked_for_again_with_what_is_wrong() -> None:
    world = World('{"points": 11}', "no json", '{"points": 3}')
    got = await world.loop().ask("?", output_schema=POINTS, repair=2)
    assert got.value == {"points": 3}
    assert got.turns == 3
    assert "points: 11 is greater than the maximum of 10" in world.model.requests[1].messages[-1].text
    assert "the answer is not JSON" in world.model.requests[2].messages[-1].text


async def test_after_the_last_repair_it_fails_as_invalid_output() -> None:
    world = World("no", "no", "no")
    with pytest.raises(TaskError, match="does not fit `output`") as caught:
        await world.loop().ask("?", output_schema=POINTS, repair=2)
    assert caught.value.type == "invalid_output"
    assert len(world.model.requests) == 3


async def test_no_repair_means_one_request() -> None:
    world = World("no")
    with pytest.raises(TaskError):
        await world.loop().ask("?", output_schema=POINTS, repair=0)
    assert len(world.model.requests) == 1


# Failures of the provider


@pytest.mark.parametrize("type_", ["rate_limited", "overloaded", "outage", "timeout"])
async def test_what_may_pass_is_tried_again_after_a_while(type_: Any) -> None:
    world = World(ChatModelError(type_, "later"), ChatModelError(type_, "later"), "Hello.")
    got = await world.loop(config={"retry_delay": 2.0}).ask("?")
    assert (got.value, got.requests, got.turns) == ("Hello.", 3, 1)
    assert 1.6 <= world.clock.slept[0] <= 2.4 <= 3.2 <= world.clock.slept[1] <= 4.8
    assert [request.number for request in world.model.requests] == [1, 2, 3]


@pytest.mark.parametrize("type_", ["auth", "context_too_long", "refused", "invalid_input"])
async def test_what_will_not_pass_is_not(type_: Any) -> None:
    world = World(ChatModelError(type_, "no"))
    with pytest.raises(TaskError, match="no") as caught:
        await world.loop().ask("?")
    assert caught.value.type == type_
    assert len(world.model.requests) == 1


async def test_retry_after_is_honoured_and_passed_on_when_it_does_not_fit() -> None:
    slow = ChatModelError("rate_limited", "later", retry_after=40.0)
    world = World(slow, slow, "Hello.")
    deadline = world.clock.now() + 60
    with pytest.raises(TaskError) as caught:
        await world.loop().ask("?", deadline=deadline)
    assert 40.0 <= world.clock.slept[0] <= 48.0
    assert len(world.clock.slept) == 1
    assert caught.value.type == "rate_limited"
    assert caught.value.meta["retry_after"] == 40.0


@pytest.mark.parametrize(
    "bad",
    [
        Turn(text="Hel", ends_early=True),
        Turn(text="Hello", usage=None),
        Turn(text=""),
        Turn(tool_calls=[("add", "{not json")]),
        Turn(tool_calls=[("add", "[1]")]),
        Turn(text="Hel", error=ChatModelError("outage", "connection lost")),
    ],
)
async def test_half_an_answer_is_a_failed_attempt_and_tried_again(bad: Turn) -> None:
    world = World(bad, "Whole.")
    assert (await world.loop().ask("?")).value == "Whole."
    first = session(world).calls[0]
    assert (first.status, first.charged) == ("failed", True)


async def test_an_answer_without_end_is_cut() -> None:
    async def endless() -> None:
        assembly = Assembly()
        for _ in range(ANSWER_SIZE_MAX):
            assembly.take(TextDelta("x" * 1_000_000))

    with pytest.raises(ChatModelError, match="longer than"):
        await endless()


async def test_a_model_that_is_silent_too_long_is_a_timeout() -> None:
    world = World(Turn(text="Hello", gate=asyncio.Event()))
    with pytest.raises(TaskError, match="did not finish") as caught:
        await world.loop(config={"timeout": 0.02, "retries": 0}).ask("?")
    assert caught.value.type == "timeout"


async def test_after_the_deadline_no_request_goes_out() -> None:
    world = World("never")
    with pytest.raises(TaskError) as caught:
        await world.loop().ask("?", deadline=world.clock.now() - 1)
    assert caught.value.type == "timeout"
    assert world.model.requests == []


async def test_what_a_provider_cannot_honour_is_said_to_the_user() -> None:
    world = World([Notice("takes no temperature"), *_plain("Hi")])
    seen: list[Any] = []
    await world.loop().ask("?", publish=lambda type, data: seen.append((type, data.get("message"))))
    assert ("progress", "takes no temperature") in seen


def _plain(text: str) -> list[Any]:
    from orchestrator.ports.chat_model import Finished, UsageReported

    return [TextDelta(text), UsageReported(Usage(1, 1)), Finished("stop")]


# Tools


async def test_tools_are_called_together_and_their_results_go_back() -> None:
    tool = AddTool()
    world = World(Turn(tool_calls=[("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})]), "Three and seven.")
    got = await world.loop(tools=[tool]).ask("?")
    assert got.value == "Three and seven."
    results: Any = world.model.requests[1].messages[-1].parts
    assert [result.content for result in results] == ["3", "7"]
    assert world.model.requests[0].tools == (tool.spec,)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("sub", {}), "there is no tool named 'sub'"),
        (("add", {"a": 1}), "these arguments do not fit: 'b' is a required property"),
        (("add", {"a": "x", "b": 1}), "these arguments do not fit: a: \"x\" is not of type 'integer'"),
    ],
)
async def test_a_call_that_cannot_be_made_is_told_to_the_model(call: Any, said: str) -> None:
    world = World(Turn(tool_calls=[call]), "Oh.")
    tool = AddTool()
    await world.loop(tools=[tool]).ask("?")
    result: Any = world.model.requests[1].messages[-1].parts[0]
    assert (result.content, result.is_error) == (said, True)
    assert tool.calls == []


@pytest.mark.parametrize("error", [TaskError("denied", "not there"), ZeroDivisionError("by zero")])
async def test_a_tool_that_fails_fails_only_its_call(error: Exception) -> None:
    tool = AddTool()
    tool.error = error
    world = World(Turn(tool_calls=[("add", {"a": 1, "b": 2})]), "Oh.")
    assert (await world.loop(tools=[tool]).ask("?")).value == "Oh."
    result: Any = world.model.requests[1].messages[-1].parts[0]
    assert result.is_error
    assert str(error) in result.content


async def test_a_model_that_never_stops_calling_tools_is_stopped() -> None:
    world = World(Turn(tool_calls=[("add", {"a": 1, "b": 1})]))
    world.model.repeat_last = True
    with pytest.raises(TaskError, match="no answer after 5 turns"):
        await world.loop(tools=[AddTool()], config={"max_turns": 5}).ask("?")
    assert len(world.model.requests) == 5


# Going on after a crash


async def test_killed_between_turns_it_never_repeats_a_recorded_answer() -> None:
    tool = AddTool()
    tool.gate = asyncio.Event()
    world = World(Turn(tool_calls=[("add", {"a": 1, "b": 2})]), "Three.")
    lost = asyncio.create_task(world.loop(tools=[tool]).ask("?", key="k"))
    await tool.started.wait()
    journal = _as_after_a_kill(world.journal)
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)

    world.journal = journal
    world.start()
    again = AddTool()
    got = await world.loop(tools=[again]).ask("?", key="k")
    assert got.value == "Three."
    assert len(world.model.requests) == 2
    assert again.calls == [{"a": 1, "b": 2}]


async def test_killed_while_a_request_is_out_it_is_unknown_and_sent_once_more() -> None:
    world = World(Turn(text="Hello.", gate=asyncio.Event()), "Hello again.")
    lost = asyncio.create_task(world.loop().ask("?", key="k"))
    await world.model.asked.wait()
    journal = _as_after_a_kill(world.journal)
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)

    world.journal = journal
    world.start()
    got = await world.loop().ask("?", key="k")
    assert got.value == "Hello again."
    calls = session(world).calls
    assert [call.status for call in calls] == ["unknown", "answered"]
    assert calls[0].tokens_counted > 0


async def test_killed_after_the_answer_it_is_read_from_the_record() -> None:
    world = World("Hello.")
    first = await world.loop().ask("?", key="k")
    world.start()
    second = await world.loop().ask("?", key="k")
    assert second == first
    assert len(world.model.requests) == 1


async def test_a_tool_that_must_not_run_twice_does_not() -> None:
    tool = AddTool("at_most_once")
    tool.gate = asyncio.Event()
    world = World(Turn(tool_calls=[("add", {"a": 1, "b": 2})]), "I could not tell.")
    lost = asyncio.create_task(world.loop(tools=[tool]).ask("?", key="k"))
    await tool.started.wait()
    journal = _as_after_a_kill(world.journal)
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)

    world.journal = journal
    world.start()
    again = AddTool("at_most_once")
    await world.loop(tools=[again]).ask("?", key="k")
    assert again.calls == []
    result: Any = world.model.requests[1].messages[-1].parts[0]
    assert "nobody knows whether it took effect" in result.content


def _as_after_a_kill(journal: MemoryJournal) -> MemoryJournal:
    """What another process would find if this one died now."""
    from orchestrator.ports.journal import Batch

    found = MemoryJournal()
    for row in journal.rows():
        for batch in journal.read(row.stream):
            appended = Batch(
                stream=row.stream, expected=batch.first - 1, count=batch.count, payload=batch.payload, row=row
            )
            found.append(appended, lambda error: None)
    return found


async def test_before_a_paid_request_is_sent_it_is_on_record() -> None:
    world = World()
    seen: list[str] = []

    def look(request: Any) -> str:
        seen.extend(call.status for call in session(world).calls)
        return "Hello."

    world.model.turns = [look]
    await world.loop().ask("?")
    assert seen == ["in flight"]


class FullJournal(MemoryJournal):
    """Takes `room` appends, then its disk is full."""

    room = 1

    def append(self, batch: Any, done: Any) -> None:
        if not self.room:
            done(JournalFullError("disk full"))
            return
        self.room -= 1
        super().append(batch, done)


async def test_a_journal_that_cannot_be_written_stops_before_money_is_spent_and_later_goes_on() -> None:
    journal = FullJournal()
    journal.room = 0
    world = World("Hello.", journal=journal)
    loop = world.loop()
    with pytest.raises(JournalFullError):
        await loop.ask("?", key="k")
    assert world.model.requests == []
    journal.room = 100
    assert (await loop.ask("?", key="k")).value == "Hello."


async def test_an_answer_that_could_not_be_recorded_counts_as_unknown() -> None:
    journal = FullJournal()
    world = World("Hello.", "Hello again.", journal=journal)
    loop = world.loop()
    with pytest.raises(JournalFullError):
        await loop.ask("?", key="k")
    journal.room = 100
    assert (await loop.ask("?", key="k")).value == "Hello again."
    assert [call.status for call in session(world).calls] == ["unknown", "answered"]


# Holding and stopping


async def test_a_stop_ends_the_stream_at_once_and_keeps_what_arrived() -> None:
    world = World(Turn(text="Hello, world.", chunk=5, gate=asyncio.Event()))
    loop = world.loop()
    arrived = asyncio.Event()
    asking = asyncio.create_task(loop.ask("?", publish=lambda type, data: arrived.set()))
    await arrived.wait()
    loop.stop()
    with pytest.raises(TaskError) as caught:
        await asking
    assert caught.value.type == "cancelled"
    assert caught.value.meta["partial"] == "Hello"
    row = world.journal.row("r1/agent/k")
    assert row is not None
    assert row.status == "stopped"


async def test_a_cancelled_question_is_recorded_as_stopped_with_its_partial_text_and_goes_on_when_asked_again() -> None:
    world = World(Turn(text="Hello, world.", chunk=5, gate=asyncio.Event()), "Hello.")
    arrived = asyncio.Event()
    asking = asyncio.create_task(world.loop().ask("?", key="k", publish=lambda type, data: arrived.set()))
    await arrived.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    exchange = session(world).exchanges["k"]
    assert (exchange.phase, exchange.partial) == ("stopped", "Hello")
    assert (await world.loop().ask("?", key="k")).value == "Hello."


async def test_a_run_that_is_stopped_stops_a_model_that_is_silent() -> None:
    world = World(Turn(text="Hello", gate=asyncio.Event()))
    asking = asyncio.create_task(world.loop().ask("?", control=lambda: world.control))
    await world.model.asked.wait()
    world.control = "stop"
    with pytest.raises(TaskError, match="stopped"):
        await asyncio.wait_for(asking, 5)


async def test_a_paused_loop_sends_nothing_until_it_may() -> None:
    world = World("Hello.")
    world.control = "pause"
    looks: list[str | None] = []

    def control() -> str | None:
        looks.append(world.control)
        if len(looks) == 5:
            assert world.model.requests == []
            world.control = None
        return world.control

    assert (await world.loop().ask("?", control=control)).value == "Hello."
    assert len(looks) >= 5


async def test_pause_and_resume_of_the_loop_itself() -> None:
    world = World("Hello.")
    loop = world.loop()
    loop.pause()
    held = asyncio.Event()

    def control() -> None:
        held.set()

    asking = asyncio.create_task(loop.ask("?", control=control))
    await held.wait()
    assert world.model.requests == []
    loop.resume()
    assert (await asking).value == "Hello."


async def test_a_stop_interrupts_the_wait_before_a_retry() -> None:
    world = World(ChatModelError("outage", "gone"), "never")
    asleep = asyncio.Event()

    async def sleep(seconds: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    world.clock.sleep = sleep  # type: ignore[method-assign]
    world.start()
    loop = world.loop()
    asking = asyncio.create_task(loop.ask("?"))
    await asleep.wait()
    loop.stop()
    with pytest.raises(TaskError, match="stopped"):
        await asking
    assert len(world.model.requests) == 1


async def test_a_stop_interrupts_a_tool() -> None:
    tool = AddTool()
    tool.gate = asyncio.Event()
    world = World(Turn(tool_calls=[("add", {"a": 1, "b": 2})]))
    loop = world.loop(tools=[tool])
    asking = asyncio.create_task(loop.ask("?"))
    await tool.started.wait()
    loop.stop()
    with pytest.raises(TaskError, match="stopped"):
        await asking


async def test_a_closed_loop_takes_no_question() -> None:
    loop = World("x").loop()
    await loop.close()
    await loop.close()
    with pytest.raises(UsageError, match="closed"):
        await loop.ask("?")


async def test_a_half_answered_question_goes_on_as_it_began_and_says_so_and_the_next_one_follows_the_changed_file() -> (
    None
):
    other = ScriptedModel("New.")
    world = World(Turn(text="Hello", gate=asyncio.Event()), "Hello again.", n=other)
    lost = asyncio.create_task(world.loop(instructions="Old.").ask("?", key="k"))
    await world.model.asked.wait()
    world.journal = _as_after_a_kill(world.journal)
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)
    world.start()
    told: list[Any] = []
    changed = world.loop(model="scripted/n", instructions="New.", config={"temperature": 1.0})
    got = await changed.ask("?", key="k", publish=lambda type, data: told.append(data.get("message")))
    assert (got.value, got.model) == ("Hello again.", "scripted/m")
    assert (world.model.requests[1].instructions, world.model.requests[1].temperature) == ("Old.", None)
    assert any("goes on as it began, as a on scripted/m" in (message or "") for message in told)
    assert (await changed.ask("And now?", key="l")).model == "scripted/n"
    assert (other.requests[0].instructions, other.requests[0].temperature) == ("New.", 1.0)


async def test_files_go_out_with_their_bytes_and_stand_in_the_record_by_hash() -> None:
    world = World("A cat.")
    png = b"\x89PNG" * 100
    await world.loop().ask("What is it?", files=[Image("image/png", png)])
    sent: Any = world.model.requests[0].messages[0].parts[1]
    assert sent.data == png
    kept: Any = session(world).messages[0].parts[1]
    assert kept.data == b""
    assert world.journal.get_blob(kept.digest) == png


async def test_without_a_journal_a_loop_works_from_memory() -> None:
    from orchestrator.ai.factory import AILoopFactory
    from orchestrator.testing.scripted import ScriptedProvider

    model = ScriptedModel("One.", "Two.")
    loop = AILoopFactory(environ={}, providers={"scripted": ScriptedProvider({"m": model})}).create(
        "a", {"model": "scripted/m"}
    )
    await loop.ask("1")
    await loop.ask("2")
    assert [m.text for m in loop.conversation] == ["1", "One.", "2", "Two."]


async def test_rows_of_conversations_are_nobodys_runs() -> None:
    world = World("Hello.")
    await world.loop().ask("?")
    (row,) = world.journal.rows()
    assert (row.parent, row.status, row.workflow) == ("r1", "idle", "")
    assert row.summary["requests"] == 1
    assert json.dumps(row.summary)


async def test_what_a_provider_says_of_its_settings_is_told_once_a_conversation() -> None:
    said = [
        Notice("`max_tokens` is not set: 4096 is sent"),
        TextDelta("Yes."),
        UsageReported(Usage(1, 1)),
        Finished("stop"),
    ]
    world = World(said, said, said)
    told: list[str] = []

    def publish(kind: str, data: dict[str, Any]) -> None:
        if kind == "progress":
            told.append(data["message"])

    loop = world.loop()
    await loop.ask("1", publish=publish)
    await loop.ask("2", publish=publish)
    assert told == ["`max_tokens` is not set: 4096 is sent"]
    await world.loop(stream="r1/agent/other").ask("3", publish=publish)
    assert len(told) == 2
