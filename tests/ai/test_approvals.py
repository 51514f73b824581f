"""Whole runs whose agents may not do everything: asked for, refused, denied, and never twice for one word of a person."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.ai.factory import AILoopFactory
from orchestrator.ai.sessions import AgentSessions
from orchestrator.bootstrap import ExecutionEngine
from orchestrator.core.messages import Usage
from orchestrator.core.plan import Plan
from orchestrator.ports.chat_model import ChatEvent, ChatRequest, Finished, ToolCallDelta, UsageReported
from orchestrator.spec.compile import compile_plan
from orchestrator.spec.load import load_workflow
from orchestrator.stores.memory import MemoryJournal
from orchestrator.testing.scripted import ScriptedModel, ScriptedProvider, Turn


def writes(path: str, content: str = "hello") -> tuple[str, dict[str, Any]]:
    return "files_write", {"path": path, "content": content}


class House:
    """A project with real files, an engine over a journal that outlives it, and models that say what a test wrote."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.journal = MemoryJournal()
        self.provider = ScriptedProvider()
        (root / "workflows").mkdir()
        (root / "docs").mkdir()

    def engine(self, *, attended: bool = False) -> ExecutionEngine:
        engine = ExecutionEngine(self.root, journal=self.journal)
        engine.adapters.check_agents = lambda plan: ()
        engine.attended = attended
        factory = AILoopFactory(
            journal=self.journal, clock=engine.clock, environ={}, providers={"scripted": self.provider}
        )
        engine.services.sessions = AgentSessions(factory)
        return engine

    def plan(self, text: str) -> Plan:
        path = self.root / "workflows" / "flow.yaml"
        path.write_text(textwrap.dedent(text))
        return msgspec.structs.replace(compile_plan(load_workflow(path)), not_yet=())

    def model(self, *turns: Any, name: str = "m") -> ScriptedModel:
        self.provider.models[name] = model = ScriptedModel(*turns)
        return model


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
async def engine(house: House) -> AsyncIterator[ExecutionEngine]:
    async with house.engine() as opened:
        yield opened


def flow(permissions: str, tools: str = "['files.*']") -> str:
    return f"""
        name: t
        agents:
          clerk: {{model: scripted/m, tools: {tools}, permissions: {permissions}}}
        tasks:
          work: {{agent: clerk, prompt: Do it.}}
    """


def results(model: ScriptedModel, request: int = -1) -> list[tuple[str, bool]]:
    """What the model was told of its last calls: (content, is it an error)."""
    last = model.requests[request].messages[-1]
    return [(part.content, part.is_error) for part in last.parts]  # type: ignore[union-attr]


async def test_what_is_allowed_is_done_and_what_is_denied_is_told_to_the_model(
    house: House, engine: ExecutionEngine
) -> None:
    model = house.model(Turn(tool_calls=[writes("docs/a"), writes("docs/../b"), writes("docs/no/c")]), "Done.")
    rules = "{allow: ['files.write:path=docs/*'], deny: ['files.write:path=docs/no/*', files.delete]}"
    result = await engine.run(house.plan(flow(rules)))
    assert result.status == "succeeded", result.failure
    assert (house.root / "docs" / "a").read_text() == "hello"
    assert not (house.root / "b").exists()
    assert not (house.root / "docs" / "no").exists()
    (_, fine), (asked, failed), (denied, also) = results(model)
    assert (fine, failed, also) == (False, True, True)
    assert "nobody is here to be asked" in asked
    assert "files.write:path=docs/no/*" in denied
    assert "files_delete" not in {tool.name for tool in model.requests[0].tools}
    assert "files_write" in {tool.name for tool in model.requests[0].tools}


async def test_pure_tools_need_nobody(house: House, engine: ExecutionEngine) -> None:
    (house.root / "docs" / "a").write_text("known")
    model = house.model(Turn(tool_calls=[("files_read", {"path": "docs/a"})]), "Done.")
    await engine.run(house.plan(flow("{}")))
    assert "known" in results(model)[0][0]


