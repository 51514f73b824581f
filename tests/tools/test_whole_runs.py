"""Whole runs that use tools: by tasks without a model, by agents, across a person's answer, a child run and a new engine."""

from __future__ import annotations

import asyncio
import textwrap
from pathlib import Path
from typing import Any

import pytest

from orchestrator.ai.factory import AILoopFactory
from orchestrator.ai.sessions import AgentSessions
from orchestrator.bootstrap import ExecutionEngine
from orchestrator.core.plan import Plan
from orchestrator.ports.chat_model import ChatRequest
from orchestrator.spec.compile import compile_plan
from orchestrator.spec.load import load_workflow
from orchestrator.stores.memory import MemoryJournal
from orchestrator.testing.scripted import ScriptedModel, ScriptedProvider, Turn


class House:
    """A project, a journal that outlives its engines, and models that say what a test wrote."""

    def __init__(self, root: Path) -> None:
        self.root = root / "project"
        self.state = root / "state"
        self.journal = MemoryJournal()
        self.provider = ScriptedProvider()
        self.write("notes.txt", "one\ntwo\n")

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    def engine(self, *, calls_max: int = 64, **tools: Any) -> ExecutionEngine:
        settings = {"tools": tools, "limits": {"waiting_calls": calls_max}}
        engine = ExecutionEngine(self.root, journal=self.journal, state=self.state, settings=settings)
        engine.adapters.check_agents = lambda plan: ()
        factory = AILoopFactory(
            journal=self.journal, clock=engine.clock, environ={}, providers={"scripted": self.provider}
        )
        engine.services.sessions = AgentSessions(factory)
        return engine

    def plan(self, text: str, name: str = "flow") -> Plan:
        return compile_plan(load_workflow(self.write(f"workflows/{name}.yaml", text)))

    def model(self, *turns: Any, name: str = "m") -> ScriptedModel:
        self.provider.models[name] = model = ScriptedModel(*turns)
        return model

    async def run(self, text: str, **inputs: Any) -> Any:
        async with self.engine() as engine:
            return await engine.run(self.plan(text), inputs)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


CHILD = """
    description: Doubles a number.
    inputs: {n: integer, word: {type: string, default: twice}}
    tasks: {double: {set: '${{ inputs.n * 2 }}'}}
    outputs: {doubled: '${{ double }}', word: '${{ inputs.word }}'}
"""
ASKING_CHILD = """
    inputs: {n: integer}
    tasks: {sure: {ask: 'Sure?'}, twice: {when: sure.approve, set: '${{ inputs.n * 2 }}'}}
    outputs: {twice: '${{ twice }}'}
"""


async def test_a_tasks_value_is_what_its_tool_returns(house: House) -> None:
    result = await house.run("""
        tasks:
          read: {tool: files.read, args: {path: notes.txt}}
          found: {tool: files.search, args: {text: two}}
          write: {tool: files.write, args: {path: copy.txt, content: '${{ read }}'}}
        outputs: {read: '${{ read }}', line: '${{ found.matches[0].line }}', bytes: '${{ write.bytes }}'}
    """)
    assert result.outputs == {"read": "one\ntwo\n", "line": 2, "bytes": 8}
    assert (house.root / "copy.txt").read_text() == "one\ntwo\n"


async def test_arguments_that_an_expression_gave_are_checked_before_the_tool_runs(house: House) -> None:
    result = await house.run("""
        inputs: {from: {type: any, default: many}}
        tasks: {read: {tool: files.read, args: {path: notes.txt, start: '${{ inputs.from }}'}}}
    """)
    failure = result.tasks["read"].failure
    assert failure["type"] == "invalid_input"
    assert "`args` do not fit `files.read`" in failure["message"]


async def test_a_failure_of_the_tool_is_the_tasks(house: House) -> None:
    result = await house.run("tasks: {read: {tool: files.read, args: {path: ../secret}}}")
    assert result.tasks["read"].failure["type"] == "denied"


async def test_a_task_that_asks_a_person_goes_on_with_the_answer(house: House) -> None:
    async with house.engine() as engine:
        handle = await engine.start(house.plan("tasks: {ask: {tool: ask_person, args: {question: Which one?}}}"))
        assert (await handle.wait()).status == "waiting"
        run_id = handle.run_id
    async with house.engine() as engine:
        engine.answer(run_id, "ask", {"answer": "this"})
        result = await (await engine.resume(run_id)).wait()
    assert result.status == "succeeded"
    assert result.tasks["ask"].value == "this"


async def test_a_workflow_called_by_a_task_gives_its_outputs(house: House) -> None:
    house.write("workflows/double.yaml", CHILD)
    result = await house.run("tasks: {a: {tool: ./double.yaml, args: {n: 4}}}")
    assert result.tasks["a"].value == {"doubled": 8, "word": "twice"}


