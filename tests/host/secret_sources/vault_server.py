"""As much of Vault's documented HTTP API as reading a secret takes, on loopback: both versions of the key-value store."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hvs.test-token-0123456789"


@dataclass
class FakeVault:
    """`mounts` is mount → version, `secrets` path → fields. `status` answers everything with that; `silent` with nothing,
    `dripping` with a byte now and then."""

    mounts: dict[str, int] = field(default_factory=lambda: {"secret": 2, "old": 1})
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    may_ask_mounts: bool = True
    forbidden: set[str] = field(default_factory=set)
    status: int = 0
    silent: bool = False
    dripping: bool = False
    location: str = ""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, Any]:
        self.requests.append((path, headers))
        self.asked.set()
        if self.silent:
            self.release.wait(30)
        if self.status:
            return self.status, {"errors": [f"answer with {TOKEN} in it"]}
        if headers.get("X-Vault-Token") != TOKEN:
            return 403, {"errors": ["permission denied"]}
        if path.startswith("sys/internal/ui/mounts/"):
            return self.mount_of(path.removeprefix("sys/internal/ui/mounts/"))
        return self.read(path)

    def mount_of(self, path: str) -> tuple[int, Any]:
        found = [mount for mount in self.mounts if path.startswith(f"{mount}/")]
        if not self.may_ask_mounts or not found:
            return 403, {"errors": ["preflight capability check returned 403"]}
        mount = max(found, key=len)
        return 200, {"data": {"path": f"{mount}/", "type": "kv", "options": {"version": str(self.mounts[mount])}}}

    def read(self, path: str) -> tuple[int, Any]:
        for mount, version in sorted(self.mounts.items(), key=lambda one: -len(one[0])):
            inner = f"{mount}/data/" if version == 2 else f"{mount}/"
            if path.startswith(inner):
                name = f"{mount}/{path.removeprefix(inner)}"
                if name in self.forbidden:
                    return 403, {"errors": ["1 error occurred: permission denied"]}
                if name not in self.secrets:
                    return 404, {"errors": []}
                data = self.secrets[name]
                return 200, {"data": {"data": data, "metadata": {"version": 3}} if version == 2 else data}
        return 404, {"errors": []}


@contextmanager
def vault_server(vault: FakeVault) -> Iterator[str]:
    """Its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = vault.answer(self.path.removeprefix("/v1/"), dict(self.headers))
            data = json.dumps(body).encode()
            self.send_response(status)
            if vault.location:
                self.send_header("Location", vault.location)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            for at in range(len(data)) if vault.dripping else ():
                self.wfile.write(data[at : at + 1])
                if vault.release.wait(0.02):
                    return
            if not vault.dripping:
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        vault.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
