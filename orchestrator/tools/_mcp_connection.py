"""One connection to one tool server, shared by all who declare the same server: opened when it is first needed, closed when
nobody needed it for a while, opened again for the next call after the server died.

    idle ──somebody calls──▶ open ──server ends, error of the line──▶ idle
                              └──nobody calls for IDLE_S──▶ idle

The SDK's scopes must be left by the task that entered them, so each open line lives in a task of its own.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from orchestrator.errors import TaskError
from orchestrator.host.redact import Redactor
from orchestrator.host.terminal_text import clean_terminal
from orchestrator.ports.services import OpenProcess, Processes
from orchestrator.tools._mcp_pins import ListedTool, list_digest
from orchestrator.tools._mcp_server import MISSING_EXTRA, Server

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import CallToolResult

START_S: Final = 60.0
"""From the start of a server's process until it has answered; the first start of `npx` or `uvx` fetches packages."""
LIST_S: Final = 30.0
IDLE_S: Final = 300.0
CLOSE_S: Final = 10.0
TOOLS_MAX: Final = 1_000
PAGES_MAX: Final = 100

T = TypeVar("T")


class Connection:
    """`started` counts how often the server was started; `idle_s` is for tests."""

    def __init__(
        self, server: Server, processes: Processes, secrets: Sequence[str] = (), *, idle_s: float = IDLE_S
    ) -> None:
        self.server = server
        self.started = 0
        self._processes = processes
        self._redactor = Redactor(secrets)
        self._secrets = tuple(secrets)
        self._idle_s = idle_s
        self._line: _Line | None = None
        self._opening = asyncio.Lock()
        self._users = 0
        self._idle: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def tools(self) -> tuple[ListedTool, ...]:
        """What the server offers now. Raises TaskError."""
        return (await self._use(lambda line: self._listed(line)))[1]

    async def call(self, name: str, arguments: dict[str, Any], *, digest: str, timeout: float) -> CallToolResult:
        """Call a tool of a list that was accepted as `digest`. Raises TaskError: `denied` if the server has changed it since."""

        async def ask(line: _Line) -> CallToolResult:
            found, _ = await self._listed(line)
            if found != digest:
                raise TaskError("denied", f"MCP server `{self.server.id}` changed its tools while they were in use")
            return await self._within(timeout, line, line.client.call_tool(name, arguments, timeout))

        return await self._use(ask)

    async def close(self) -> None:
        """Hang up; the server's process is gone when this returns. Idempotent."""
        if self._idle is not None:
            self._idle.cancel()
        line, self._line = self._line, None
        if line is not None:
            await line.hang_up()
        if self._leaving:
            await asyncio.wait(self._leaving)

    # --- using the line

    async def _use(self, ask: Callable[[_Line], Awaitable[T]]) -> T:
        self._users += 1
        if self._idle is not None:
            self._idle.cancel()
        try:
            return await self._ask(await self._open(), ask)
        finally:
            self._users -= 1
            if not self._users:
                loop = asyncio.get_running_loop()
                self._idle = loop.call_later(self._idle_s, self._hang_up_idle)

    async def _ask(self, line: _Line, ask: Callable[[_Line], Awaitable[T]]) -> T:
        line.users += 1
        try:
            return await ask(line)
        finally:
            line.users -= 1
            if line.retired and not line.users:
                self._leave(line)

    def _hang_up_idle(self) -> None:
        if self._users or self._line is None:
            return
        line, self._line = self._line, None
        self._leave(line)

    def _leave(self, line: _Line) -> None:
        leaving = asyncio.create_task(line.hang_up(), name=f"leave {self.server.id}")
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _open(self) -> _Line:
        async with self._opening:
            if self._line is not None and self._line.retired:
                self._line = None  # its last user hangs up
            if self._line is not None and not self._line.over.is_set():
                return self._line
            if self._line is not None:
                await self._line.hang_up()
                self._line = None
            self.started += 1
            line = _Line(self.server, self._processes, self._secrets)
            try:
                async with asyncio.timeout(START_S):
                    await line.open()
            except BaseException as error:
                await line.hang_up()
                if isinstance(error, TimeoutError):
                    raise self._error(line, "timeout", f"did not answer within {START_S:g} s of its start") from None
                if isinstance(error, (TaskError, asyncio.CancelledError)):
                    raise
                raise self._cannot_open(line, error) from None
            self._line = line
            return line

    async def _listed(self, line: _Line) -> tuple[str, tuple[ListedTool, ...]]:
        async with line.listing:
            if line.listed is None:
                line.stale = False
                tools = await self._within(LIST_S, line, _all_tools(line.client))
                shown = tuple(_masked(tool, self._redactor) for tool in tools)
                if not line.stale:
                    line.listed = (list_digest(shown), shown)
                return list_digest(shown), shown
            return line.listed

    async def _within(self, timeout: float, line: _Line, asking: Coroutine[Any, Any, T]) -> T:
        """Ask; whatever goes wrong on the way is a TaskError that says so."""
        answer: asyncio.Future[T] = asyncio.ensure_future(asking)
        over = asyncio.ensure_future(line.over.wait())
        try:
            await asyncio.wait((answer, over), timeout=timeout + 1.0, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() and line.over.is_set():
                # What it said last may still be on its way through the SDK.
                await asyncio.wait((answer,), timeout=1.0)
            if answer.done():
                return await answer
            if line.over.is_set():
                raise self._error(line, "lost", "ended before it had answered")
            raise self._error(line, "timeout", f"did not answer within {timeout:g} s")
        except Exception as error:  # noqa: BLE001 - the SDK raises its own, pydantic's and RuntimeError
            raise self._refused(line, error, timeout) from None
        finally:
            for one in (answer, over):
                one.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await one

    # --- what goes wrong

    def _refused(self, line: _Line, error: Exception, timeout: float) -> TaskError:
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT

        if isinstance(error, TaskError):
            return error
        if not isinstance(error, MCPError):
            return self._error(line, "tool", f"gave what the protocol does not allow ({type(error).__name__})")
        if error.code == REQUEST_TIMEOUT:
            return self._error(line, "timeout", f"did not answer within {timeout:g} s")
        if error.code == CONNECTION_CLOSED or line.over.is_set():
            line.over.set()
            return self._error(line, "lost", "ended before it had answered")
        if not self.server.argv:
            # The line may be broken, or the server may have forgotten us: the next call says hello again. Calls that are
            # on their way may still be answered.
            line.retired = True
        said = clean_terminal(error.message)[:2000]
        return self._error(line, "tool", f"refused: {said}", complaint=False)

    def _cannot_open(self, line: _Line, error: BaseException) -> TaskError:
        if isinstance(error, ImportError):
            message = f"MCP server `{self.server.id}` needs the extra `mcp`"
            return TaskError("tool", message, help=MISSING_EXTRA)
        failure = line.process.failure if line.process is not None else None
        if isinstance(failure, FileNotFoundError):
            text = f"MCP server `{self.server.id}` cannot be started: {failure.filename} is not installed"
            return TaskError("outage", text, help="is it installed, and on PATH?")
        if failure is not None:
            return TaskError("outage", f"MCP server `{self.server.id}` cannot be started: {failure.strerror}")
        if line.process is not None:
            return self._error(line, "outage", "ended before it had said hello")
        return self._error(line, "outage", f"cannot be reached: {_innermost(error)}")

    def _error(self, line: _Line, type: Any, message: str, *, complaint: bool = True) -> TaskError:
        text = f"MCP server `{self.server.id}` {message}"
        last = line.complaint() if complaint else ""
        return TaskError(type, self._redactor.text(f"{text}: {last}" if last else text))


class _Line:
    """An open line: the task that keeps it, and what was heard on it."""

    def __init__(self, server: Server, processes: Processes, secrets: tuple[str, ...]) -> None:
        self.process: OpenProcess | None = None
        self.over = asyncio.Event()
        """Nothing will be heard any more."""
        self.listing = asyncio.Lock()
        self.listed: tuple[str, tuple[ListedTool, ...]] | None = None
        self.stale = False
        self.users = 0
        self.retired = False
        """No new call goes this way."""
        self._server = server
        self._processes = processes
        self._secrets = secrets
        self._keeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Raises whatever the SDK raises; `hang_up` must follow all the same."""
        server = self._server
        # Over a second the first time: off the loop, and before a process is started for nothing.
        transport = await asyncio.to_thread(importlib.import_module, "orchestrator.tools._mcp_transport")
        if server.url:
            await transport.refuse_metadata(server.url)
        else:
            self.process = await self._processes.open(
                list(server.argv), env=server.env, cwd=server.cwd, secrets=self._secrets
            )
        ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(ready), name=f"MCP server {server.id}")
        self.client = await ready

    async def _keep(self, ready: asyncio.Future[Client]) -> None:
        from mcp import Client
        from mcp_types import Implementation

        from orchestrator.tools._mcp_transport import OURS, http_streams, process_streams

        OURS.set(True)
        server, process = self._server, self.process
        if process is not None:
            streams: Any = process_streams(process, self.over)
        else:
            streams = http_streams(server.url, dict(server.headers))
        try:
            async with Client(
                streams, client_info=Implementation(name="whisper-flow", version="1"), message_handler=self._hear,
                logging_callback=_ignore, cache=None,
            ) as client:  # fmt: skip
                ready.set_result(client)
                await self.over.wait()
        except Exception as error:  # noqa: BLE001 - groups of whatever the transport and the SDK raise
            if not ready.done():
                ready.set_exception(error)
        finally:
            self.over.set()
            if not ready.done():
                ready.cancel()

    async def _hear(self, message: Any) -> None:
        from mcp_types import ToolListChangedNotification

        if isinstance(message, ToolListChangedNotification):
            self.listed, self.stale = None, True

    def complaint(self) -> str:
        """The last line that the process wrote to its standard error."""
        if self.process is None:
            return ""
        for line in reversed(self.process.complaint().splitlines()):
            if text := clean_terminal(line.decode("utf-8", "replace")).strip():
                return text[:300]
        return ""

    async def hang_up(self) -> None:
        self.over.set()
        if self._keeper is not None:
            await asyncio.wait((self._keeper,), timeout=CLOSE_S)
            self._keeper.cancel()
            await asyncio.wait((self._keeper,))
        if self.process is not None:
            await self.process.leave()


async def _ignore(params: Any) -> None:
    """A server's log lines are its own."""


async def _all_tools(client: Client) -> list[ListedTool]:
    found: list[ListedTool] = []
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            said = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
            hints = {key: value for key, value in (said.get("annotations") or {}).items() if isinstance(value, bool)}
            found.append(
                ListedTool(
                    name=tool.name,
                    description=tool.description or "",
                    parameters={"type": "object", **said["inputSchema"]},
                    returns=said.get("outputSchema"),
                    hints=hints,
                )
            )
        cursor = page.next_cursor
        if cursor is None or len(found) > TOOLS_MAX:
            break
    return sorted(found[:TOOLS_MAX], key=lambda tool: tool.name)


def _masked(tool: ListedTool, redactor: Redactor) -> ListedTool:
    """A server may put what it was given into its descriptions, which are pinned in git."""
    if not redactor:
        return tool
    facts = redactor.value(tool.facts())
    return ListedTool(
        name=redactor.text(tool.name),
        description=facts["description"],
        parameters=facts["parameters"],
        returns=facts.get("returns"),
        hints=tool.hints,
    )


def _innermost(error: BaseException) -> str:
    """What happened, out of the groups and chains that the transport wraps it in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = clean_terminal(str(error)).strip().splitlines()
    return f"{text[0][:300]} ({type(error).__name__})" if text else type(error).__name__
