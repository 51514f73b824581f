"""`SERVER.tool`: the tools of the declared MCP servers, over a process or over HTTP (extra `mcp`).

What a server says about its tools is pinned (`_mcp_pins.py`). Its hints about their effects count once the list was on file
before this engine met it: a list that nobody can have looked at yet is not trusted with anything.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from orchestrator.core.plan import Effect
from orchestrator.errors import TaskError
from orchestrator.host.json_schema import without_patterns
from orchestrator.ports.chat_model import ToolSpec
from orchestrator.ports.tool import Tool, ToolContext
from orchestrator.tools._mcp_connection import Connection
from orchestrator.tools._mcp_pins import LOCK_FILE, ListedTool, Pins, list_digest
from orchestrator.tools._mcp_results import result_value, shortened
from orchestrator.tools._mcp_server import Server, declared_server
from orchestrator.tools._names import wants, wire_name

JSON = Any
CALL_S: Final = 300.0
"""One call, unless the attempt has less time left."""
PINNED_ONLY: Final = "required"
"""`tools: {mcp: {pin: required}}`: a server that is not pinned is refused, not pinned at first use."""

_log = logging.getLogger("orchestrator.tools.mcp")


class McpTool:
    """Implements ports.Tool over one tool of a server."""

    def __init__(
        self, connection: Connection, listed: ListedTool, digest: str, effect: Effect, context: ToolContext
    ) -> None:
        self.name = f"{connection.server.id}.{listed.name}"
        self.effect: Effect = effect
        self.spec = ToolSpec(
            name=wire_name(self.name), description=listed.description, parameters=without_patterns(listed.parameters)
        )
        self._connection = connection
        self._remote = listed.name
        self._digest = digest
        self._context = context

    async def call(self, arguments: dict[str, JSON], call_id: str) -> JSON:
        """As the port says; an error that the tool itself reports is a TaskError `tool` with its words."""
        answer = await self._connection.call(
            self._remote, arguments, digest=self._digest, timeout=_time_left(self._context)
        )
        said = answer.model_dump(mode="json", by_alias=True)
        value = result_value(said["content"], said.get("structuredContent"), self._context.run_dir)
        if answer.is_error:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            raise TaskError("tool", shortened(text) or f"{self.name} failed without a word")
        return value


class McpTools:
    """Implements ports.ToolSource; one of them per engine."""

    prefix = ""

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}
        self._just_pinned: set[tuple[Path, str]] = set()
        self._pinning = asyncio.Lock()

    def known(self, server: str | None = None) -> tuple[str, ...]:
        return ()

    async def open(self, context: ToolContext, wanted: Sequence[str]) -> list[Tool]:
        """Raises TaskError: `denied` for a list that is not the pinned one, `outage` for a server that cannot be reached."""
        concerned = [id for id in context.mcp if any(_may_mean(word, id) for word in wanted)]
        found = await asyncio.gather(*(self._tools_of(id, context) for id in concerned))
        return [tool for tools in found for tool in tools if wants(wanted, tool.name)]

    async def listed(self, id: str, context: ToolContext) -> tuple[ListedTool, ...]:
        """What a server offers now, pinned or not."""
        return await self._connection(declared_server(id, context.mcp[id], context), context).tools()

    async def close(self) -> None:
        connections, self._connections = list(self._connections.values()), {}
        await asyncio.gather(*(connection.close() for connection in connections))

    def _connection(self, server: Server, context: ToolContext) -> Connection:
        identity = server.identity
        if identity not in self._connections:
            self._connections[identity] = Connection(server, context.services.processes, context.secrets)
        return self._connections[identity]

    async def _tools_of(self, id: str, context: ToolContext) -> list[Tool]:
        connection = self._connection(declared_server(id, context.mcp[id], context), context)
        tools = await connection.tools()
        await self._hold_against_pin(id, tools, context)
        digest, trusted = list_digest(tools), (context.project, id) not in self._just_pinned
        return [McpTool(connection, tool, digest, effect_of(tool.hints if trusted else {}), context) for tool in tools]

    async def _hold_against_pin(self, id: str, tools: tuple[ListedTool, ...], context: ToolContext) -> None:
        pins = Pins(context.project)
        async with self._pinning:
            difference = pins.difference(id, tools)
            if difference is None:
                self._pin_first(id, tools, pins, context)
            elif difference:
                raise TaskError(
                    "denied",
                    f"the tools of MCP server `{id}` are not those that were accepted:\n{difference}",
                    help=f"if this is what you want: `whisper-flow tools pin {id}`, then commit {LOCK_FILE}",
                )

    def _pin_first(self, id: str, tools: tuple[ListedTool, ...], pins: Pins, context: ToolContext) -> None:
        remedy = f"`whisper-flow tools pin {id}`, then commit {LOCK_FILE}"
        settings = context.settings.get("mcp")
        if isinstance(settings, Mapping) and settings.get("pin") == PINNED_ONLY:
            raise TaskError("denied", f"the tools of MCP server `{id}` were never accepted", help=remedy)
        try:
            pins.pin(id, tools)
        except OSError as error:
            message = f"the tools of MCP server `{id}` cannot be pinned: {LOCK_FILE}: {error.strerror}"
            raise TaskError("denied", message, help=remedy) from error
        self._just_pinned.add((context.project, id))
        count = f"{len(tools)} tool{'s' if len(tools) != 1 else ''}"
        _log.warning("%s of MCP server `%s` pinned at first use: look at %s and commit it", count, id, LOCK_FILE)


def effect_of(hints: Mapping[str, bool]) -> Effect:
    """What a repeated call may do, from the server's hints. Without any, the worst: it is not repeated unasked."""
    if hints.get("readOnlyHint"):
        return "pure"
    return "idempotent" if hints.get("idempotentHint") else "at_most_once"


def _may_mean(word: str, id: str) -> bool:
    """Whether a name or glob may mean a tool of that server."""
    server, dot, _ = word.partition(".")
    return fnmatchcase(id, server) if dot else fnmatchcase(f"{id}.", word)


def _time_left(context: ToolContext) -> float:
    if context.deadline is None:
        return CALL_S
    return max(0.1, min(CALL_S, context.deadline - time.time()))


TOOLS = McpTools
