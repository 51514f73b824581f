"""A world for each test: the real processes, the real HTTP client with loopback allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from orchestrator.host.http import HttpxHttp
from orchestrator.host.processes import ReapedProcesses
from tests.kinds.conformance import World


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    processes = ReapedProcesses(tmp_path / "state", grace=1.0)
    http = HttpxHttp(allow_private=["127.0.0.0/8"])
    yield World(root=tmp_path, processes=processes, http=http)
    await http.close()
    await processes.close()
