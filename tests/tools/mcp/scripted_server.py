"""A tool server of a few lines that does what a test says, over standard input or over HTTP; standard library only.

What it does is in a JSON file, read at each message, so that a test can change it while the server runs:
`{tools: [...], results: {tool: result}, crash: tool, hang: tool, greeting: text, pages: n, die_at_start: text}`.
It appends a line to `FILE.seen` for each message, and one at its start.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

VERSION = "2025-06-18"


class Play:
    """The script and what was heard. `crash` and `hang` are the transport's to perform."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lock = threading.Lock()
        self.go_on = threading.Event()
        """Lets slow calls over HTTP be answered."""

    @property
    def script(self) -> dict[str, Any]:
        return json.loads(self.file.read_text())

    def saw(self, word: str) -> None:
        with self.lock, self.file.with_suffix(".seen").open("a") as seen:
            seen.write(word + "\n")

    def answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """None for a notification."""
        method, script = message.get("method", ""), self.script
        name = (message.get("params") or {}).get("name", "")
        self.saw(f"{method} {name}".strip())
        if "id" not in message:
            return None
        try:
            return {"jsonrpc": "2.0", "id": message["id"], "result": self.result(method, message, script)}
        except LookupError as error:
            return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": str(error)}}

    def result(self, method: str, message: dict[str, Any], script: dict[str, Any]) -> dict[str, Any]:
        params = message.get("params") or {}
        if method == "initialize":
            info = {"name": "scripted", "version": "1"}
            return {"protocolVersion": VERSION, "capabilities": {"tools": {"listChanged": True}}, "serverInfo": info}
        if method == "tools/list":
            return self.page(script, int(params.get("cursor") or 0))
        if method == "tools/call":
            return self.call(params, script)
        raise LookupError(f"no method {method}")

    def page(self, script: dict[str, Any], at: int) -> dict[str, Any]:
        tools = script.get("tools", [])
        size = -(-len(tools) // script.get("pages", 1)) or 1
        more = {"nextCursor": str(at + size)} if at + size < len(tools) else {}
        return {"tools": tools[at : at + size], **more}

    def call(self, params: dict[str, Any], script: dict[str, Any]) -> dict[str, Any]:
        name, arguments = params["name"], params.get("arguments") or {}
        if name == "environment":
            return text(json.dumps(dict(os.environ), sort_keys=True))
        if name == "where":
            return text(str(Path.cwd()))
        if name == "echo":
            return text(arguments.get("text", ""))
        if name == "complain":
            print(arguments.get("text", ""), file=sys.stderr, flush=True)
            return text("complained")
        if name == "picture":
            data = base64.b64encode(b"\x89PNG picture").decode()
            return {"content": [{"type": "image", "data": data, "mimeType": "image/png"}]}
        return script["results"][name]


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}], **more}


def over_stdio(play: Play) -> None:
    play.saw(f"started {os.getpid()}")
    script = play.script
    if "die_at_start" in script:
        print(script["die_at_start"], file=sys.stderr)
        sys.exit(3)
    if "greeting" in script:
        print(script["greeting"], flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        script = play.script
        name = (message.get("params") or {}).get("name")
        if message.get("method") == "tools/call" and name == script.get("crash"):
            play.saw("crash")
            print("it hurts", file=sys.stderr, flush=True)
            os._exit(7)
        if message.get("method") == "tools/call" and name == script.get("hang"):
            play.saw("hang")
            continue
        if message.get("method") == "tools/call" and name == script.get("flood"):
            while True:
                sys.stdout.write("x" * 1_000_000)
        answer = play.answer(message)
        if answer is not None:
            print(json.dumps(answer), flush=True)
        if script.get("changes") and message.get("method") == "tools/call":
            print(json.dumps({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}), flush=True)


def http_server(play: Play) -> ThreadingHTTPServer:
    """Listens on a port of loopback; every answer is one JSON message."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            play.saw(f"auth {self.headers.get('Authorization', '')}")
            script = play.script
            if status := script.get("status"):
                return self.say(status, {"error": script.get("body", "no")}, script.get("location"))
            if message.get("method") == "tools/call" and message["params"]["name"] == script.get("crash"):
                self.close_connection = True
                return self.connection.shutdown(socket.SHUT_RDWR)
            if message.get("method") == "tools/call" and message["params"]["name"] == script.get("slow"):
                play.saw("slow")
                play.go_on.wait(30)
            answer = play.answer(message)
            if answer is None:
                return self.say(202, None)
            return self.say(200, answer)

        def do_GET(self) -> None:
            self.say(405, None)

        def do_DELETE(self) -> None:
            self.say(200, None)

        def say(self, status: int, body: Any, location: str | None = None) -> None:
            data = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            return None

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


if __name__ == "__main__":
    over_stdio(Play(Path(sys.argv[1])))
