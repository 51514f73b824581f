"""Tool servers to test against: a scripted one over both transports, and real ones of other people from the registry."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from orchestrator.errors import TaskError
from orchestrator.ports.tool import Tool, ToolContext
from orchestrator.tools.mcp import McpTools
from tests.conftest import missing
from tests.tools.conformance import ToolWorld
from tests.tools.mcp.scripted_server import Play, http_server

SCRIPT = Path(__file__).with_name("scripted_server.py")


def tool(name: str, description: str = "Says what it does.", **more: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    return {"name": name, "description": description, "inputSchema": schema, **more}


@dataclass
class Scripted:
    """A scripted server and the source that talks with it."""

    world: ToolWorld
    file: Path
    tools: McpTools
    said: dict[str, Any]
    """As `mcp:` would declare it."""
    play: Play | None = None
    """Over HTTP, the server itself."""

    def script(self, **changes: Any) -> None:
        before = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.file.write_text(json.dumps(before | changes))

    @property
    def seen(self) -> list[str]:
        path = self.file.with_suffix(".seen")
        return path.read_text().splitlines() if path.exists() else []

    @property
    def starts(self) -> list[int]:
        """The process ids it had, one for each start."""
        return [int(line.split()[1]) for line in self.seen if line.startswith("started")]

    def context(self, **changes: Any) -> ToolContext:
        return self.world.context(**({"mcp": {"play": self.said}} | changes))

    async def open(self, *wanted: str, **changes: Any) -> dict[str, Tool]:
        found = await self.tools.open(self.context(**changes), wanted or ("play.*",))
        return {one.name: one for one in found}

    async def call(self, name: str, /, **arguments: Any) -> Any:
        return await (await self.open())[f"play.{name}"].call(arguments, "c1")

    async def fail(self, name: str, /, **arguments: Any) -> TaskError:
        with pytest.raises(TaskError) as failure:
            await self.call(name, **arguments)
        return failure.value

    def pin_again(self) -> None:
        (self.world.project / "config" / "mcp.lock.json").unlink(missing_ok=True)


@pytest_asyncio.fixture
async def scripted(world: ToolWorld, tmp_path: Path) -> AsyncIterator[Scripted]:
    """Over standard input and output."""
    file = tmp_path / "script.json"
    said = {"command": sys.executable, "args": [str(SCRIPT), str(file)]}
    made = Scripted(world, file, McpTools(), said)
    made.script(tools=[tool("echo"), tool("where")])
    yield made
    await made.tools.close()


@pytest_asyncio.fixture
async def over_http(world: ToolWorld, tmp_path: Path) -> AsyncIterator[Scripted]:
    """The same over HTTP on loopback."""
    file = tmp_path / "script.json"
    file.write_text(json.dumps({"tools": [tool("echo")]}))
    play = Play(file)
    server = http_server(play)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    made = Scripted(world, file, McpTools(), {"url": f"http://127.0.0.1:{server.server_address[1]}/mcp"})
    made.play = play
    yield made
    play.go_on.set()
    await made.tools.close()
    server.shutdown()
    server.server_close()
    thread.join()


REAL_SERVERS = ("mcp-server-time", "mcp-server-git")


@pytest.fixture(scope="session")
def real_servers(session_tool_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of their programs: of those on PATH, else of an environment of their own, made once for all workers."""
    if all(shutil.which(name) for name in REAL_SERVERS):
        yield Path(str(shutil.which(REAL_SERVERS[0]))).parent
        return
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "mcp-servers"
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "done").exists() and not _install(home / "venv", session_tool_env):
            missing("mcp-server-time and mcp-server-git cannot be installed: the registry does not answer")
        (home / "done").touch()
    yield home / "venv" / "bin"


def _install(venv: Path, env: dict[str, str]) -> bool:
    for command in (
        [sys.executable, "-m", "venv", str(venv)],
        [str(venv / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *REAL_SERVERS],
    ):
        if subprocess.run(command, env=env, capture_output=True, timeout=240).returncode != 0:
            return False
    return True
