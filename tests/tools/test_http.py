"""`http.get`: text from a real server on loopback, and what it will not fetch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from orchestrator.host.http import HttpxHttp
from orchestrator.tools.http import TEXT_CHARACTERS, TOOLS
from tests.tools.conformance import SECRET, SourceConformance, ToolWorld

PAGES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/page": (200, {"content-type": "text/html; charset=latin-1"}, "gr\xfcn".encode("latin-1")),
    "/json": (200, {"content-type": "application/json"}, b'{"a": 1}'),
    "/image": (200, {"content-type": "image/png"}, b"\x89PNG"),
    "/moved": (302, {"location": "/page", "content-type": "text/plain"}, b""),
    "/gone": (404, {"content-type": "text/plain"}, b"not here"),
    "/long": (200, {"content-type": "text/plain"}, b"x" * (TEXT_CHARACTERS + 10)),
    "/secret": (200, {"content-type": "text/plain"}, SECRET.encode()),
}


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, headers, body = PAGES[self.path]
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        return None


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()
        thread.join()


class TestHttp(SourceConformance):
    source = TOOLS
    wanted = ("http.*",)
    name = "http.get"

    @pytest.fixture(autouse=True)
    def address(self, server: str) -> None:
        type(self).arguments = {"url": f"{server}/secret"}


async def test_text_comes_with_its_status_and_type(world: ToolWorld, server: str) -> None:
    assert await world.call("http.get", {"url": f"{server}/page"}) == {
        "status": 200,
        "url": f"{server}/page",
        "type": "text/html",
        "text": "gr\xfcn",
    }
    assert (await world.call("http.get", {"url": f"{server}/json"}))["text"] == '{"a": 1}'
    assert (await world.call("http.get", {"url": f"{server}/gone"}))["status"] == 404


async def test_a_redirect_is_told_not_followed(world: ToolWorld, server: str) -> None:
    given = await world.call("http.get", {"url": f"{server}/moved"})
    assert given == {"status": 302, "url": f"{server}/moved", "redirects_to": "/page"}


async def test_long_text_is_cut_and_what_is_no_text_is_refused(world: ToolWorld, server: str) -> None:
    given = await world.call("http.get", {"url": f"{server}/long"})
    assert len(given["text"]) == TEXT_CHARACTERS
    assert given["incomplete"]
    assert "no text: image/png" in (await world.fail("http.get", {"url": f"{server}/image"})).message


async def test_private_addresses_and_credentials_are_denied(world: ToolWorld, server: str) -> None:
    world.http = HttpxHttp()
    assert (await world.fail("http.get", {"url": f"{server}/page"})).type == "denied"
    assert (await world.fail("http.get", {"url": "http://169.254.169.254/latest"})).type == "denied"
    assert (await world.fail("http.get", {"url": "http://me:word@example.org/"})).type == "denied"
    assert (await world.fail("http.get", {"url": "file:///etc/passwd"})).type == "invalid_input"


@pytest.mark.parametrize(
    ("url", "free"),
    [
        ("https://docs.python.org/3/", True),
        ("https://a.example.com/x?y=1", True),
        ("https://DOCS.python.org", True),
        ("https://docs.python.org.evil.net/", False),
        ("https://evil.net/?docs.python.org", False),
        ("https://docs.python.org@evil.net/", False),
        ("ftp://docs.python.org/", False),
        ("", False),
    ],
)
async def test_only_listed_hosts_need_no_permission(world: ToolWorld, url: str, free: bool) -> None:
    settings = {"http": {"allow": ["docs.python.org", "*.example.com"]}}
    tool: Any = await world.tool("http.get", settings=settings)
    assert tool.needs_no_permission({"url": url}) is free
    assert tool.effect != "pure"
