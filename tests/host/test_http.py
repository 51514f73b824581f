"""HTTP against real loopback servers, honest and not."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import subprocess
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from orchestrator.errors import TaskError
from orchestrator.host.http import HttpxHttp
from orchestrator.ports.services import HttpResponse
from tests.host.http_servers import Request, Server, ok, redirect, serving


@pytest_asyncio.fixture
async def http() -> AsyncIterator[HttpxHttp]:
    client = HttpxHttp(allow_private=["127.0.0.0/8", "::1"])
    yield client
    await client.close()


async def failing(http: HttpxHttp, url: str, method: str = "GET", **options: Any) -> TaskError:
    with pytest.raises(TaskError) as failure:
        await http.request(method, url, **options)
    return failure.value


class Names:
    """Answers look-ups from a table and counts them; stands in front of the running loop's resolver."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, table: dict[str, list[str]]) -> None:
        self.asked: list[str] = []
        loop = asyncio.get_running_loop()
        real = loop.getaddrinfo

        async def look_up(host: str, port: int, **options: Any) -> list[Any]:
            if host in table:
                self.asked.append(host)
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in table[host]]
            return await real(host, port, **options)

        monkeypatch.setattr(loop, "getaddrinfo", look_up)


async def test_a_request_arrives_as_it_was_meant(http: HttpxHttp) -> None:
    async with serving(ok(b"body", "X-A: 1", "X-A: 2")) as server:
        answer = await http.request(
            "post", server.url("/a?x=1"), headers={"X-Mine": "yes"}, query={"y": ["2", "3"], "z": "ä&"}, content=b"data"
        )
    assert answer == HttpResponse(
        status=200, headers=answer.headers, body=b"body", url=server.url("/a?x=1&y=2&y=3&z=%C3%A4%26")
    )
    assert answer.headers["x-a"] == "1, 2"
    request = server.requests[0]
    assert request.line == "POST /a?x=1&y=2&y=3&z=%C3%A4%26 HTTP/1.1"
    assert (request.headers["x-mine"], request.body) == ("yes", b"data")
    assert request.headers["host"] == f"127.0.0.1:{server.port}"


async def test_every_status_is_an_answer(http: HttpxHttp) -> None:
    async with serving(ok(b"no", status="404 Not Found")) as server:
        assert (await http.request("GET", server.url())).status == 404


async def test_a_name_is_looked_up_once_and_stays_in_the_host_header(
    http: HttpxHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch, {"service.test": ["127.0.0.1"]})
    async with serving(ok(b"")) as server:
        await http.request("GET", server.url(host="service.test"))
    assert names.asked == ["service.test"]
    assert server.requests[0].headers["host"] == f"service.test:{server.port}"


async def test_a_name_with_one_private_address_is_denied_before_any_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Names(monkeypatch, {"both.test": ["93.184.216.34", "127.0.0.1"]})
    async with serving(ok(b"")) as server:
        error = await failing(HttpxHttp(), server.url(host="both.test"))
    assert error.type == "denied"
    assert "both.test (127.0.0.1) is not a public address" in str(error)
    assert server.requests == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0x7f.1",
        "127.1",
        "0",
        "[::1]",
        "[::ffff:7f00:1]",
    ],
)
async def test_no_spelling_of_this_machine_is_reached_unallowed(host: str) -> None:
    async with serving(ok(b"secret")) as server:
        error = await failing(HttpxHttp(), f"http://{host}:{server.port}/")
    assert error.type in ("denied", "invalid_input", "outage")
    assert server.requests == []


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fd00:ec2::254]", "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]"]
)
async def test_metadata_services_are_denied_whatever_is_allowed(host: str) -> None:
    error = await failing(HttpxHttp(allow_private=["0.0.0.0/0", "::/0"]), f"http://{host}/latest/meta-data/")
    assert error.type == "denied"


async def test_an_address_that_does_not_answer_is_passed_over_for_the_next(
    http: HttpxHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, {"two.test": ["127.0.0.99", "127.0.0.1"]})
    async with serving(ok(b"here")) as server:
        assert (await http.request("GET", server.url(host="two.test"))).body == b"here"


async def test_redirects_are_not_followed_unasked(http: HttpxHttp) -> None:
    async with serving(redirect("/elsewhere")) as server:
        answer = await http.request("GET", server.url())
    assert (answer.status, len(server.requests)) == (302, 1)


