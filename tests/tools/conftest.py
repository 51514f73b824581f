"""A project of its own for each test, with the real processes and HTTP client below."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from orchestrator.host.http import HttpxHttp
from orchestrator.host.processes import ReapedProcesses
from tests.tools.conformance import ToolWorld


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[ToolWorld]:
    project = tmp_path / "project"
    project.mkdir()
    processes = ReapedProcesses(tmp_path / "reaper", grace=1.0)
    http = HttpxHttp(allow_private=["127.0.0.0/8"])
    yield ToolWorld(project=project, processes=processes, http=http)
    await http.close()
    await processes.close()
