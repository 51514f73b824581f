"""A set of processes for each test, and an outside witness for what is still alive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from orchestrator.host.processes import ReapedProcesses
from tests.host.witness import Witness


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest_asyncio.fixture
async def processes(tmp_path: Path) -> AsyncIterator[ReapedProcesses]:
    all_of_them = ReapedProcesses(tmp_path / "state", grace=1.0)
    yield all_of_them
    await all_of_them.close()
