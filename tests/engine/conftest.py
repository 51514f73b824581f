"""A small project and an engine over memory, for tests that run workflows written in YAML."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.bootstrap import ExecutionEngine
from orchestrator.core.plan import Plan
from orchestrator.spec.compile import compile_plan
from orchestrator.spec.load import load_workflow
from orchestrator.stores.memory import MemoryJournal


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "workflows").mkdir()
    return tmp_path


@pytest.fixture
def plan(project: Path) -> Callable[..., Plan]:
    """plan(yaml, name="flow"): writes the file and compiles it."""

    def compiled(text: str, name: str = "flow") -> Plan:
        path = project / "workflows" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return compile_plan(load_workflow(path))

    return compiled


@pytest.fixture
async def engine(project: Path) -> AsyncIterator[ExecutionEngine]:
    async with ExecutionEngine(project, journal=MemoryJournal()) as opened:
        yield opened


@pytest.fixture
def run(engine: ExecutionEngine, plan: Callable[..., Plan]) -> Callable[..., Any]:
    """await run(yaml, **inputs): compiles, runs to the end, gives the RunResult."""

    async def go(text: str, **inputs: Any) -> Any:
        return await engine.run(plan(text), inputs)

    return go
