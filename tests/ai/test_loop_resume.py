"""Killed after any commit, a conversation goes on: no answered turn is requested again, and nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest
from ai.test_loop import POINTS, AddTool
from ai.world import World
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.ai.record import read_session
from orchestrator.core.session_state import Session
from orchestrator.errors import TaskError
from orchestrator.ports.chat_model import ChatModelError, ChatRequest
from orchestrator.ports.journal import Batch
from orchestrator.stores.memory import MemoryJournal
from orchestrator.testing.scripted import ScriptedModel, Turn

STREAM = "r1/agent/k"


def cut(journal: Any, batches: int) -> MemoryJournal:
    """What another process finds if this one died after so many commits."""
    found = MemoryJournal()
    row = journal.row(STREAM)
    for batch in list(journal.read(STREAM))[:batches]:
        appended = Batch(stream=STREAM, expected=batch.first - 1, count=batch.count, payload=batch.payload, row=row)
        found.append(appended, lambda error: None)
    return found


class Story:
    """Says what comes next by what was said, so that it goes on wherever it is asked: tools, a refusal of form, an answer."""

    def __init__(self, kinds: list[str]) -> None:
        self.kinds = kinds

    def __call__(self, request: ChatRequest) -> Turn:
        done = sum(message.role == "assistant" for message in request.messages)
        kind = self.kinds[done] if done < len(self.kinds) else "answer"
        if kind == "tools":
            calls: Any = [("add", {"a": done, "b": n}) for n in range(2)]
            return Turn(text="Let me see.", tool_calls=calls)
        if kind == "misfit":
            return Turn(text="no json")
        return Turn(text='{"points": 7}')


def play(world: World, fail_first: bool) -> Any:
    how: dict[str, Any] = {"tools": [AddTool()], "config": {"retries": 0}}
    if fail_first:
        how["fallback"] = ["scripted/b"]
    return world.loop(**how).ask("?", key="k", output_schema=POINTS, repair=10)


def new_world(kinds: list[str], fail_first: bool, journal: Any = None) -> tuple[World, ScriptedModel]:
    backup = ScriptedModel(Story(kinds), repeat_last=True)
    world = World(ChatModelError("outage", "gone") if fail_first else Story(kinds), journal=journal, b=backup)
    world.model.repeat_last = True
    return world, backup


def answered_turns(session: Session) -> list[int]:
    return [call.turn for call in session.calls if call.status == "answered"]


@settings(max_examples=40, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(["tools", "misfit"]), max_size=4),
    fail_first=st.booleans(),
    data=st.data(),
)
async def test_after_any_commit_no_answered_turn_is_requested_again(
    kinds: list[str], fail_first: bool, data: Any
) -> None:
    first, _ = new_world(kinds, fail_first)
    got = await play(first, fail_first)
    assert got.value == {"points": 7}
    commits = len(list(first.journal.read(STREAM)))
    kill_after = data.draw(st.integers(0, commits), label="commits before the kill")
    journal = cut(first.journal, kill_after)
    before = read_session(journal, STREAM)
    in_flight = sum(call.status == "in flight" for call in before.calls)
    second, backup = new_world(kinds, fail_first, journal)
    again = await play(second, fail_first)
    after = read_session(journal, STREAM)
    assert again.value == got.value
    assert answered_turns(after) == list(range(1, len(kinds) + 2))
    assert answered_turns(after)[: len(answered_turns(before))] == answered_turns(before)
    asked_again = len(second.model.requests) + len(backup.requests)
    assert asked_again == len(after.calls) - len(before.calls)
    answered_before, failures = len(answered_turns(before)), sum(call.status == "failed" for call in after.calls)
    assert len(after.calls) == len(kinds) + 1 + failures + in_flight
    assert asked_again <= len(kinds) + 1 - answered_before + failures


@pytest.mark.parametrize("policy", ["drop_oldest", "summarise"])
async def test_killed_after_any_commit_of_an_overflow_the_answer_is_the_same(policy: str) -> None:
    def script() -> list[Any]:
        def story(request: ChatRequest) -> Any:
            if request.instructions.startswith("You sum up"):
                return "In short."
            if len(request.messages) > 3:
                raise ChatModelError("context_too_long", "too long", charged=False)
            return "Answer."

        return [story]

    async def talk(world: World) -> Any:
        world.model.repeat_last = True
        loop = world.loop(config={"on_overflow": policy})
        for key in "abc":
            got = await loop.ask(f"question {key}", key=key)
        return got

    first = World(*script())
    got = await talk(first)
    sent = [message.text for message in first.model.requests[-1].messages]
    for commits in range(len(list(first.journal.read(STREAM)))):
        second = World(*script(), journal=cut(first.journal, commits))
        assert (await talk(second)).value == got.value
        if second.model.requests:
            assert [message.text for message in second.model.requests[-1].messages] == sent


def cut_in_flight(world: World) -> MemoryJournal:
    """Killed while its latest request was out."""
    batches = len(list(world.journal.read(STREAM)))
    cuts = (cut(world.journal, commits) for commits in range(batches, 0, -1))
    return next(found for found in cuts if read_session(found, STREAM).calls[-1:] and _in_flight(found))


def _in_flight(journal: MemoryJournal) -> bool:
    return read_session(journal, STREAM).calls[-1].status == "in flight"


async def test_a_request_that_was_cut_off_twice_is_not_sent_again_until_somebody_wants_it() -> None:
    first = World("Answer.")
    await first.loop().ask("?", key="k")
    second = World("Answer.", journal=cut_in_flight(first))
    await second.loop().ask("?", key="k")
    assert len(second.model.requests) == 1
    third = World("Answer.", journal=cut_in_flight(second))
    loop = third.loop()
    with pytest.raises(TaskError) as caught:
        await loop.ask("?", key="k")
    assert (caught.value.type, third.model.requests) == ("lost", [])
    assert [call.status for call in read_session(third.journal, STREAM).calls] == ["unknown", "unknown"]
    assert (await loop.ask("?", key="k")).text == "Answer."


async def test_a_failure_that_the_task_never_learned_of_stands_and_one_it_counted_is_tried_again() -> None:
    first = World(ChatModelError("refused", "no"))
    with pytest.raises(TaskError):
        await first.loop().ask("?", key="k", failures=0)
    second = World("Answer.", journal=first.journal)
    with pytest.raises(TaskError) as caught:
        await second.loop().ask("?", key="k", failures=0)
    assert (caught.value.type, second.model.requests) == ("refused", [])
    third = World("Answer.", journal=second.journal)
    assert (await third.loop().ask("?", key="k", failures=1)).text == "Answer."
