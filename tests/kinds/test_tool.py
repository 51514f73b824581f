"""`tool` calls one tool of the toolbox, and makes what it says the task's own."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from orchestrator.core.plan import Effect
from orchestrator.errors import TaskError
from orchestrator.kinds.tool import CALL_ID
from orchestrator.ports.chat_model import ToolSpec
from orchestrator.ports.task_kind import Asking, Parked
from orchestrator.ports.tool import ChildParked, PersonNeeded, Question, Tool
from tests.kinds.conformance import NOW, SECRET, KindConformance, World

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


class Counter:
    """A tool that gives back what it was given, or raises what it was told to."""

    effect: Effect = "idempotent"

    def __init__(self, outcome: Any = None, schema: dict[str, Any] = SCHEMA) -> None:
        self.name = "count"
        self.spec = ToolSpec(name="count", description="Counts.", parameters=schema)
        self.outcome = outcome
        self.calls: list[tuple[dict[str, Any], str]] = []

    async def call(self, arguments: dict[str, Any], call_id: str) -> Any:
        self.calls.append((arguments, call_id))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class Box:
    """A toolbox of one tool, which is kept for every attempt."""

    def __init__(self, tool: Tool) -> None:
        self.tool = tool

    async def open(self, context: Any, wanted: Any) -> list[Tool]:
        return [self.tool]

    async def close(self) -> None:
        return None


class TestTool(KindConformance):
    verb = "tool"
    fields: ClassVar[dict[str, Any]] = {"name": "files.list", "args": {"path": "."}}
    leaking_fields: ClassVar[dict[str, Any]] = {"name": "files.search", "args": {"text": SECRET}}


def attempt(world: World, tool: Counter, args: dict[str, Any], **changes: Any) -> Any:
    made = world.attempt("tool", {"name": tool.name, "args": args}, **changes)
    made.services.tools = Box(tool)
    return made


async def perform(world: World, tool: Counter, args: dict[str, Any], **changes: Any) -> Any:
    from orchestrator.kinds.tool import KIND

    return await KIND.perform(attempt(world, tool, args, **changes))


async def test_the_value_is_what_the_tool_returns(world: World) -> None:
    tool = Counter({"a": SECRET})
    done = await perform(world, tool, {"n": 1}, secrets=(SECRET,))
    assert done.value == {"a": "***"}
    assert done.meta == {"tool": "count", "effect": "idempotent"}
    assert tool.calls == [({"n": 1}, CALL_ID)]


@pytest.mark.parametrize("args", [{}, {"n": "one"}, {"n": 1, "m": 2}])
async def test_arguments_that_do_not_fit_never_reach_the_tool(world: World, args: dict[str, Any]) -> None:
    tool = Counter()
    with pytest.raises(TaskError) as error:
        await perform(world, tool, args)
    assert error.value.type == "invalid_input"
    assert tool.calls == []


async def test_schemas_beyond_our_own_words_are_checked_too(world: World) -> None:
    tool = Counter(schema={"type": "object", "properties": {"n": {"not": {"type": "integer"}}}})
    with pytest.raises(TaskError, match="do not fit"):
        await perform(world, tool, {"n": 1})
    broken = Counter(schema={"type": "object", "patternProperties": 3})
    with pytest.raises(TaskError, match="cannot be used"):
        await perform(world, broken, {"n": 1})


async def test_a_tool_that_needs_a_person_parks_the_attempt(world: World) -> None:
    question = Question(key="k", question="Which?", schema=SCHEMA, to=("ada",), expires=60.0, on_expired={"n": 0})
    outcome = await perform(world, Counter(PersonNeeded(question)), {"n": 1})
    assert outcome == Asking(
        question="Which?", schema=SCHEMA, to=["ada"], expires_at=NOW + 60, on_expired={"n": 0}, resumes="k"
    )


async def test_a_tool_whose_run_waits_parks_the_attempt(world: World) -> None:
    outcome = await perform(world, Counter(ChildParked("run c1 is waiting")), {"n": 1})
    assert outcome == Parked(reason="run c1 is waiting")


async def test_an_unknown_tool_is_the_tasks_failure(world: World) -> None:
    error = await world.fail("tool", {"name": "file.read", "args": {}})
    assert (error.type, error.help) == ("tool", "did you mean `files.read`?")