async def test_an_agent_sees_a_workflows_inputs_and_gets_its_outputs(house: House) -> None:
    house.write("workflows/double.yaml", CHILD)
    seen: list[ChatRequest] = []

    def first(request: ChatRequest) -> Turn:
        seen.append(request)
        return Turn(tool_calls=[("double", {"n": 21})])

    model = house.model(first, "done")
    result = await house.run("""
        agents:
          a: {model: scripted/m, instructions: Help., tools: [./double.yaml], permissions: {allow: [workflows/double.yaml]}}
        tasks: {a: {agent: a, prompt: Double it}}
    """)
    assert result.status == "succeeded", result.tasks["a"].failure
    (tool,) = seen[0].tools
    assert tool.name == "double"
    assert "Doubles a number." in tool.description
    assert set(tool.parameters["properties"]) == {"n", "word"}
    assert tool.parameters["required"] == ["n"]
    assert '"doubled": 42' in repr(model.requests[-1].messages[-1])


async def test_a_child_that_waits_for_a_person_parks_the_agent_and_is_found_again(house: House) -> None:
    house.write("workflows/asks.yaml", ASKING_CHILD)
    model = house.model(Turn(tool_calls=[("asks", {"n": 3})]), "done")
    plan = house.plan("""
        agents:
          a: {model: scripted/m, instructions: Help., tools: [./asks.yaml], permissions: {allow: [workflows/*]}}
        tasks: {a: {agent: a, prompt: Go}}
    """)
    async with house.engine() as engine:
        handle = await engine.start(plan)
        assert (await handle.wait()).status == "waiting"
        run_id = handle.run_id
    (child,) = [row.stream for row in house.journal.rows(parent=run_id) if "/" not in row.stream]
    async with house.engine() as engine:
        engine.answer(child, "sure", {"approve": True})
        await (await engine.resume(child)).wait()
        result = await (await engine.resume(run_id)).wait()
    assert result.status == "succeeded", result.tasks["a"].failure
    assert [row.stream for row in house.journal.rows(parent=run_id) if "/" not in row.stream] == [child]
    assert len(model.requests) == 2
    assert '"twice": 6' in repr(model.requests[-1].messages[-1])


async def test_an_agent_remembers_across_runs(house: House) -> None:
    text = """
        agents: {a: {model: scripted/m, instructions: Help., memory: team}}
        tasks: {a: {agent: a, prompt: Go}}
    """
    house.model(Turn(tool_calls=[("memory_write", {"key": "deploys", "text": "Never on Fridays."})]), "noted")
    assert (await house.run(text)).status == "succeeded"
    model = house.model(Turn(tool_calls=[("memory_search", {"query": "fridays"})]), "known")
    assert (await house.run(text)).status == "succeeded"
    assert "Never on Fridays." in repr(model.requests[-1].messages[-1])
    assert "Never on Fridays." in (house.state / "memory" / "team.md").read_text()


async def test_a_program_that_is_allowed_runs_unattended_and_any_other_is_denied(house: House) -> None:
    calls = [("shell", {"argv": ["cat", "notes.txt"]}), ("shell", {"argv": ["touch", "made"]})]
    model = house.model(Turn(tool_calls=calls), "done")
    plan = house.plan("""
        agents: {a: {model: scripted/m, instructions: Help., tools: [shell]}}
        tasks: {a: {agent: a, prompt: Go}}
    """)
    async with house.engine(shell={"allow": ["cat"]}) as engine:
        assert (await engine.run(plan, {})).status == "succeeded"
    said = repr(model.requests[-1].messages)
    assert "one\\\\ntwo" in said
    assert "denied" in said
    assert not (house.root / "made").exists()


CALLING_CHILD = """
    inputs: {n: integer}
    tasks: {look: {tool: files.read, args: {path: notes.txt}}}
    outputs: {text: '${{ look }}'}
"""


async def test_callers_that_hold_every_place_do_not_keep_their_children_from_one(house: House) -> None:
    house.write("workflows/looks.yaml", CALLING_CHILD)
    call = Turn(tool_calls=[("looks", {"n": 1}), ("looks", {"n": 2})])
    house.model(call, "done", name="one")
    house.model(call, "done", name="two")
    plan = house.plan("""
        defaults: {agents: {tools: [./looks.yaml], permissions: {allow: [workflows/*]}}}
        agents: {a: {model: scripted/one, instructions: Help.}, b: {model: scripted/two, instructions: Help.}}
        tasks:
          a: {agent: a, prompt: Go}
          b: {agent: b, prompt: Go}
          c: {tool: ./looks.yaml, args: {n: 3}}
    """)
    async with house.engine(calls_max=1) as engine, asyncio.timeout(20):
        result = await engine.run(plan, {})
    assert result.status == "succeeded"
    assert len([row for row in house.journal.rows(parent=result.run_id) if "/" not in row.stream]) == 5
