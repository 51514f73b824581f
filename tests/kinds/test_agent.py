"""`agent` turns a task into one call of a session and its answer into the value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from orchestrator.ports.services import AgentAnswer, AgentCall
from tests.kinds.conformance import KindConformance, World

WRITER = {"model": "embedded/writer", "instructions": "Write."}
FIELDS: dict[str, Any] = {"agent": "writer", "prompt": "Hello", "agents": {"writer": WRITER}}


@dataclass
class ScriptedSessions:
    """Sessions that answer as the script says; remembers what was asked."""

    answer: AgentAnswer
    calls: list[AgentCall] = field(default_factory=list)

    async def run_turns(self, call: AgentCall) -> AgentAnswer:
        self.calls.append(call)
        return self.answer

    async def close(self) -> None:
        return None


@pytest.fixture(autouse=True)
def sessions(world: World) -> ScriptedSessions:
    usage = {"input_tokens": 3, "output_tokens": 2, "requests": 1}
    answer = AgentAnswer(
        value="Hi", text="Hi", model="embedded/writer", usage=usage, cost=0.25, synthetic=True, turns=2
    )
    world.sessions = ScriptedSessions(answer)
    return world.sessions  # type: ignore[no-any-return]


class TestAgent(KindConformance):
    verb = "agent"
    fields: ClassVar[dict[str, Any]] = FIELDS


async def test_the_answer_is_the_value_and_what_it_took_is_known(world: World) -> None:
    done = await world.succeed("agent", FIELDS)
    assert (done.value, done.cost, done.usage["requests"]) == ("Hi", 0.25, 1)
    assert done.meta == {"text": "Hi", "model": "embedded/writer", "synthetic": True, "turns": 2, "finish": "stop"}


async def test_the_session_is_asked_with_all_the_task_says(world: World, sessions: ScriptedSessions) -> None:
    more = {"instructions": "Be brief.", "model": "embedded/other", "files": ["a.txt"], "session": "s", "repair": 0}
    schema = {"type": "object"}
    await world.succeed("agent", {**FIELDS, **more}, output_schema=schema, deadline=5.0)
    call = sessions.calls[0]
    assert (call.agent_id, call.agent, call.prompt) == ("writer", WRITER, "Hello")
    assert (call.instructions, call.model, call.files, call.session) == ("Be brief.", "embedded/other", ["a.txt"], "s")
    assert (call.repair, call.output_schema, call.deadline, call.key) == (0, schema, 5.0, "r1:t:1")
    assert (call.project, call.worker, call.budgets) == (world.root, None, ())


async def test_a_prompt_that_is_no_text_is_given_as_json(world: World, sessions: ScriptedSessions) -> None:
    await world.succeed("agent", {**FIELDS, "prompt": {"a": [1]}})
    assert sessions.calls[0].prompt == '{"a":[1]}'


async def test_the_agents_worker_comes_with_the_call(world: World, sessions: ScriptedSessions) -> None:
    agents, workers = {"a": {"worker": "fast"}}, {"fast": {"provider": "openai"}}
    await world.succeed("agent", {"agent": "a", "prompt": "x", "agents": agents, "workers": workers})
    assert sessions.calls[0].worker == {"definition_id": "fast", "provider": "openai"}
    error = await world.fail("agent", {"agent": "a", "prompt": "x", "agents": agents})
    assert "worker 'fast'" in str(error)


@pytest.mark.parametrize("status", ["disabled", "archived"])
async def test_a_worker_that_is_not_active_is_never_asked(
    world: World, sessions: ScriptedSessions, status: str
) -> None:
    agents, workers = {"a": {"worker": "fast"}}, {"fast": {"provider": "openai", "status": status}}
    error = await world.fail("agent", {"agent": "a", "prompt": "x", "agents": agents, "workers": workers})
    assert error.type == "invalid_input"
    assert status in str(error)
    assert sessions.calls == []


async def test_the_budgets_around_the_task_and_its_calendar_are_passed_on(
    world: World, sessions: ScriptedSessions
) -> None:
    budgets = ({"name": "run", "cost": 5.0}, {"name": "task t of run r1", "cost": 1.0})
    plan = {"workflow": "workflows/x.yaml", "timezone": "Europe/Rome"}
    await world.succeed("agent", {**FIELDS, "budgets": budgets, "plan": plan})
    (call,) = sessions.calls
    assert (call.budgets, call.workflow, call.timezone) == (budgets, "workflows/x.yaml", "Europe/Rome")


async def test_an_agent_that_is_not_declared_is_invalid_input(world: World) -> None:
    error = await world.fail("agent", {**FIELDS, "agent": "wirter"})
    assert (error.type, error.help) == ("invalid_input", "declared are: writer")