async def test_redirects_are_followed_when_asked_up_to_the_number_given(http: HttpxHttp) -> None:
    async def hop(request: Request, writer: asyncio.StreamWriter) -> None:
        number = int(request.line.split()[1].strip("/") or 0)
        writer.write(redirect(f"/{number + 1}") if number < 3 else ok(b"there"))

    async with serving(hop) as server:
        answer = await http.request("GET", server.url("/0"), follow=True)
        assert (answer.body, answer.url) == (b"there", server.url("/3"))
        assert (await http.request("GET", server.url("/0"), follow=3)).body == b"there"
        error = await failing(http, server.url("/0"), follow=2)
    assert (error.type, "more than 2 redirects" in str(error)) == ("refused", True)


async def test_a_circle_of_redirects_ends(http: HttpxHttp) -> None:
    async with serving(redirect("/again")) as server:
        assert (await failing(http, server.url(), follow=True)).type == "refused"
        assert len(server.requests) == 11


async def test_every_redirect_is_checked_like_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    http = HttpxHttp(allow_private=["public.test"])
    Names(monkeypatch, {"public.test": ["127.0.0.1"], "inside.test": ["127.0.0.1"]})
    for target in (
        "http://127.0.0.1:{port}/",
        "http://inside.test:{port}/",
        "//localhost:{port}/",
        "http://169.254.169.254/",
    ):

        async def answer(request: Request, writer: asyncio.StreamWriter, target: str = target) -> None:
            writer.write(redirect(target.format(port=server.port)))

        async with serving(answer) as server:
            error = await failing(http, server.url(host="public.test"), follow=True)
        assert (error.type, len(server.requests)) == ("denied", 1)


@pytest.mark.parametrize(
    "target",
    ["ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1:1/_x", "http://[", "javascript:1"],
)
async def test_a_redirect_out_of_http_is_refused(http: HttpxHttp, target: str) -> None:
    async with serving(redirect(target)) as server:
        error = await failing(http, server.url(), follow=True)
    assert error.type in ("refused", "invalid_input")
    assert len(server.requests) == 1


async def test_credentials_stay_with_their_origin(http: HttpxHttp) -> None:
    secret = {"Authorization": "Bearer s", "Cookie": "c=1", "X-Api-Key": "k", "Accept": "text/plain"}
    async with serving(ok(b"")) as other, serving(redirect(other.url())) as first:
        await http.request("GET", first.url(), headers=secret, follow=True)
    assert first.requests[0].headers["authorization"] == "Bearer s"
    arrived = other.requests[0].headers
    assert {"authorization", "cookie", "x-api-key"} & set(arrived) == set()
    assert arrived["accept"] == "text/plain"


async def test_credentials_go_along_within_their_origin(http: HttpxHttp) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(redirect("/next") if request.line.startswith("GET / ") else ok(b""))

    async with serving(answer) as server:
        await http.request("GET", server.url(), headers={"Authorization": "Bearer s"}, follow=True)
    assert server.requests[1].headers["authorization"] == "Bearer s"


async def test_a_name_and_password_in_the_address_become_a_header_and_do_not_travel(http: HttpxHttp) -> None:
    async with serving(ok(b"")) as other, serving(redirect(other.url())) as first:
        answer = await http.request("GET", f"http://ann:p%40ss@127.0.0.1:{first.port}/", follow=True)
    assert first.requests[0].headers["authorization"] == "Basic YW5uOnBAc3M="
    assert "authorization" not in other.requests[0].headers
    assert "ann" not in answer.url


