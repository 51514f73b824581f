"""Child runs for `workflow:` tasks: a child's id comes from its caller's key, so a resumed caller finds it again."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

from orchestrator.engine import inspect
from orchestrator.engine.fold import fold, pinned_plan
from orchestrator.engine.views import RunResult
from orchestrator.errors import ErrorType, JournalError, TaskError, WhisperFlowError
from orchestrator.ports.services import ChildResult

if TYPE_CHECKING:
    from orchestrator.engine.engine import Engine

JSON = Any


class ChildRuns:
    """Implements ports.services.Runs over an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

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
            if row is None:
                parent = pinned_plan(journal, parent_run)
                task = key.partition(":")[2]
                handle = await self._engine.start(
                    parent.children[workflow],
                    inputs,
                    run_id=run_id,
                    trigger={"kind": "workflow", "of": parent_run, "task": task},
                    parent=parent_run,
                )
            else:
                handle = await self._engine.resume(run_id)
        except JournalError:
            raise
        except WhisperFlowError as error:
            word: ErrorType = "auth" if error.exit_code == 4 else "invalid_input"
            raise TaskError(word, f"{workflow} could not start: {error.message}", help=error.help) from error
        if detach:
            return ChildResult(run_id=run_id, status="running", outputs={"run_id": run_id})
        try:
            return _result(await handle.wait())
        except asyncio.CancelledError:
            # Cut off by a stop, the child stays resumable as its caller is; cancelled for good, it goes with its caller.
            parent_handle = self._engine.driving(parent_run)
            if parent_handle is not None and not self._engine.closing:
                if parent_handle.state.stop_until is not None:
                    handle.stop(grace=0.0, by=parent_run)
                else:
                    handle.cancel(by=parent_run, reason="its caller was cancelled")
            raise


def _result(result: RunResult) -> ChildResult:
    return ChildResult(
        run_id=result.run_id,
        status=result.status,
        outputs=result.outputs,
        error=result.failure,
        cost=result.cost,
    )