async def test_an_asked_call_parks_the_run_and_is_made_once_a_person_agrees(
    house: House, engine: ExecutionEngine
) -> None:
    model = house.model(Turn(tool_calls=[writes("docs/a"), writes("docs/b")]), "Done.")
    handle = await engine.start(house.plan(flow("{ask: [files.write]}")))
    result = await handle.wait()
    assert result.status == "waiting"
    question = result.tasks["work"].question
    assert question is not None
    assert question["question"] == "May agent `clerk` call files.write(path: docs/a, content: hello)?"
    assert question["show"] == {
        "agent": "clerk",
        "tool": "files.write",
        "arguments": {"path": "docs/a", "content": "hello"},
        "effect": question["show"]["effect"],
    }
    assert list((house.root / "docs").iterdir()) == []

    engine.answer(handle.run_id, "work", {"approve": True}, by="ada")
    result = await (await engine.resume(handle.run_id)).wait()
    # One word, one call: the second asks for itself.
    assert result.status == "waiting"
    assert "docs/b" in result.tasks["work"].question["question"]  # type: ignore[index]
    assert [path.name for path in (house.root / "docs").iterdir()] == ["a"]

    engine.answer(handle.run_id, "work", {"approve": False, "comment": "b is mine"}, by="ben")
    result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "succeeded", result.failure
    assert [path.name for path in (house.root / "docs").iterdir()] == ["a"]
    (_, fine), (refused, failed) = results(model)
    assert (fine, failed) == (False, True)
    assert refused == "denied: a person refused this call: b is mine"
    assert [(one["by"], one["value"]["approve"]) for one in result.tasks["work"].answers] == [
        ("ada", True),
        ("ben", False),
    ]
    assert len(model.requests) == 2


async def test_the_same_call_in_a_later_turn_asks_anew(house: House, engine: ExecutionEngine) -> None:
    house.model(Turn(tool_calls=[writes("docs/a")]), Turn(tool_calls=[writes("docs/a")]), "Done.")
    handle = await engine.start(house.plan(flow("{ask: [files.write]}")))
    result = await handle.wait()
    asked = []
    while result.status == "waiting":
        asked.append(result.tasks["work"].question["key"])  # type: ignore[index]
        engine.answer(handle.run_id, "work", {"approve": True})
        result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "succeeded", result.failure
    assert len(set(asked)) == 2


async def test_somebody_at_the_terminal_is_asked_for_what_no_rule_names(house: House) -> None:
    house.model(Turn(tool_calls=[writes("docs/a")]), "Done.")
    plan = house.plan(flow("{}"))
    async with house.engine(attended=True) as engine:
        handle = await engine.start(plan)
        assert (await handle.wait()).status == "waiting"
    # They left. The answer comes from elsewhere, and counts though nobody sits there any more.
    async with house.engine() as engine:
        engine.answer(handle.run_id, "work", {"approve": True}, by="ada")
        result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "succeeded", result.failure
    assert (house.root / "docs" / "a").exists()


async def test_a_denial_stands_though_a_person_agreed(house: House) -> None:
    """The rule is asked at each call: an answer lets through what may be asked for, never what is denied."""
    from orchestrator.ai.guarded import question_key

    model = house.model(Turn(tool_calls=[writes("docs/a")]), "Done.")
    plan = house.plan(flow("{deny: ['files.write:content=hello'], ask: [files.write]}"))
    async with house.engine(attended=True) as engine:
        result = await engine.run(plan)
    assert result.status == "succeeded"
    assert results(model)[0][1]
    assert question_key("t", {"a": 1}, "c") != question_key("t", {"a": 2}, "c")


async def test_a_question_of_the_agent_itself_waits_too(house: House, engine: ExecutionEngine) -> None:
    model = house.model(Turn(tool_calls=[("ask_person", {"question": "Which colour?"})]), "Blue it is.")
    handle = await engine.start(house.plan(flow("{}", tools="[ask_person]")))
    result = await handle.wait()
    assert result.tasks["work"].question["question"] == "Which colour?"  # type: ignore[index]
    engine.answer(handle.run_id, None, {"answer": "blue"}, by="ada")
    result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "succeeded", result.failure
    assert results(model)[0] == ("blue", False)


async def test_no_answer_and_no_turn_is_lost_whenever_the_driver_dies(house: House) -> None:
    from orchestrator.errors import JournalFullError
    from orchestrator.ports.journal import Batch, Done

    class Mortal(MemoryJournal):
        dies_at = 10**9
        appends = 0

        def append(self, batch: Batch, done: Done) -> None:
            self.appends += 1
            if self.appends >= self.dies_at:
                done(JournalFullError("killed"))
            else:
                super().append(batch, done)

    plan = house.plan(flow("{ask: [files.write]}"))

    def answer(request: ChatRequest) -> str | Turn:
        asked = request.messages[-1].role == "user"
        return Turn(tool_calls=[writes("docs/a"), writes("docs/b")]) if asked else "Done."

    async def whole(dies_at: int) -> tuple[int, int, int]:
        journal = house.journal = Mortal()
        journal.dies_at = dies_at
        for old in (house.root / "docs").iterdir():
            old.unlink()
        model = house.model(*[answer] * 6)
        run_id, answered, result = "", 0, None
        for _ in range(30):
            try:
                async with house.engine() as engine:
                    handle = await (engine.resume(run_id) if run_id else engine.start(plan))
                    run_id = handle.run_id
                    result = await handle.wait()
                    if result.status != "waiting":
                        break
                    engine.answer(run_id, "work", {"approve": True}, by="ada")
                    answered += 1
            except JournalFullError:
                journal.dies_at = 10**9
                run_id = next((row.stream for row in journal.rows() if "/" not in row.stream), "")
        assert result is not None
        assert result.status == "succeeded", result.failure
        assert sorted(path.name for path in (house.root / "docs").iterdir()) == ["a", "b"]
        return journal.appends, len(model.requests), answered

    appends, requests, answered = await whole(10**9)
    assert (requests, answered) == (2, 2)
    for dies_at in range(1, appends + 1):
        _, requests, answered = await whole(dies_at)
        assert requests <= 3, dies_at
        assert answered == 2, dies_at


