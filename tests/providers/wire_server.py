"""A real HTTP server on loopback that speaks chat completions, as strictly as a test says and as badly as the world does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

USAGE = {
    "prompt_tokens": 21,
    "completion_tokens": 7,
    "total_tokens": 28,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


@dataclass(slots=True, kw_only=True)
class Reply:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    events: list[bytes] | None = None
    """Server-sent events, each sent as a chunk of its own; None: `body` is the answer."""
    cut_after: int | None = None
    """Bytes of the events after which the connection is closed without an end."""
    gate: asyncio.Event | None = None
    """Waits for it before the first event."""
    endless: bytes = b""
    """Sent again and again after the events, until the client hangs up."""


@dataclass(slots=True, kw_only=True)
class Received:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(slots=True)
class WireServer:
    url: str = ""
    replies: list[Reply | Callable[[Received], Reply]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a request has been read."""
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client closed its connection before the answer was complete."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read_request(reader)) is not None:
                self.received.append(request)
                self.arrived.set()
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                if not await self._answer(reply(request) if callable(reply) else reply, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.hung_up.set()
        except asyncio.CancelledError:
            return  # the test is over; a stream's own callback would call it an error
        finally:
            writer.close()

    async def _answer(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        headers = {"content-type": "application/json", **reply.headers}
        if reply.events is None:
            headers["content-length"] = str(len(reply.body))
            writer.write(_head(reply.status, headers) + reply.body)
            await writer.drain()
            return True
        headers |= {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
        writer.write(_head(reply.status, headers))
        await writer.drain()
        if reply.gate is not None and not await self._open(reply.gate, reader):
            return False
        left = reply.cut_after
        for event in reply.events:
            piece = event if left is None else event[:left]
            if piece:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
            if left is not None:
                left -= len(piece)
                if left <= 0:
                    return False
        while reply.endless:
            writer.write(b"%x\r\n%b\r\n" % (len(reply.endless), reply.endless))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _open(self, gate: asyncio.Event, reader: asyncio.StreamReader) -> bool:
        """Wait for the gate, or for the client to hang up."""
        opened = asyncio.create_task(gate.wait())
        gone = asyncio.create_task(reader.read(1))
        await asyncio.wait([opened, gone], return_when=asyncio.FIRST_COMPLETED)
        if gone.done() and not opened.done():
            self.hung_up.set()
        still_there = opened.done()
        for task in (opened, gone):
            task.cancel()
        await asyncio.gather(opened, gone, return_exceptions=True)
        return still_there


@asynccontextmanager
async def wire_server(*replies: Reply | Callable[[Received], Reply]) -> AsyncIterator[WireServer]:
    """The last reply is given to every further request."""
    wire = WireServer(replies=list(replies))
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield wire
    finally:
        server.close()


async def _read_request(reader: asyncio.StreamReader) -> Received | None:
    line = await reader.readline()
    if not line:
        return None
    headers: dict[str, str] = {}
    while (field_line := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = field_line.decode().partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(path=line.decode().split()[1], headers=headers, body=json.loads(body or b"{}"))


def _head(status: int, headers: dict[str, str]) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Status\r\n{fields}\r\n".encode()


def sse(data: object) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, usage: object = None) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m-1", "choices": choices}
    return sse(body | ({} if usage is None else {"usage": usage}))


def streamed(
    *deltas: dict[str, Any], finish: str | None = "stop", usage: object = USAGE, done: bool = True
) -> list[bytes]:
    events = [chunk({"role": "assistant", "content": ""}), *(chunk(delta) for delta in deltas)]
    if finish is not None:
        events.append(chunk({}, finish))
    if usage is not None:
        events.append(chunk(None, usage=usage))
    return [*events, sse(b"[DONE]")] if done else events


def text_reply(*pieces: str, **how: Any) -> Reply:
    return Reply(events=streamed(*({"content": piece} for piece in pieces), **how))


def tool_reply(calls: Iterable[tuple[str, str, list[str]]], **how: Any) -> Reply:
    """(id, name, pieces of the arguments), interleaved as parallel calls come."""
    calls = list(calls)
    deltas: list[dict[str, Any]] = []
    for index, (id_, name, _) in enumerate(calls):
        first = {"index": index, "id": id_, "type": "function", "function": {"name": name, "arguments": ""}}
        deltas.append({"tool_calls": [first]})
    for at in range(max(len(pieces) for _, _, pieces in calls)):
        for index, (_, _, pieces) in enumerate(calls):
            if at < len(pieces):
                deltas.append({"tool_calls": [{"index": index, "function": {"arguments": pieces[at]}}]})
    return Reply(events=streamed(*deltas, finish="tool_calls", **how))


def error_reply(
    status: int, code: str | None = None, message: str = "no", type_: str = "error", **headers: str
) -> Reply:
    body = {"error": {"message": message, "type": type_, "code": code, "param": None}}
    return Reply(
        status=status, body=json.dumps(body).encode(), headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
