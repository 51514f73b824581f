"""`workflow` calls a child run and makes its end the task's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from orchestrator.ports.services import ChildResult
from orchestrator.ports.task_kind import Parked, Succeeded
from tests.kinds.conformance import KindConformance, World

CALL: dict[str, Any] = {"path": "workflows/child.yaml", "inputs": {"n": 1}, "detach": False}


@dataclass
class ScriptedRuns:
    """Child runs that end as the script says; remembers how they were called."""

    result: ChildResult
    calls: list[dict[str, Any]] = field(default_factory=list)

    async def call(
        self, workflow: str, inputs: dict[str, Any], *, parent_run: str, key: str, detach: bool
    ) -> ChildResult:
        self.calls.append(
            {"workflow": workflow, "inputs": inputs, "parent_run": parent_run, "key": key, "detach": detach}
        )
        return self.result


def child(status: str, **more: Any) -> ChildResult:
    return ChildResult(**{"run_id": "c1", "status": status, "outputs": {"x": 1}, **more})


class TestWorkflow(KindConformance):
    verb = "workflow"
    fields: ClassVar[dict[str, Any]] = CALL

    @pytest.fixture(autouse=True)
    def child_succeeds(self, world: World) -> None:
        world.runs = ScriptedRuns(child("succeeded"))


@pytest.mark.parametrize("status", ["succeeded", "warned"])
async def test_the_childs_outputs_are_the_value(world: World, status: str) -> None:
    world.runs = ScriptedRuns(child(status, cost=0.5))
    done = await world.succeed("workflow", CALL)
    assert done == Succeeded(value={"x": 1}, meta={"run_id": "c1", "run_status": status}, cost=0.5)
    called = {
        "workflow": "workflows/child.yaml",
        "inputs": {"n": 1},
        "parent_run": "r1",
        "key": "r1:t:1",
        "detach": False,
    }
    assert world.runs.calls == [called]


async def test_a_detached_child_gives_its_run_id(world: World) -> None:
    world.runs = ScriptedRuns(child("running"))
    assert (await world.succeed("workflow", {**CALL, "detach": True})).value == {"run_id": "c1"}


@pytest.mark.parametrize("status", ["waiting", "paused"])
async def test_a_child_that_waits_parks_its_caller(world: World, status: str) -> None:
    world.runs = ScriptedRuns(child(status))
    outcome = await world.perform("workflow", CALL)
    assert outcome == Parked(reason=f"run c1 of workflows/child.yaml is {status}")


async def test_a_failed_child_fails_its_caller_with_the_same_cause(world: World) -> None:
    world.runs = ScriptedRuns(child("failed", error={"type": "rate_limited", "message": "`ask` failed: too many"}))
    error = await world.fail("workflow", CALL)
    assert (error.type, error.help) == ("rate_limited", "whisper-flow show c1")
    assert str(error) == "workflows/child.yaml failed: `ask` failed: too many"


@pytest.mark.parametrize("error", [None, {}, {"type": "nonsense", "message": "x"}])
async def test_a_failed_child_without_a_known_cause_counts_as_exit(world: World, error: Any) -> None:
    world.runs = ScriptedRuns(child("failed", error=error))
    assert (await world.fail("workflow", CALL)).type == "exit"


async def test_a_cancelled_child_is_a_cancelled_task(world: World) -> None:
    world.runs = ScriptedRuns(child("cancelled"))
    assert (await world.fail("workflow", CALL)).type == "cancelled"
