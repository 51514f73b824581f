"""How messages travel to a tool server and back: over the two ends of a process below our reaper, or over HTTP.

Imports the SDK (extra `mcp`): only a connection that is being made comes here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import anyio
import httpx2
import mcp  # noqa: F401 - all of it, here and not on the loop
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from orchestrator.host.addresses import AddressRules
from orchestrator.ports.services import OpenProcess

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

MESSAGE_MAX: Final = 16 * 1024 * 1024
"""Bytes of one message. A server that says more at once is cut off."""
CONNECT_S: Final = 10.0

OURS: Final[ContextVar[bool]] = ContextVar("orchestrator_mcp", default=False)
"""True in the tasks of a connection of ours."""


class TooMuchError(Exception):
    """A message beyond MESSAGE_MAX."""


def _not_ours(record: logging.LogRecord) -> bool:
    # The SDK logs what a server sent, as it came: there may be a key in it. What matters comes back as an error.
    return not OURS.get()


for _name in ("client", "mcp", "mcp.client.session", "mcp.client.streamable_http", "mcp.shared.jsonrpc_dispatcher"):
    logging.getLogger(_name).addFilter(_not_ours)


@asynccontextmanager
async def process_streams(process: OpenProcess, over: asyncio.Event) -> AsyncIterator[TransportStreams]:
    """Newline-delimited JSON-RPC. `over` is set once the process has said its last."""
    to_us, ours = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    to_it, its = anyio.create_memory_object_stream[SessionMessage](0)

    async def hear() -> None:
        async with to_us:
            try:
                async for line in _lines(process):
                    # Some servers print a greeting or a log line there: what is no message is passed over.
                    with suppress(ValueError):
                        await to_us.send(SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False)))
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, TooMuchError):
                pass
            finally:
                over.set()

    async def speak() -> None:
        async with its:
            with suppress(BrokenPipeError):
                async for message in its:
                    data = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    await process.write(data.encode() + b"\n")

    async with anyio.create_task_group() as both:
        both.start_soon(hear)
        both.start_soon(speak)
        try:
            yield ours, to_it
        finally:
            both.cancel_scope.cancel()
            for stream in (to_us, ours, to_it, its):
                stream.close()


async def _lines(process: OpenProcess) -> AsyncIterator[bytes]:
    """Raises TooMuchError where a line does not end."""
    pending: list[bytes] = []
    size = 0
    while data := await process.read():
        *lines, rest = data.split(b"\n")
        for line in lines:
            yield b"".join((*pending, line))
            pending, size = [], 0
        pending.append(rest)
        size += len(rest)
        if size > MESSAGE_MAX:
            raise TooMuchError


class _BoundedStream(httpx2.AsyncByteStream):
    """A response's body that ends in an error beyond MESSAGE_MAX; a stream of events may go on as long as it likes."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for data in self._inner:
            size += len(data)
            if size > MESSAGE_MAX:
                raise TooMuchError
            yield data

    async def aclose(self) -> None:
        await self._inner.aclose()


class _BoundedTransport(httpx2.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            response.stream = _BoundedStream(response.stream)
        return response


@asynccontextmanager
async def http_streams(url: str, headers: dict[str, str]) -> AsyncIterator[TransportStreams]:
    """Streamable HTTP. Redirects leave the server's own origin never; no proxy and no `.netrc` is asked."""
    timeout = httpx2.Timeout(None, connect=CONNECT_S)
    async with (
        httpx2.AsyncClient(transport=_BoundedTransport(), headers=headers, timeout=timeout, trust_env=False) as client,
        streamable_http_client(url, http_client=client, max_sse_event_size=MESSAGE_MAX) as streams,
    ):
        yield streams


async def refuse_metadata(url: str) -> None:
    """A declared address is the user's own word, on loopback too; only what hands out a cloud machine's credentials is refused.

    Raises TaskError `denied`.
    """
    host = httpx2.URL(url).host
    found: set[str] = set()
    with suppress(OSError):  # who cannot be found is met when the connection is made
        found = {str(entry[4][0]) for entry in await anyio.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    AddressRules(("0.0.0.0/0", "::/0")).check(host, found)
