"""What the engine says to a program that uses it wrongly: an error of ours, at once, with a remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.bootstrap import ExecutionEngine
from orchestrator.core.plan import Plan
from orchestrator.errors import UsageError
from orchestrator.spec.load import load_workflow
from orchestrator.stores.memory import MemoryJournal

SMALL = "name: small\ntasks: {a: {set: 1}}\n"


async def test_a_path_or_a_workflow_is_no_plan(
    engine: ExecutionEngine, plan: Callable[..., Plan], project: Path
) -> None:
    plan(SMALL)
    path: Any = project / "workflows" / "flow.yaml"
    wrong: Any
    for wrong in (str(path), load_workflow(path)):
        with pytest.raises(UsageError, match=r"a run needs a plan, not (str|Workflow)") as refused:
            await engine.run(wrong)
        assert refused.value.help == "make one: `compile_plan(load_workflow(path))`"


async def test_a_closed_engine_starts_and_resumes_nothing(project: Path, plan: Callable[..., Plan]) -> None:
    journal = MemoryJournal()
    async with ExecutionEngine(project, journal=journal) as engine:
        done = await engine.run(plan(SMALL))
    with pytest.raises(UsageError, match="the engine is closed"):
        await engine.start(plan(SMALL))
    with pytest.raises(UsageError, match="the engine is closed"):
        await engine.resume(done.run_id)
    assert [row.stream for row in journal.rows()] == [done.run_id]
