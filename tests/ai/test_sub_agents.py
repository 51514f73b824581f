"""Agents that ask agents and hand over to them, in whole runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ai.test_approvals import House, results, writes

from orchestrator.ai.sub_agents import DEPTH_MAX
from orchestrator.bootstrap import ExecutionEngine
from orchestrator.errors import JournalFullError
from orchestrator.ports.chat_model import ChatRequest
from orchestrator.ports.journal import Batch, Done
from orchestrator.stores.memory import MemoryJournal
from orchestrator.testing.scripted import ScriptedModel, Turn

PAIR = """
    name: t
    agents:
      chief: {model: scripted/chief, instructions: You lead., sub_agents: [scout]}
      scout:
        model: scripted/scout
        description: Looks things up.
        instructions: You look.
        ai_config: {temperature: 0.3, max_tokens: 77}
        tools: ['files.*']
        permissions: {ask: [files.write]}
    tasks:
      work: {agent: chief, prompt: Do it.}
"""


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
async def engine(house: House) -> AsyncIterator[ExecutionEngine]:
    async with house.engine() as opened:
        yield opened


def asks(*prompts: str, who: str = "scout") -> Turn:
    return Turn(tool_calls=[(f"ask_{who}", {"prompt": prompt}) for prompt in prompts])


async def test_an_agent_asks_another_on_its_own_settings(house: House, engine: ExecutionEngine) -> None:
    chief = house.model(asks("Where is it?", "And when?"), "There, then.", name="chief")
    scout = house.model("There.", "Then.", name="scout")
    result = await engine.run(house.plan(PAIR))
    assert result.status == "succeeded", result.failure
    assert result.tasks["work"].value == "There, then."
    (tool,) = chief.requests[0].tools
    assert (tool.name, "Looks things up." in tool.description) == ("ask_scout", True)
    assert sorted(content for content, _ in results(chief)) == ["Then.", "There."]
    request = scout.requests[0]
    assert (request.instructions, request.temperature, request.max_tokens) == ("You look.", 0.3, 77)
    assert [len(one.messages) for one in scout.requests] == [1, 1], "each call is a conversation of its own"
    assert {"files_read", "files_write"} <= {tool.name for tool in request.tools}
    # What all of them used is the task's.
    assert result.tasks["work"].usage["requests"] == 4
    assert result.tasks["work"].usage["input_tokens"] == 40
    streams = [row.stream for row in house.journal.rows(prefix=f"{result.run_id}/agent/")]
    assert sorted(streams)[0] == f"{result.run_id}/agent/{result.run_id}:work"
    assert all(stream.startswith(f"{result.run_id}/agent/{result.run_id}:work/") for stream in sorted(streams)[1:])


async def test_what_another_agent_says_is_told_with_its_name(house: House, engine: ExecutionEngine) -> None:
    house.model(asks("Where?"), "There.", name="chief")
    house.model(Turn(tool_calls=[("files_list", {})]), "Here.", name="scout")
    handle = await engine.start(house.plan(PAIR))
    told = [event async for event in handle.watch() if event["type"] in ("task_chunk", "task_tool")]
    assert ("scout", 1, "Here.") in {(one.get("agent"), one.get("depth"), one.get("text")) for one in told}
    assert ("scout", 1, "files_list") in {(one.get("agent"), one.get("depth"), one.get("name")) for one in told}
    assert ("chief", None, "There.") in {(one.get("agent"), one.get("depth"), one.get("text")) for one in told}


async def test_questions_within_another_agent_come_up_to_the_task(house: House, engine: ExecutionEngine) -> None:
    # Two of them call with the very same id and arguments: their questions are two all the same.
    house.model(asks("one", "two"), "Done.", name="chief")
    house.model(*[lambda request: _writes_once(request)] * 6, name="scout")
    handle = await engine.start(house.plan(PAIR))
    result = await handle.wait()
    keys = []
    while result.status == "waiting":
        question = result.tasks["work"].question
        assert question is not None
        assert question["show"]["agent"] == "scout"
        keys.append(question["key"])
        engine.answer(handle.run_id, "work", {"approve": True}, by="ada")
        result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "succeeded", result.failure
    assert len(set(keys)) == 2
    assert (house.root / "docs" / "a").exists()


def _writes_once(request: ChatRequest) -> str | Turn:
    return Turn(tool_calls=[writes("docs/a")]) if request.messages[-1].role == "user" else "Written."


async def test_two_agents_that_ask_each_other_come_to_an_end(house: House, engine: ExecutionEngine) -> None:
    endless = ScriptedModel(
        lambda request: (
            asks("You do it.", who="b" if request.agent == "a" else "a")
            if request.messages[-1].role == "user"
            else "Enough."
        ),
        repeat_last=True,
    )
    house.provider.models["m"] = endless
    result = await engine.run(
        house.plan(
            """
            name: t
            agents:
              a: {model: scripted/m, sub_agents: [b]}
              b: {model: scripted/m, sub_agents: [a]}
            tasks: {work: {agent: a, prompt: Do it.}}
            """
        )
    )
    assert result.status == "succeeded", result.failure
    assert len(endless.requests) == 2 * (DEPTH_MAX + 1)
    told = [content for request in endless.requests for part in request.messages[-1].parts
            if (content := getattr(part, "content", ""))]  # fmt: skip
    assert any("agents stand between" in content for content in told)


async def test_agents_behind_an_agent_draw_on_its_budget(house: House, engine: ExecutionEngine) -> None:
    scout = house.model(*["Found."] * 30, name="scout")
    house.model(*[asks("Look.")] * 30, name="chief")
    plan = house.plan(PAIR.replace("name: t\n", "name: t\n    budget: {turns: 5}\n"))
    result = await engine.run(plan)
    assert result.status == "failed"
    assert result.failure is not None
    assert result.failure["type"] == "budget"
    made = len(scout.requests) + len(house.provider.models["chief"].requests)
    assert made == 5


async def test_a_stop_reaches_the_innermost_and_a_resumed_run_goes_on_there(
    house: House, engine: ExecutionEngine
) -> None:
    gate = asyncio.Event()
    chief = house.model(asks("Where?"), "There.", name="chief")
    scout = house.model(Turn(text="He.", gate=gate), "Here.", name="scout")
    handle = await engine.start(house.plan(PAIR))
    await scout.asked.wait()
    handle.stop(grace=0.0, by="ada")
    assert (await handle.wait()).status == "paused"
    result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "succeeded", result.failure
    assert (len(chief.requests), len(scout.requests)) == (2, 2)
    assert results(chief) == [("Here.", False)]


async def test_a_cancelled_run_takes_all_its_agents_along(house: House, engine: ExecutionEngine) -> None:
    house.model(asks("Where?"), name="chief")
    scout = house.model(Turn(text="He.", gate=asyncio.Event()), name="scout")
    handle = await engine.start(house.plan(PAIR))
    await scout.asked.wait()
    handle.cancel(by="ada")
    result = await handle.wait()
    assert (result.status, result.tasks["work"].status) == ("cancelled", "cancelled")


HANDED = """
    name: t
    agents:
      chief: {model: scripted/chief, handoffs: [scout]}
      scout: {model: scripted/scout, tools: ['files.*']}
    tasks:
      work: {agent: chief, prompt: Do it.}