@pytest.mark.parametrize(
    ("status", "method", "then", "body"),
    [
        ("301 Moved", "POST", "GET", b""),
        ("302 Found", "POST", "GET", b""),
        ("303 See Other", "PUT", "GET", b""),
        ("307 Temporary", "POST", "POST", b"data"),
        ("308 Permanent", "PUT", "PUT", b"data"),
        ("302 Found", "PUT", "PUT", b"data"),
    ],
)
async def test_a_redirect_keeps_or_drops_method_and_body_as_the_standard_says(
    http: HttpxHttp, status: str, method: str, then: str, body: bytes
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(redirect("/next", status) if "/next" not in request.line else ok(b""))

    async with serving(answer) as server:
        await http.request(method, server.url(), content=b"data", headers={"Content-Type": "text/x"}, follow=True)
    second = server.requests[1]
    assert (second.line.split()[0], second.body) == (then, body)
    assert ("content-type" in second.headers) == bool(body)


async def test_nothing_of_one_request_is_kept_for_the_next(http: HttpxHttp) -> None:
    async with serving(ok(b"", "Set-Cookie: tracked=1")) as server:
        await http.request("GET", server.url())
        await http.request("GET", server.url())
    assert "cookie" not in server.requests[1].headers


async def test_proxies_of_the_environment_are_ignored(http: HttpxHttp, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(ok(b"direct")) as server:
        assert (await http.request("GET", server.url())).body == b"direct"


# --- sizes and times


async def test_a_body_over_the_limit_is_given_up(http: HttpxHttp) -> None:
    async def flood(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with serving(flood) as server:
        error = await failing(http, server.url(), max_bytes=1_000_000)
    assert (error.type, str(error)) == ("invalid_output", "the answer is larger than 1000000 bytes")


async def test_a_body_of_exactly_the_limit_is_taken(http: HttpxHttp) -> None:
    async with serving(ok(b"x" * 1000)) as server:
        assert len((await http.request("GET", server.url(), max_bytes=1000)).body) == 1000
        assert (await failing(http, server.url(), max_bytes=999)).type == "invalid_output"


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"hello " * 100)),
        ("deflate", zlib.compress(b"hello " * 100)),
        ("deflate", zlib.compressobj(wbits=-15).compress(b"") + zlib.compress(b"hello " * 100)[2:-4]),
        ("gzip", gzip.compress(b"hello " * 40) + gzip.compress(b"hello " * 60)),
    ],
    ids=["gzip", "zlib", "raw deflate", "two gzip members"],  # gzip's own bytes hold the time: no names for tests
)
async def test_a_packed_body_is_unpacked(http: HttpxHttp, encoding: str, packed: bytes) -> None:
    async with serving(ok(packed, f"Content-Encoding: {encoding}")) as server:
        assert (await http.request("GET", server.url())).body == b"hello " * 100


async def test_a_bomb_does_not_unpack_beyond_the_limit(http: HttpxHttp) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(500)) + packer.flush()
    async with serving(ok(bomb, "Content-Encoding: gzip")) as server:
        error = await failing(http, server.url(), max_bytes=2**20)
    assert (error.type, str(error)) == ("invalid_output", "the answer is larger than 1 MiB")


async def test_a_packed_body_that_is_broken_or_packed_unasked_is_an_error(http: HttpxHttp) -> None:
    whole = gzip.compress(b"hello " * 100)
    for body, encoding, type in (
        (b"not gzip at all", "gzip", "invalid_output"),
        (whole[:-20], "gzip", "outage"),
        (whole, "br", "invalid_output"),
        (whole, "gzip, gzip", "invalid_output"),
    ):
        async with serving(ok(body, f"Content-Encoding: {encoding}")) as server:
            assert (await failing(http, server.url())).type == type


async def test_a_silent_server_is_left_after_the_timeout(http: HttpxHttp) -> None:
    async def silence(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(silence) as server:
        error = await failing(http, server.url(), timeout=0.2)
    assert (error.type, str(error)) == ("timeout", "127.0.0.1 gave no whole answer within 0.2 s")


async def test_a_server_that_drips_is_left_after_the_timeout(http: HttpxHttp) -> None:
    async def drip(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(drip) as server:
        assert (await failing(http, server.url(), timeout=0.3)).type == "timeout"


# --- servers that misbehave


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbad\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 2000 WHAT\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 300_000 + b"\r\n\r\n",
        b"\0" * 1000 + b"\r\n\r\n",
    ],
    ids=["nothing", "not http", "short", "bad chunk", "cut chunk", "two lengths", "bad status", "huge header", "zeros"],
)
async def test_a_broken_answer_is_an_outage_not_a_crash(http: HttpxHttp, answer: bytes) -> None:
    async with serving(answer) as server:
        assert (await failing(http, server.url())).type == "outage"


