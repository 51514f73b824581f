"""A conversation that is too long for its model: what happens is declared, recorded and said."""

from __future__ import annotations

from typing import Any

import pytest
from ai.test_loop import AddTool
from ai.world import World

from orchestrator.ai.overflow import SUMMARY_INSTRUCTIONS
from orchestrator.ai.record import read_session
from orchestrator.core.messages import Usage
from orchestrator.core.session_events import ContextTrimmed, SummaryPlanned, decode_events
from orchestrator.errors import TaskError
from orchestrator.ports.chat_model import ChatModelError, ChatRequest
from orchestrator.testing.scripted import Turn

TOO_LONG = ChatModelError("context_too_long", "9000 tokens are more than 8192", charged=False)


def recorded(world: World, kind: type[Any]) -> list[Any]:
    events = [e for batch in world.journal.read("r1/agent/k") for e in decode_events(batch.payload)]
    return [event for event in events if isinstance(event, kind)]


def texts(request: ChatRequest) -> list[str]:
    return [message.text for message in request.messages]


async def talk(world: World, loop: Any, times: int) -> None:
    for number in range(times):
        await loop.ask(f"question {number}", publish=lambda type, data: world.published.append((type, data)))


async def test_by_default_it_fails_and_names_the_option() -> None:
    world = World("1", TOO_LONG)
    loop = world.loop()
    await talk(world, loop, 1)
    with pytest.raises(TaskError) as caught:
        await loop.ask("and this?")
    assert caught.value.type == "context_too_long"
    assert "on_overflow: drop_oldest" in (caught.value.help or "")
    assert len(world.model.requests) == 2


async def test_the_oldest_exchanges_are_left_out_and_it_is_recorded_and_said() -> None:
    world = World("0", "1", "2", TOO_LONG, "Answer.")
    loop = world.loop(config={"on_overflow": "drop_oldest"})
    await talk(world, loop, 3)
    told: list[str] = []
    got = await loop.ask("and this?", publish=lambda type, data: told.append(data.get("message", "")))
    assert got.value == "Answer."
    assert texts(world.model.requests[-1]) == ["question 2", "2", "and this?"]
    (event,) = recorded(world, ContextTrimmed)
    assert event.left_out == (0, 1, 2, 3)
    assert any("4 older messages are no longer sent: 9000 tokens" in text for text in told)
    assert [m.text for m in loop.conversation][:2] == ["question 0", "0"]


async def test_what_was_left_out_stays_left_out_in_the_next_process() -> None:
    world = World("0", "1", TOO_LONG, "2", "3")
    loop = world.loop(config={"on_overflow": "drop_oldest"})
    await talk(world, loop, 3)
    before = texts(world.model.requests[-1])
    world.start()
    await world.loop(config={"on_overflow": "drop_oldest"}).ask("next")
    assert texts(world.model.requests[-1]) == [*before, "2", "next"]


async def test_a_question_that_is_too_long_itself_fails_and_says_so() -> None:
    world = World(TOO_LONG)
    with pytest.raises(TaskError) as caught:
        await world.loop(config={"on_overflow": "drop_oldest"}).ask("x" * 100_000)
    assert caught.value.type == "context_too_long"
    assert "nothing older can be left out" in (caught.value.help or "")


