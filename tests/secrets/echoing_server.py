"""A model server that gives away the key it was asked with, in every spelling and in every place of an answer."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote


def spelt(value: str) -> list[str]:
    """The value as it is, in base64, hexadecimal and as in an address."""
    data = value.encode()
    return [
        value,
        base64.b64encode(data).decode(),
        base64.b64encode(b"x" + data).decode(),
        data.hex(),
        quote(value, safe=""),
    ]


@dataclass
class Echo:
    refuse: bool = False
    """Answer with an error that quotes the key."""
    keys: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    hooks: list[bytes] = field(default_factory=list)
    """What was sent to `/hook`, heads included."""

    def pieces(self, key: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """First a call of a tool with the key in its arguments, after its result a text with the key, cut into small pieces."""
        tools = [tool["function"]["name"] for tool in body.get("tools", [])]
        answered = sum(message["role"] == "tool" for message in body["messages"])
        for part in _cut(" ".join(spelt(key)), 5):
            yield {"content": part}
        if answered < len(tools):
            arguments = json.dumps({"text": " ".join(spelt(key))})
            name = tools[answered]
            yield {"tool_calls": [{"index": 0, "id": f"call_{answered}_{key}", "type": "function",
                                   "function": {"name": name, "arguments": ""}}]}  # fmt: skip
            for part in _cut(arguments, 7):
                yield {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}


def _cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@contextmanager
def echoing_server(echo: Echo) -> Iterator[str]:
    """Its address, below which `/chat/completions` is; `/hook` keeps what it is sent, anything else answers with its headers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.endswith("/hook"):
                echo.hooks.append(bytes(self.headers) + body)
                self.say(200, "text/plain", b"")
                return
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            echo.keys.append(key)
            echo.bodies.append(body)
            if echo.refuse:
                error = {"error": {"message": f"bad key: {' '.join(spelt(key))}", "type": "auth", "code": "invalid"}}
                self.say(401, "application/json", json.dumps(error).encode())
            else:
                self.say(200, "text/event-stream", b"".join(_events(echo.pieces(key, json.loads(body)))))

        def do_GET(self) -> None:
            self.say(200, "application/json", json.dumps(dict(self.headers)).encode())

        def say(self, status: int, kind: str, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _events(pieces: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    calls = False
    for piece in pieces:
        calls = calls or "tool_calls" in piece
        yield _event({"choices": [{"index": 0, "delta": {"role": "assistant", **piece}, "finish_reason": None}]})
    yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}]})
    yield _event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}})
    yield b"data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> bytes:
    whole = {"id": "e", "object": "chat.completion.chunk", "created": 1, "model": "echo", **data}
    return b"data: " + json.dumps(whole).encode() + b"\n\n"