@pytest.mark.parametrize("inner", [False, True], ids=["by the agent", "by an agent it asked"])
async def test_a_workflow_called_as_a_tool_parks_the_agent_that_called_it(
    house: House, engine: ExecutionEngine, inner: bool
) -> None:
    (house.root / "workflows" / "check.yaml").write_text(
        "name: check\ndescription: Has somebody look.\n"
        "tasks:\n  look: {ask: 'Is it fine?', form: {fine: boolean}}\noutputs: {fine: '${{ look.fine }}'}\n"
    )
    caller = house.model(Turn(tool_calls=[("check", {})]), "Checked.")
    chief = house.model(Turn(tool_calls=[("ask_clerk", {"prompt": "Check it."})]), "Done.", name="chief")
    plan = house.plan(
        f"""
        name: t
        agents:
          clerk: {{model: scripted/m, tools: [workflows/check.yaml], permissions: {{allow: ['*']}}}}
          chief: {{model: scripted/chief, sub_agents: [clerk]}}
        tasks:
          work: {{agent: {"chief" if inner else "clerk"}, prompt: Do it.}}
        """
    )
    handle = await engine.start(plan)
    result = await handle.wait()
    assert result.status == "waiting", result.failure
    assert result.tasks["work"].question is None
    assert "check.yaml is waiting" in result.tasks["work"].reason
    (child,) = [row.stream for row in house.journal.rows(parent=handle.run_id) if "/" not in row.stream]
    engine.answer(child, "look", {"fine": True}, by="ada")
    assert (await (await engine.resume(child)).wait()).status == "succeeded"
    result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "succeeded", result.failure
    assert result.tasks["work"].attempts == 1
    assert results(caller) == [('{"fine": true}', False)]
    assert len(caller.requests) == 2
    assert len(chief.requests) == (2 if inner else 0)


async def test_a_program_that_may_run_only_once_runs_once_a_person_agrees(
    house: House, engine: ExecutionEngine
) -> None:
    touch = ("shell", {"argv": ["sh", "-c", "echo x >> docs/log"]})
    model = house.model(Turn(tool_calls=[touch]), "Done.")
    handle = await engine.start(house.plan(flow("{ask: ['shell:argv=sh *']}", tools="[shell]")))
    result = await handle.wait()
    assert result.status == "waiting", result.failure
    assert result.tasks["work"].question["show"]["effect"] == "at_most_once"  # type: ignore[index]
    engine.answer(handle.run_id, "work", {"approve": True}, by="ada")
    result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "succeeded", result.failure
    assert not results(model)[0][1], results(model)
    assert (house.root / "docs" / "log").read_text() == "x\n"


def raw_call(call_id: str, name: str, arguments: dict[str, Any]) -> list[ChatEvent]:
    """An answer of a server that names its calls as it likes."""
    return [
        ToolCallDelta(0, msgspec.json.encode(arguments).decode(), call_id, name),
        UsageReported(Usage(10, 5)),
        Finished("tool_calls", "scripted"),
    ]


@pytest.mark.parametrize("call_id", ["", "again"])
async def test_a_call_that_repeats_an_allowed_calls_id_is_asked_for_anew(
    house: House, engine: ExecutionEngine, call_id: str
) -> None:
    path, content = writes("docs/a")[1].values()
    again = raw_call(call_id, "files_write", {"path": path, "content": content})
    model = house.model(again, again, "Done.")
    handle = await engine.start(house.plan(flow("{ask: [files.write]}")))
    first = (await handle.wait()).tasks["work"].question
    assert first is not None
    engine.answer(handle.run_id, "work", {"approve": True})
    result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "waiting"
    second = result.tasks["work"].question
    assert second is not None
    assert second["key"] != first["key"]
    assert len(model.requests) == 2


async def test_a_half_of_a_character_can_be_asked_about_and_told(house: House, engine: ExecutionEngine) -> None:
    house.model(Turn(tool_calls=[("files_write", r'{"path": "docs/a", "content": "\ud800"}')]), "Done.")
    handle = await engine.start(house.plan(flow("{ask: [files.write]}")))
    result = await handle.wait()
    assert result.status == "waiting", result.failure
    engine.answer(handle.run_id, "work", {"approve": True})
    assert (await (await engine.resume(handle.run_id)).wait()).status == "succeeded"
    assert (house.root / "docs" / "a").read_text() == "\ufffd"
