"""Servers that other people wrote: `mcp-server-time` and `mcp-server-git` from the registry, and the SDK's own over HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from orchestrator.errors import TaskError
from orchestrator.tools.mcp import McpTools
from tests.tools.conformance import ToolWorld


@pytest_asyncio.fixture
async def tools() -> AsyncIterator[McpTools]:
    made = McpTools()
    yield made
    await made.close()


async def test_the_time_servers_tools_work(real_servers: Path, world: ToolWorld, tools: McpTools) -> None:
    said = {"command": str(real_servers / "mcp-server-time"), "args": ["--local-timezone", "Europe/Rome"]}
    context = world.context(mcp={"time": said})
    found = {tool.name: tool for tool in await tools.open(context, ["time.*"])}
    assert set(found) == {"time.get_current_time", "time.convert_time"}
    arguments = {"source_timezone": "Europe/Rome", "time": "16:30", "target_timezone": "Asia/Tokyo"}
    answer = await found["time.convert_time"].call(arguments, "c1")
    answer = json.loads(answer) if isinstance(answer, str) else answer
    assert answer["target"]["timezone"] == "Asia/Tokyo"
    with pytest.raises(TaskError) as failure:
        await found["time.get_current_time"].call({"timezone": "Atlantis/Lost"}, "c2")
    assert failure.value.type == "tool"
    assert "Atlantis" in failure.value.message


async def test_the_git_servers_tools_work_on_a_repository_of_the_project(
    real_servers: Path, world: ToolWorld, tools: McpTools
) -> None:
    await asyncio.to_thread(subprocess.run, ["git", "init", "-q", str(world.project)], check=True)
    world.file("new.txt", "hello")
    said = {"command": [str(real_servers / "mcp-server-git")], "args": ["--repository", "."]}
    context = world.context(mcp={"git": said})
    found = {tool.name: tool for tool in await tools.open(context, ["git.git_status", "git.git_add"])}
    assert set(found) == {"git.git_status", "git.git_add"}
    repository = str(world.project)
    assert "new.txt" in str(await found["git.git_status"].call({"repo_path": repository}, "c1"))
    await found["git.git_add"].call({"repo_path": repository, "files": ["new.txt"]}, "c2")
    command = ["git", "-C", repository, "diff", "--cached", "--name-only"]
    assert await asyncio.to_thread(subprocess.check_output, command) == b"new.txt\n"
    with pytest.raises(TaskError):
        await found["git.git_status"].call({"repo_path": "/"}, "c3")


@pytest_asyncio.fixture
async def sdk_server() -> AsyncIterator[str]:
    """The SDK's own streamable HTTP server, with sessions and event streams, on loopback."""
    import uvicorn
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("sums")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @server.tool()
    def fail() -> str:
        """Always fails."""
        raise ValueError("on purpose")

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = uvicorn.Config(server.streamable_http_app(), log_level="error", lifespan="on")
    web = uvicorn.Server(config)
    web.install_signal_handlers = lambda: None
    serving = asyncio.create_task(web.serve(sockets=[listener]))
    while not web.started:  # noqa: ASYNC110 - uvicorn has no signal for it
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{port}/mcp"
    web.should_exit = web.force_exit = True
    with suppress(asyncio.CancelledError):
        await serving


async def test_the_sdks_http_server_is_spoken_with(sdk_server: str, world: ToolWorld, tools: McpTools) -> None:
    context = world.context(mcp={"sums": {"url": sdk_server}})
    found = {tool.name: tool for tool in await tools.open(context, ["sums.*"])}
    answers = await asyncio.gather(
        *(found["sums.add"].call({"a": number, "b": 1}, f"c{number}") for number in range(20))
    )
    assert [int(answer["result"] if isinstance(answer, dict) else answer) for answer in answers] == list(range(1, 21))
    with pytest.raises(TaskError, match="Error executing tool fail") as failure:
        await found["sums.fail"].call({}, "c")
    assert failure.value.type == "tool"
    await tools.close()
