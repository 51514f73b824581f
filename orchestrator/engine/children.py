"""Child runs for `workflow:` tasks: a child's id comes from its caller's key, so a resumed caller finds it again."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrator.core.plan import Plan
from orchestrator.engine import inspect
from orchestrator.engine.actor import ABANDONED
from orchestrator.engine.fold import fold, pinned_plan
from orchestrator.engine.views import RunResult
from orchestrator.errors import ErrorType, JournalError, TaskError, WhisperFlowError
from orchestrator.ports.services import ChildResult, WorkflowFace

if TYPE_CHECKING:
    from orchestrator.engine.engine import Engine
    from orchestrator.engine.handle import RunHandle

JSON = Any


class ChildRuns:
    """Implements ports.services.Runs over an engine.

    `plan_of` finds, by the caller's id, the plan that holds the workflows it may call: by default the one pinned with its run.
    """

    def __init__(self, engine: Engine, plan_of: Callable[[str], Plan] | None = None) -> None:
        self._engine = engine
        self._plan_of = plan_of or (lambda run_id: pinned_plan(engine.journal, run_id))

    async def call(
        self, workflow: str, inputs: dict[str, JSON], *, parent_run: str, key: str, detach: bool
    ) -> ChildResult:
        """Start the child, or find it again; wait for its end unless `detach`. Cancelling the call cancels the child.

        Raises TaskError (`invalid_input`, `auth`) if it cannot start.
        """
        run_id = hashlib.sha256(key.encode()).hexdigest()[:12]
        journal = self._engine.journal
        row = journal.row(run_id)
        if row is not None and row.ended_at is not None:
            return _result(inspect.run_result(fold(journal, run_id), journal))
        try:
            handle = await self._driven(run_id, workflow, inputs, parent_run, key, known=row is not None)
            if detach:
                return ChildResult(run_id=run_id, status="running", outputs={"run_id": run_id})
            return _result(await handle.wait())
        except asyncio.CancelledError as cut:
            self._let_go(run_id, parent_run, abandoned=ABANDONED in cut.args)
            raise

    def face(self, workflow: str, *, parent_run: str) -> WorkflowFace:
        """As the caller's pinned plan has it. Raises TaskError `tool`."""
        plan = self._plan_of(parent_run).children.get(workflow)
        if plan is None:
            raise TaskError("tool", f"the running plan does not hold the workflow {workflow!r}")
        return WorkflowFace(name=plan.name, description=plan.description, inputs=plan.inputs, required=plan.required)

    async def _driven(
        self, run_id: str, workflow: str, inputs: dict[str, JSON], parent_run: str, key: str, *, known: bool
    ) -> RunHandle:
        try:
            if known:
                return await self._engine.resume(run_id)
            return await self._engine.start(
                self._plan_of(parent_run).children[workflow],
                inputs,
                run_id=run_id,
                trigger={"kind": "workflow", "of": parent_run, "task": key.partition(":")[2].partition("\n")[0]},
                parent=parent_run,
            )
        except JournalError:
            raise
        except WhisperFlowError as error:
            word: ErrorType = "auth" if error.exit_code == 4 else "invalid_input"
            raise TaskError(word, f"{workflow} could not start: {error.message}", help=error.help) from error

    def _let_go(self, run_id: str, parent_run: str, *, abandoned: bool) -> None:
        """The call was cut off. By a stop or because its driver failed, the child stays
        resumable as its caller is; cancelled for good, it goes with its caller."""
        child, parent = self._engine.driving(run_id), self._engine.driving(parent_run)
        if child is None or self._engine.closing:
            return
        if abandoned or (parent is not None and parent.state.stop_until is not None):
            child.stop(grace=0.0, by=parent_run)
        else:
            child.cancel(by=parent_run, reason="its caller was cancelled")


def _result(result: RunResult) -> ChildResult:
    return ChildResult(
        run_id=result.run_id,
        status=result.status,
        outputs=result.outputs,
        error=result.failure,
        cost=result.cost,
    )