"""


@pytest.mark.parametrize("text", [PAIR, HANDED], ids=["asked", "handed over"])
async def test_no_turn_of_any_agent_is_paid_twice_whenever_the_driver_dies(house: House, text: str) -> None:
    class Mortal(MemoryJournal):
        dies_at = 10**9
        appends = 0

        def append(self, batch: Batch, done: Done) -> None:
            self.appends += 1
            if self.appends >= self.dies_at:
                done(JournalFullError("killed"))
            else:
                super().append(batch, done)

    plan = house.plan(text)
    turn = asks("x") if text is PAIR else Turn(tool_calls=[("transfer_to_scout", {})])

    def scouts(request: ChatRequest) -> str | Turn:
        seen = any(message.role == "tool" for message in request.messages)
        return "Seen." if seen else Turn(tool_calls=[("files_list", {})])

    async def whole(dies_at: int) -> tuple[int, int]:
        journal = house.journal = Mortal()
        journal.dies_at = dies_at
        first = lambda request: request.messages[-1].role == "user"  # noqa: E731
        chief = house.model(*[lambda request: turn if first(request) else "Done."] * 5, name="chief")
        scout = house.model(*[scouts] * 5, name="scout")
        run_id, result = "", None
        for _ in range(20):
            try:
                async with house.engine() as engine:
                    handle = await (engine.resume(run_id) if run_id else engine.start(plan))
                    run_id = handle.run_id
                    result = await handle.wait()
                    break
            except JournalFullError:
                journal.dies_at = 10**9
                run_id = next((row.stream for row in journal.rows() if "/" not in row.stream), "")
        assert result is not None
        assert result.status == "succeeded", result.failure
        return journal.appends, len(chief.requests) + len(scout.requests)

    appends, requests = await whole(10**9)
    assert requests == (4 if text is PAIR else 3)
    for dies_at in range(1, appends + 1):
        _, again = await whole(dies_at)
        assert again <= requests + 1, dies_at


async def test_an_agent_hands_the_conversation_over(house: House, engine: ExecutionEngine) -> None:
    desk = house.model(Turn(tool_calls=[("transfer_to_expert", {"message": "He is in a hurry."})]), name="desk")
    expert = house.model(Turn(tool_calls=[writes("docs/a")]), "Solved.", name="expert")
    result = await engine.run(
        house.plan(
            """
            name: t
            agents:
              desk: {model: scripted/desk, handoffs: [expert]}
              expert:
                model: scripted/expert
                description: Knows it all.
                instructions: You know.
                tools: ['files.*']
                permissions: {allow: ['files.write:path=docs/*']}
            tasks:
              work: {agent: desk, prompt: Help me.}
              who: {set: "${{ work }}"}
            """
        )
    )
    assert result.status == "succeeded", result.failure
    assert result.tasks["who"].value == "Solved."
    assert result.tasks["work"].meta["agent"] == "expert"
    assert (len(desk.requests), len(expert.requests)) == (1, 2)
    assert expert.requests[0].instructions == "You know."
    assert (house.root / "docs" / "a").exists()
    said = "".join(getattr(part, "text", "") for message in expert.requests[0].messages for part in message.parts)
    assert "Help me." in said
    assert "He is in a hurry." in said


async def test_agents_whose_names_look_alike_to_a_model_are_both_asked(house: House, engine: ExecutionEngine) -> None:
    text = """
        name: t
        agents:
          chief: {model: scripted/chief, sub_agents: [data-eu.v1, data-eu_v1]}
          data-eu.v1: {model: scripted/old}
          data-eu_v1: {model: scripted/new}
        tasks:
          work: {agent: chief, prompt: Do it.}
    """

    def asks_both(request: ChatRequest) -> Turn:
        return Turn(tool_calls=[(tool.name, {"prompt": "You?"}) for tool in request.tools])

    chief = house.model(asks_both, "Done.", name="chief")
    house.model("The old one.", name="old")
    house.model("The new one.", name="new")
    await engine.run(house.plan(text))
    assert sorted(content for content, _ in results(chief)) == ["The new one.", "The old one."]


async def test_a_sub_agent_named_like_another_tool_is_refused(house: House, engine: ExecutionEngine) -> None:
    text = """
        name: t
        agents:
          chief: {model: scripted/chief, tools: [ask_person], sub_agents: [person]}
          person: {model: scripted/scout}
        tasks:
          work: {agent: chief, prompt: Do it.}
    """
    result = await engine.run(house.plan(text))
    assert result.tasks["work"].failure["message"] == "agent 'chief' has two tools named 'ask_person'"  # type: ignore[index]
