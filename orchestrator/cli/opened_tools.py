"""Opens an agent's tools outside any run, to look at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.cli.tool_pins import LOOK, mcp_context
from orchestrator.errors import TaskError
from orchestrator.ports.services import AgentCall, ChildResult, WorkflowFace
from orchestrator.ports.tool import Tool

if TYPE_CHECKING:
    from orchestrator import ExecutionEngine
    from orchestrator.core.plan import Plan
    from orchestrator.spec.load import Workflow

JSON = Any


class PlannedRuns:
    """Implements ports.Runs for looking: what a plan's workflows say of themselves; none can be called."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def face(self, workflow: str, *, parent_run: str) -> WorkflowFace:
        child = self._plan.children.get(workflow)
        if child is None:
            raise TaskError("tool", f"there is no workflow {workflow!r} in the plan")
        return WorkflowFace(
            name=child.name, description=child.description, inputs=child.inputs, required=child.required
        )

    async def call(
        self, workflow: str, inputs: dict[str, JSON], *, parent_run: str, key: str, detach: bool
    ) -> ChildResult:
        raise TaskError("denied", "nothing is called here")


async def open_tools(
    engine: ExecutionEngine, workflow: Workflow, name: str, agent: Mapping[str, JSON], settings: Mapping[str, JSON]
) -> list[Tool]:
    """Raises TaskError where one of them cannot be had."""
    from orchestrator import compile_plan

    plan = compile_plan(workflow)
    known = plan.agents.get(name, dict(agent))
    context = mcp_context(engine, plan)
    context.services, context.settings = replace(engine.services, runs=PlannedRuns(plan)), settings
    context.call = AgentCall(
        run_id=LOOK,
        task=LOOK,
        key=LOOK,
        agent_id=name,
        agent=known,
        prompt="",
        files=[],
        publish=context.publish,
        control=context.control,
        project=workflow.project,
        context=context,
    )
    wanted = [*(known.get("tools") or ()), *(["memory.*"] if known.get("memory") else [])]
    return await engine.services.tools.open(context, wanted) if wanted else []
