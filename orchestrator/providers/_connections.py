"""One HTTP client for all live providers of an event loop: connections and their limits are shared."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from httpx2 import AsyncBaseTransport, AsyncClient, Request, Response

CONNECTIONS_MAX: Final = 256
CONNECT_S: Final = 10.0


# The loop above bounds the whole request; between two pieces of a stream a model may think for long.
_TIMEOUT: Final = {"connect": CONNECT_S, "read": None, "write": None, "pool": None}


_noted: ContextVar[list[Response] | None] = ContextVar("noted", default=None)


@dataclass(slots=True)
class _Shared:
    client: AsyncClient
    users: int = 0


# A client belongs to the event loop it was made on; the map holds the loops weakly, so it holds nothing alive.
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()


def acquire_client() -> AsyncClient:
    """The running loop's client; every `acquire_client` needs its `release_client`. Imports the HTTP library (0.1 s)."""
    loop = asyncio.get_running_loop()
    shared = _clients.get(loop)
    if shared is None or shared.client.is_closed:
        shared = _clients[loop] = _Shared(new_client())
    shared.users += 1
    return shared.client


def new_client(transport: AsyncBaseTransport | None = None) -> AsyncClient:
    from httpx2 import AsyncClient, Limits, Timeout

    from orchestrator.providers._bounds import bounded

    return AsyncClient(
        limits=Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=32),
        timeout=Timeout(**_TIMEOUT),
        event_hooks={"request": [_own_terms], "response": [_note, bounded]},
        transport=transport,
    )


def adopt_client(client: AsyncClient | None) -> None:
    """Let all providers of the running loop use this one, made by `new_client`; None: back to one of their own.

    For tests and benches, whose network is not one.
    """
    loop = asyncio.get_running_loop()
    if client is None:
        _clients.pop(loop, None)
    else:
        _clients[loop] = _Shared(client, users=1)


@contextmanager
def noting(responses: list[Response]) -> Iterator[None]:
    """Responses that open within are added to `responses`: who asks closes them, whatever an SDK forgets."""
    token = _noted.set(responses)
    try:
        yield
    finally:
        _noted.reset(token)


async def _note(response: Response) -> None:
    if (responses := _noted.get()) is not None:
        responses.append(response)


async def _own_terms(request: Request) -> None:
    """SDKs bring limits of their own, each another. Nothing packed is asked for: its size could not be known."""
    request.extensions = {**request.extensions, "timeout": dict(_TIMEOUT)}
    request.headers["accept-encoding"] = "identity"


async def release_client() -> None:
    """Give it back; the last one closes it."""
    loop = asyncio.get_running_loop()
    shared = _clients.get(loop)
    if shared is None:
        return
    shared.users -= 1
    if shared.users <= 0:
        del _clients[loop]
        await shared.client.aclose()
