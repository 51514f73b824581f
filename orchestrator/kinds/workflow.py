"""`workflow:` runs another workflow as a child run and takes its outputs as the value.

Fields: `{path, inputs, detach}`. The child's id follows from the attempt's key: a caller that was interrupted finds it again.
"""

from __future__ import annotations

from typing import cast

from orchestrator.errors import ERROR_TYPES, ErrorType, TaskError
from orchestrator.kinds._kind import WaitingKind
from orchestrator.ports.services import ChildResult
from orchestrator.ports.task_kind import Attempt, Parked, Succeeded


class WorkflowKind(WaitingKind):
    verb = "workflow"

    async def perform(self, attempt: Attempt) -> Succeeded | Parked:
        fields = attempt.fields
        detach = bool(fields.get("detach"))
        child = await attempt.services.runs.call(
            fields["path"], fields.get("inputs") or {}, parent_run=attempt.run_id, key=attempt.key, detach=detach
        )
        if detach:
            return Succeeded(value={"run_id": child.run_id}, meta={"run_id": child.run_id})
        if child.status in ("succeeded", "warned"):
            meta = {"run_id": child.run_id, "run_status": child.status}
            return Succeeded(value=child.outputs, meta=meta, cost=child.cost)
        if child.status in ("waiting", "paused", "running"):
            return Parked(reason=f"run {child.run_id} of {fields['path']} is {child.status}")
        raise _failure(fields["path"], child)


def _failure(path: str, child: ChildResult) -> TaskError:
    """The child's own error keeps its type, so that `retry.on` reads the same on both sides of the call."""
    error = child.error or {}
    cause = error.get("message")
    message = f"{path} (run {child.run_id}) was cancelled" if child.status == "cancelled" else f"{path} failed"
    said = "cancelled" if child.status == "cancelled" else error.get("type")
    type: ErrorType = cast("ErrorType", said) if said in ERROR_TYPES else "exit"
    return TaskError(
        type,
        f"{message}: {cause}" if cause else message,
        help=f"whisper-flow show {child.run_id}",
        meta={"run_id": child.run_id, "run_status": child.status},
    )


KIND = WorkflowKind()
