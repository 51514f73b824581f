"""A model service on loopback that speaks chat completions and is the outside witness: it keeps what it was asked, and by whom.

What it answers follows from what it is asked alone, so a run ends the same however often its driver died. Every answer carries
the mark of the request it answers; so the journal can be asked which requests have a recorded answer.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

MARK = re.compile(r"\[([0-9a-f]{12})\]|call_([0-9a-f]{12})_")
INPUT_PRICE, OUTPUT_PRICE = 1_000_000_000, 10_000_000_000
"""Of a token, in trillionths: 1,000 and 10,000 a million."""


@dataclass
class Say:
    """What a model answers."""

    text: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    status: int = 200
    code: str = ""
    cut: int | None = None
    """Bytes after which the connection is closed."""


@dataclass
class Asked:
    """A request as models in a story see it."""

    model: str
    instructions: str
    messages: list[dict[str, Any]]
    tools: list[str]
    """Their names on the wire."""
    mark: str
    earlier: int
    """How often the very same was asked before."""

    @property
    def turn(self) -> int:
        """Answers since the last prompt."""
        count = 0
        for message in reversed(self.messages):
            if message["role"] == "user":
                break
            count += message["role"] == "assistant"
        return count

    def tool(self, end: str) -> str:
        return next(name for name in self.tools if name.endswith(end))


@dataclass
class Request:
    mark: str
    model: str
    life: int
    cost: int
    """What it costs if it is answered."""
    tokens: int
    failed: bool
    """It was refused, or cut off on purpose."""


@dataclass
class Moment:
    """When to strike: at the n-th request of this life, before its first byte, within its stream, or behind its last byte."""

    request: int
    stage: Literal["arrived", "midway", "sent"]
    byte: int = 0


class Service:
    def __init__(self) -> None:
        self.url = ""
        self.story: Callable[[Asked], Say] = lambda asked: Say("?")
        self.requests: list[Request] = []
        self.life = 0
        self.moment: Moment | None = None
        self.strike: Callable[[], None] = lambda: None
        self._in_life = 0
        self._lock = threading.Lock()

    def forget(self, story: Callable[[Asked], Say]) -> None:
        self.story, self.requests, self.life, self.moment = story, [], 0, None

    def new_life(self, moment: Moment | None, strike: Callable[[], None]) -> None:
        with self._lock:
            self.life += 1
            self._in_life = 0
            self.moment, self.strike = moment, strike

    def take(self, body: dict[str, Any]) -> tuple[Say, bytes, Moment | None]:
        with self._lock:
            self._in_life += 1
            moment = self.moment if self.moment is not None and self.moment.request == self._in_life else None
            asked = self._asked(body)
            say = self.story(asked)
            prompt_tokens = len(json.dumps(body["messages"])) // 8
            completion_tokens = min(max(len(say.text) // 8, 5), body.get("max_tokens") or 20)
            bad = say.status != 200
            cost = 0 if bad else prompt_tokens * INPUT_PRICE + completion_tokens * OUTPUT_PRICE
            tokens = 0 if bad else prompt_tokens + completion_tokens
            self.requests.append(Request(asked.mark, asked.model, self.life, cost, tokens, bad or say.cut is not None))
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        }
        return say, b"".join(chunks(asked, say, usage)), moment

    def _asked(self, body: dict[str, Any]) -> Asked:
        said = [message for message in body["messages"] if message["role"] not in ("system", "developer")]
        told = "\n".join(str(m["content"]) for m in body["messages"] if m["role"] in ("system", "developer"))
        names = [tool["function"]["name"] for tool in body.get("tools") or ()]
        known = json.dumps([body["model"], told, said, names], sort_keys=True)
        mark = hashlib.blake2b(known.encode(), digest_size=6).hexdigest()
        earlier = sum(request.mark == mark for request in self.requests)
        return Asked(body["model"], told, said, names, mark, earlier)


def chunks(asked: Asked, say: Say, usage: dict[str, int]) -> Iterator[bytes]:
    words = f"{say.text} [{asked.mark}]".split(" ") if say.text else []
    for at, word in enumerate(words):
        yield _chunk({"role": "assistant", "content": word + (" " if at < len(words) - 1 else "")})
    for index, (name, arguments) in enumerate(say.calls):
        first = {"name": name, "arguments": ""}
        id_ = f"call_{asked.mark}_{index}"
        yield _chunk({"tool_calls": [{"index": index, "id": id_, "type": "function", "function": first}]})
        text = json.dumps(arguments)
        for piece in (text[: len(text) // 2], text[len(text) // 2 :]):
            yield _chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield _chunk({}, "tool_calls" if say.calls else "stop")
    yield _chunk(None, usage=usage)
    yield b"data: [DONE]\n\n"


def _chunk(delta: dict[str, Any] | None, finish: str | None = None, usage: Any = None) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return b"data: " + json.dumps({**event, **({"usage": usage} if usage else {})}).encode() + b"\n\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked is dead; that is what this is for."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def model_service() -> Iterator[Service]:
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["content-length"]))
            if len(sent) < int(self.headers["content-length"]):
                self.close_connection = True  # whoever asked died in the middle of it
                return
            say, stream, moment = service.take(json.loads(sent))
            try:
                self._answer(say, stream, moment)
            except OSError:
                self.close_connection = True  # whoever asked is dead

        def _answer(self, say: Say, stream: bytes, moment: Moment | None) -> None:
            if moment is not None and moment.stage == "arrived":
                service.strike()
            if say.status != 200:
                refused = {"error": {"message": "not now", "type": "error", "code": say.code, "param": None}}
                self._head(say.status, "application/json", json.dumps(refused).encode())
                return
            if say.cut is not None:
                stream = stream[: say.cut % len(stream)]
                self.close_connection = True
            midway = moment is not None and moment.stage == "midway"
            cut = moment.byte % len(stream) if moment is not None and midway and stream else 0
            self._begin()
            self._piece(stream[:cut])
            if midway:
                service.strike()
            self._piece(stream[cut:])
            if say.cut is None:
                self.wfile.write(b"0\r\n\r\n")
                self.wfile.flush()
            if moment is not None and moment.stage == "sent":
                service.strike()

        def _begin(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()

        def _piece(self, piece: bytes) -> None:
            if piece:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()

        def _head(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