async def test_calls_and_their_results_go_together() -> None:
    call = [Turn(tool_calls=[("add", {"a": n, "b": n})]) for n in range(4)]
    world = World(*call, TOO_LONG, "Done.")
    got = await world.loop(tools=[AddTool()], config={"on_overflow": "drop_oldest"}).ask("count")
    assert got.value == "Done."
    sent = world.model.requests[-1].messages
    assert sent[0].text == "count"
    assert [m.role for m in sent] == ["user", *["assistant", "tool"] * ((len(sent) - 1) // 2)]
    assert 0 < len(sent) < 9
    for asked, answered in zip(sent[1::2], sent[2::2], strict=True):
        assert [c.id for c in asked.tool_calls] == [part.call_id for part in answered.parts]  # type: ignore[union-attr]


async def test_old_messages_are_summed_up_and_what_that_cost_counts() -> None:
    world = World("0", "1", "2", TOO_LONG, Turn(text="They counted to two.", usage=Usage(70, 7)), "Answer.")
    loop = world.loop(config={"on_overflow": "summarise"})
    await talk(world, loop, 3)
    chunks: list[str] = []
    got = await loop.ask("and this?", publish=lambda type, data: chunks.append(data.get("text", "")))
    assert got.value == "Answer."
    assert (got.turns, got.requests) == (2, 3)
    assert got.usage == Usage(80, 12)
    summary, final = world.model.requests[-2:]
    assert summary.instructions == SUMMARY_INSTRUCTIONS
    assert "user: question 0\nassistant: 0" in texts(summary)[0]
    assert texts(final) == [
        "question 2",
        "2",
        "What was said and done before, in short:\nThey counted to two.\nand this?",
    ]
    assert "They counted to two." not in "".join(chunks)
    (event,) = recorded(world, SummaryPlanned)
    assert event.left_out == (0, 1, 2, 3)
    assert [call.status for call in read_session(world.journal, "r1/agent/k").calls][-3:] == [
        "failed",
        "answered",
        "answered",
    ]


async def test_a_summary_that_does_not_fit_itself_is_made_of_less() -> None:
    long = "x" * 1000
    world = World(long, long, long, long, TOO_LONG, TOO_LONG, "In short.", "Answer.")
    loop = world.loop(config={"on_overflow": "summarise"})
    await talk(world, loop, 4)
    assert (await loop.ask("?")).value == "Answer."
    first, second = recorded(world, SummaryPlanned)
    assert set(second.left_out) < set(first.left_out)


async def test_a_summary_counts_as_a_turn() -> None:
    world = World("0", "1", TOO_LONG)
    loop = world.loop(config={"on_overflow": "summarise", "max_turns": 1})
    await talk(world, loop, 2)
    with pytest.raises(TaskError, match="no answer after 1 turns"):
        await loop.ask("?")


async def test_killed_while_it_sums_up_it_goes_on_with_that() -> None:
    import asyncio

    from ai.test_loop import _as_after_a_kill

    summing = asyncio.Event()

    def silent(request: ChatRequest) -> Turn:
        summing.set()
        return Turn(text="In short.", gate=asyncio.Event())

    world = World("0", "1", TOO_LONG, silent, "In short, again.", "Answer.")
    loop = world.loop(config={"on_overflow": "summarise"})
    await talk(world, loop, 2)
    asked = asyncio.create_task(loop.ask("?", key="k"))
    await summing.wait()
    world.journal = _as_after_a_kill(world.journal)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    world.start()
    got = await world.loop(config={"on_overflow": "summarise"}).ask("?", key="k")
    assert got.value == "Answer."
    assert "In short, again." in texts(world.model.requests[-1])[-1]


async def test_a_declared_window_is_kept_without_asking_the_provider() -> None:
    answer = Turn(text="y" * 600, usage=Usage(200, 200))
    world = World(*[answer] * 8)
    loop = world.loop(config={"on_overflow": "drop_oldest", "context_window": 1000, "max_tokens": 200})
    await talk(world, loop, 8)
    assert recorded(world, ContextTrimmed)
    assert len(world.model.requests) == 8
    assert all(len(request.messages) < 15 for request in world.model.requests)


async def test_without_a_policy_a_declared_window_fails_before_the_request() -> None:
    world = World("never")
    with pytest.raises(TaskError, match=r"about \d+ tokens long") as caught:
        await world.loop(config={"context_window": 1000}).ask("x" * 10_000)
    assert caught.value.type == "context_too_long"
    assert world.model.requests == []


async def test_a_fallback_may_take_what_is_too_long() -> None:
    from orchestrator.testing.scripted import ScriptedModel

    b = ScriptedModel("B takes it.")
    world = World(TOO_LONG, b=b)
    loop = world.loop(fallback={"models": ["scripted/b"], "on": ["context_too_long"]})
    assert (await loop.ask("?")).model == "scripted/b"
