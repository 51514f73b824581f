"""A model service on loopback that speaks chat completions; behind it the embedded programs answer, each under a real model's name."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from orchestrator import registry
from orchestrator.core.messages import AnyPart, Message, Text, ToolCall, ToolResult
from orchestrator.ports.chat_model import ChatRequest, ToolSpec
from orchestrator.providers.embedded_models._reply import Reply

BEHIND = {
    "gpt-4.1": "writer",
    "gpt-4.1-mini": "summarizer",
    "gpt-4.1-nano": "classifier",
    "gpt-4o": "critic",
    "gpt-4o-mini": "tool-caller",
}
"""Model on the wire → the program that answers. All of them have a public price."""


@dataclass
class Service:
    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def live_server(key: str) -> Iterator[Service]:
    """Answers whoever shows `key`, and keeps what it was asked."""
    service = Service("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.headers["authorization"] != f"Bearer {key}":
                self._send(401, "application/json", b'{"error": {"message": "bad key"}}')
                return
            service.requests.append(body)
            program = registry.load(
                "orchestrator.providers.embedded_models", BEHIND[body["model"]], "MODEL", noun="program"
            )
            reply: Reply = program.reply(as_request(body))
            self._send(200, "text/event-stream", b"".join(chunks(body["model"], reply)))

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def as_request(body: dict[str, Any]) -> ChatRequest:
    """What came over the wire, as the programs take it."""
    instructions = "\n".join(m["content"] for m in body["messages"] if m["role"] in ("system", "developer"))
    messages = tuple(as_message(m) for m in body["messages"] if m["role"] in ("user", "assistant", "tool"))
    tools = [tool["function"] for tool in body.get("tools", ())]
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
    return ChatRequest(
        model=body["model"],
        messages=messages,
        instructions=instructions,
        tools=tuple(
            ToolSpec(name=t["name"], description=t.get("description", ""), parameters=t["parameters"]) for t in tools
        ),
        output_schema=schema,
    )


def as_message(said: dict[str, Any]) -> Message:
    if said["role"] == "tool":
        return Message("tool", (ToolResult(said["tool_call_id"], "", said["content"]),))
    content = said.get("content") or ""
    text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    parts: list[AnyPart] = [Text(text)] if text else []
    for call in said.get("tool_calls") or ():
        parts.append(ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"]))
    return Message(said["role"], tuple(parts))


def chunks(model: str, reply: Reply) -> Iterator[bytes]:
    """The answer as server-sent events, word by word."""
    words = reply.text.split(" ")
    for at, word in enumerate(words if reply.text else ()):
        yield _chunk(model, {"role": "assistant", "content": word + (" " if at < len(words) - 1 else "")})
    for index, (name, arguments) in enumerate(reply.tool_calls):
        function = {"name": name, "arguments": json.dumps(arguments)}
        call = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
        yield _chunk(model, {"role": "assistant", "tool_calls": [call]})
    yield _chunk(model, {}, "tool_calls" if reply.tool_calls else "stop")
    yield _chunk(model, None, usage={"prompt_tokens": 40, "completion_tokens": 10, "total_tokens": 50})
    yield b"data: [DONE]\n\n"


def _chunk(model: str, delta: dict[str, Any] | None, finish: str | None = None, usage: Any = None) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices}
    return b"data: " + json.dumps({**event, **({"usage": usage} if usage else {})}).encode() + b"\n\n"