async def test_nobody_listening_is_an_outage(http: HttpxHttp) -> None:
    async with serving(ok(b"")) as server:
        port = server.port
    error = await failing(http, f"http://127.0.0.1:{port}/")
    assert error.type == "outage"
    assert "127.0.0.1 cannot be reached" in str(error)


async def test_a_name_nobody_knows_is_an_outage(http: HttpxHttp, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", nobody)
    error = await failing(http, "http://nowhere.test/")
    assert (error.type, str(error)) == ("outage", "nowhere.test cannot be found: Name or service not known")


@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [
        ("GET", "ftp://127.0.0.1/", {}),
        ("GET", "no address", {}),
        ("GET", "http://", {}),
        ("GET", "http://a b/", {}),
        ("GET", "http://127.0.0.1:99999/", {}),
        ("GET", "/relative", {}),
        ("BREW", "http://127.0.0.1/", {}),
        ("GET /x HTTP/1.1\r\nX: y\r\n", "http://127.0.0.1/", {}),
        ("GET", "http://127.0.0.1/", {"X": "a\r\nInjected: yes"}),
        ("GET", "http://127.0.0.1/", {"X\r\nInjected": "yes"}),
        ("GET", "http://127.0.0.1/", {"X": "ü"}),
        ("GET", "http://127.0.0.1/", {"X": "x" * 100_000}),
    ],
)
async def test_a_request_that_makes_no_sense_is_not_sent(
    http: HttpxHttp, method: str, url: str, headers: dict[str, str]
) -> None:
    assert (await failing(http, url, method, headers=headers)).type == "invalid_input"


async def test_requests_run_side_by_side(http: HttpxHttp) -> None:
    together = asyncio.Barrier(20)

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await together.wait()
        writer.write(ok(request.line.split()[1].encode()))

    async with serving(answer) as server:
        answers = await asyncio.gather(*(http.request("GET", server.url(f"/{n}")) for n in range(20)))
    assert [answer.body for answer in answers] == [f"/{n}".encode() for n in range(20)]


async def test_a_cancelled_request_lets_go_of_its_connection(http: HttpxHttp) -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        arrived.set()
        try:
            while True:
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            left.set()

    async with serving(answer) as server:
        running = asyncio.create_task(http.request("GET", server.url()))
        await arrived.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await asyncio.wait_for(left.wait(), 10)


# --- TLS


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key, cert = folder / f"{name}.key", folder / f"{name}.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, cert


@pytest.mark.needs_tool("openssl")
async def test_tls_is_held_to_the_name_though_the_connection_goes_to_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, cert = certificate(tmp_path, "service.test")
    Names(monkeypatch, {"service.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]})
    seen: list[str | None] = []
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(cert, key)
    theirs.sni_callback = lambda _socket, name, _context: seen.append(name)
    http = HttpxHttp(allow_private=["127.0.0.1"], tls=ssl.create_default_context(cafile=str(cert)))
    async with serving(ok(b"private"), tls=theirs) as server:
        answer = await http.request("GET", server.url(host="service.test", scheme="https"))
        assert (answer.body, seen) == (b"private", ["service.test"])
        error = await failing(http, server.url(host="other.test", scheme="https"))
        assert error.type == "refused"
        assert "no secure connection" in str(error)
        error = await failing(HttpxHttp(allow_private=["127.0.0.1"]), server.url(host="service.test", scheme="https"))
        assert error.type == "refused"
    await http.close()


@pytest.mark.needs_tool("openssl")
async def test_a_redirect_from_https_to_http_is_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, cert = certificate(tmp_path, "service.test")
    Names(monkeypatch, {"service.test": ["127.0.0.1"]})
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(cert, key)
    http = HttpxHttp(allow_private=["127.0.0.1"], tls=ssl.create_default_context(cafile=str(cert)))
    async with serving(ok(b"")) as plain, serving(redirect(plain.url()), tls=theirs) as server:
        error = await failing(http, server.url(host="service.test", scheme="https"), follow=True)
    assert (error.type, plain.requests) == ("denied", [])
    await http.close()


def test_importing_the_client_does_not_import_httpx() -> None:
    import sys

    probe = "import sys, orchestrator.host.http; assert 'httpx' not in sys.modules and 'ssl' in sys.modules"
    subprocess.run([sys.executable, "-c", probe], check=True)
    assert isinstance(Server().url(), str)
