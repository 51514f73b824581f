"""The providers' own HTTP client over a network that is only bytes in memory: fast enough to cut a stream at every byte."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from orchestrator.providers._connections import adopt_client, new_client


class Bytes(httpx2.AsyncByteStream):
    """Pieces, then a clean end, or a connection that breaks."""

    def __init__(self, pieces: list[bytes], *, breaks: bool) -> None:
        self._pieces = pieces
        self._breaks = breaks
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if self._breaks:
            raise httpx2.RemoteProtocolError("peer closed connection without sending complete message body")

    async def aclose(self) -> None:
        self.closed = True


class Network(httpx2.AsyncBaseTransport):
    """Answers every request with what `reply` says last."""

    def __init__(self) -> None:
        self.stream = Bytes([], breaks=False)
        self.requests = 0

    def reply(self, *pieces: bytes, breaks: bool = False) -> None:
        self.stream = Bytes(list(pieces), breaks=breaks)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests += 1
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=self.stream)


@asynccontextmanager
async def network() -> AsyncIterator[Network]:
    """All live providers of this event loop talk to it, until it is left."""
    wires = Network()
    client = new_client(wires)
    adopt_client(client)
    try:
        yield wires
    finally:
        adopt_client(None)
        await client.aclose()


def in_use(client: Any) -> int:
    """Connections of a real client that are neither idle nor closed."""
    pool = client._transport._pool
    return sum(not (one.is_idle() or one.is_closed()) for one in pool.connections)
