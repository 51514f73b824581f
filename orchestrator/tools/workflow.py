"""Workflows as tools: an agent's `tools:` names a file, its inputs are the tool's arguments, its outputs the result.

The called workflow's plan is pinned with the caller's. The child run's id comes from the task's key and the call's id, so a
call that is made again after a crash finds its child; a child that waits for a person parks the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.ports.chat_model import ToolSpec
from orchestrator.ports.services import ChildResult, WorkflowFace
from orchestrator.ports.tool import ChildParked, Tool, ToolContext
from orchestrator.tools._declared import BuiltTool
from orchestrator.tools._names import wire_name

JSON = Any

SUFFIXES: Final = (".yaml", ".yml")
GOES_ON: Final = ("waiting", "paused", "running")


class WorkflowTools:
    """Found by the form of the name: a path that ends like a workflow file."""

    prefix = ""

    def known(self, server: str | None = None) -> tuple[str, ...]:
        return ()

    async def open(self, context: ToolContext, wanted: Sequence[str]) -> list[Tool]:
        """Raises TaskError `tool` for a file that was not compiled with the run's plan."""
        return [_tool(context, name) for name in wanted if name.endswith(SUFFIXES)]

    async def close(self) -> None:
        return None


def _tool(context: ToolContext, path: str) -> Tool:
    face = context.services.runs.face(path, parent_run=context.run_id)

    async def run(given: dict[str, JSON], call_id: str) -> JSON:
        child = await context.services.runs.call(
            path, given, parent_run=context.run_id, key=f"{context.key}\n{call_id}", detach=False
        )
        if child.cost is not None and child.status not in GOES_ON:
            context.costs.append(child.cost)
        return _outcome(path, child)

    spec = ToolSpec(name=wire_name(PurePosixPath(path).stem), description=_description(face), parameters=schema(face))
    return BuiltTool(name=path, spec=spec, effect="at_least_once", run=run, secrets=context.secrets)


def _description(face: WorkflowFace) -> str:
    return " ".join(part for part in (f"Run the workflow “{face.name}”.", face.description) if part)


def schema(face: WorkflowFace) -> dict[str, JSON]:
    """The workflow's inputs as the JSON Schema of an object."""
    made: dict[str, JSON] = {"type": "object", "properties": dict(face.inputs), "additionalProperties": False}
    return {**made, "required": list(face.required)} if face.required else made


def _outcome(path: str, child: ChildResult) -> JSON:
    if child.status in ("succeeded", "warned"):
        return child.outputs
    if child.status in GOES_ON:
        raise ChildParked(f"run {child.run_id} of {path} is {child.status}")
    cause = (child.error or {}).get("message") or child.status
    help = f"whisper-flow show {child.run_id}"
    raise TaskError("tool", f"{path} (run {child.run_id}) {child.status}: {cause}", help=help)


TOOLS = WorkflowTools()
