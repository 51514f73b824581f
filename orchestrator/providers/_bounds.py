"""What a server may send us, and where to: sizes are bounded, and a request goes to the address it was meant for only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from httpx2 import AsyncByteStream, RemoteProtocolError, Response

MIB: Final = 1024 * 1024
LINE_MAX: Final = 16 * MIB
"""Bytes without a line end. Parsers wait for one and keep all until it comes."""
ANSWER_MAX: Final = 512 * MIB
"""Bytes of a whole answer; a long one is mostly the frames around its words."""
ERROR_MAX: Final = MIB
PACKED_MAX: Final = MIB // 4
"""Bytes of an answer that came compressed, though we ask for none: it may unpack to a thousand times as much."""


async def bounded(response: Response) -> None:
    """A hook for the HTTP client. Raises RemoteProtocolError for a redirect: prompts and keys do not follow it."""
    if response.has_redirect_location:
        raise RemoteProtocolError("it answers by a redirect, which is not followed", request=response.request)
    most = ANSWER_MAX if response.is_success else ERROR_MAX
    if response.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
        most = min(most, PACKED_MAX)
    assert isinstance(response.stream, AsyncByteStream)
    response.stream = _Bounded(response.stream, most)


class _Bounded(AsyncByteStream):
    def __init__(self, stream: AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        whole = line = 0
        async for piece in self._stream:
            whole += len(piece)
            at = piece.rfind(b"\n")
            line = line + len(piece) if at < 0 else len(piece) - at - 1
            if whole > self._most or line > LINE_MAX:
                raise RemoteProtocolError(f"its answer is larger than {min(self._most, LINE_MAX) // 1024} KiB")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
