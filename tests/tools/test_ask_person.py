"""`ask_person` and workflows as tools: what waits, waits; what was answered goes on."""

from __future__ import annotations

import pytest

from orchestrator.ports.services import ChildResult, WorkflowFace
from orchestrator.ports.tool import ChildParked, PersonNeeded
from tests.tools.conformance import ToolWorld

CHILD = "workflows/child.yaml"


async def test_a_question_is_put_once_and_its_answer_returned(world: ToolWorld) -> None:
    with pytest.raises(PersonNeeded) as asked:
        await world.call("ask_person", {"question": "Which?", "choices": ["this", "that", "this"]}, "c1")
    question = asked.value.question
    assert question.question == "Which?"
    assert question.schema["properties"]["answer"]["enum"] == ["this", "that"]
    answers = {question.key: {"answer": "that"}}
    given = {"question": "Which?", "choices": ["this", "that"]}
    assert await world.call("ask_person", given, "c1", answers=answers) == "that"


async def test_two_questions_do_not_share_an_answer(world: ToolWorld) -> None:
    keys = set()
    for call_id, key in (("c1", "r1:t"), ("c2", "r1:t"), ("c1", "r1:t\nsub")):
        with pytest.raises(PersonNeeded) as asked:
            await world.call("ask_person", {"question": "Which?"}, call_id, key=key)
        keys.add(asked.value.question.key)
    assert len(keys) == 3


@pytest.fixture
def child(world: ToolWorld) -> None:
    world.runs.faces[CHILD] = WorkflowFace(
        name="child", description="Counts.", inputs={"n": {"type": "integer"}, "m": {"default": 2}}, required=("n",)
    )


@pytest.mark.usefixtures("child")
async def test_a_child_run_is_named_by_the_call(world: ToolWorld) -> None:
    assert await world.call(CHILD, {"n": 1}, "call-1") == {"x": 1}
    assert world.runs.calls == [{"workflow": CHILD, "inputs": {"n": 1}, "parent_run": "r1", "key": "r1:t\ncall-1"}]


@pytest.mark.usefixtures("child")
async def test_what_a_child_cost_is_told_to_whoever_called_it(world: ToolWorld) -> None:
    costs: list[float] = []
    world.runs.result = ChildResult(run_id="c9", status="succeeded", outputs=None, cost=0.25)
    await world.call(CHILD, {"n": 1}, costs=costs)
    assert costs == [0.25]


@pytest.mark.usefixtures("child")
@pytest.mark.parametrize("status", ["waiting", "paused", "running"])
async def test_a_child_that_has_not_ended_parks_its_caller(world: ToolWorld, status: str) -> None:
    world.runs.result = ChildResult(run_id="c9", status=status, outputs=None)
    with pytest.raises(ChildParked, match=f"run c9 of {CHILD} is {status}"):
        await world.call(CHILD, {"n": 1})


@pytest.mark.usefixtures("child")
@pytest.mark.parametrize("status", ["failed", "cancelled"])
async def test_a_child_that_failed_is_told_with_its_cause(world: ToolWorld, status: str) -> None:
    world.runs.result = ChildResult(run_id="c9", status=status, outputs=None, error={"message": "no luck"})
    error = await world.fail(CHILD, {"n": 1})
    assert error.message == f"{CHILD} (run c9) {status}: no luck"
    assert error.help == "whisper-flow show c9"


async def test_a_workflow_that_the_plan_does_not_hold_cannot_be_called(world: ToolWorld) -> None:
    assert "does not hold" in (await world.fail("workflows/other.yaml", {})).message
