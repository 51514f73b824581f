"""`http` against real loopback servers: what is sent, what comes back as the value, and how it fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.host.http_servers import Request, Server, ok, redirect, serving
from tests.kinds.conformance import NOW, SECRET, KindConformance, World

JSON_TYPE = "Content-Type: application/json"


@pytest_asyncio.fixture
async def echo() -> AsyncIterator[Server]:
    """Answers with what it was asked, as JSON."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        told = {"line": request.line, "headers": request.headers, "body": request.body.decode()}
        writer.write(ok(json.dumps(told).encode(), JSON_TYPE))

    async with serving(answer) as server:
        yield server


def get(server: Server, path: str = "/", **more: Any) -> dict[str, Any]:
    return {"method": "GET", "url": server.url(path), "expect": ["2xx"], **more}


class TestHttp(KindConformance):
    verb = "http"

    @pytest_asyncio.fixture(autouse=True)
    async def server(self, echo: Server) -> None:
        self.fields = get(echo)
        self.leaking_fields = get(echo, headers={"X-Token": SECRET}, query={"t": SECRET}, auth={"bearer": SECRET})


async def test_a_json_answer_is_the_value_and_the_response_is_known(world: World) -> None:
    async with serving(ok(b'{"a": [1, "x"]}', JSON_TYPE, "X-Request: 7")) as server:
        done = await world.succeed("http", get(server, "/a"))
    assert done.value == {"a": [1, "x"]}
    response = done.meta["response"]
    assert (response["status"], response["headers"]["x-request"], response["url"]) == (200, "7", server.url("/a"))


@pytest.mark.parametrize(
    ("type", "body", "value"),
    [
        ("application/problem+json; charset=utf-8", b"[1]", [1]),
        ("text/plain", b'{"a": 1}', '{"a": 1}'),
        ("text/html; charset=iso-8859-1", b"caf\xe9", "café"),
        ("text/plain; charset=nonsense", "ü".encode(), "ü"),
        ("text/plain", b"caf\xe9", "caf\ufffd"),
        ("application/json", b"", None),
        ("text/plain", b"", None),
    ],
)
async def test_the_value_follows_from_the_content_type(world: World, type: str, body: bytes, value: Any) -> None:
    async with serving(ok(body, f"Content-Type: {type}")) as server:
        assert (await world.succeed("http", get(server))).value == value


async def test_an_output_type_reads_json_whatever_the_content_type_says(world: World) -> None:
    async with serving(ok(b'{"a": 1}', "Content-Type: text/plain")) as server:
        done = await world.succeed("http", get(server), output_schema={"type": "object"})
    assert done.value == {"a": 1}


@pytest.mark.parametrize(
    ("type", "body", "message"),
    [
        ("application/json", b"<html>", "the answer is not one JSON value"),
        ("image/png", b"\x89PNG\xff\xfe", "the answer is no text (image/png, 6 bytes)"),
    ],
)
async def test_an_answer_that_cannot_be_a_value_is_invalid_output(
    world: World, type: str, body: bytes, message: str
) -> None:
    async with serving(ok(body, f"Content-Type: {type}")) as server:
        error = await world.fail("http", get(server))
    assert (error.type, error.meta["response"]["status"]) == ("invalid_output", 200)
    assert message in str(error)


async def test_the_request_carries_the_idempotency_key(world: World, echo: Server) -> None:
    seen = (await world.succeed("http", get(echo), key="r1:build[ключ 1].x")).value
    assert seen["headers"]["idempotency-key"] == "r1:build[%D0%BA%D0%BB%D1%8E%D1%87%201].x"
    own = get(echo, headers={"Idempotency-Key": "mine"})
    assert (await world.succeed("http", own)).value["headers"]["idempotency-key"] == "mine"


@pytest.mark.parametrize(
    ("said", "type", "body"),
    [
        ({"json": {"a": "ü"}}, "application/json", '{"a": "ü"}'),
        ({"json": None}, "application/json", "null"),
        ({"form": {"a": "x y", "b": [1, 2], "c": None}}, "application/x-www-form-urlencoded", "a=x+y&b=1&b=2"),
        ({"body": "plain ü"}, "text/plain; charset=utf-8", "plain ü"),
        ({"body": {"a": 1}}, "application/json", '{"a":1}'),
        ({"body": "<x/>", "headers": {"Content-Type": "text/xml"}}, "text/xml", "<x/>"),
    ],
)
async def test_a_body_is_json_form_or_text(
    world: World, echo: Server, said: dict[str, Any], type: str, body: str
) -> None:
    seen = (await world.succeed("http", {"method": "POST", "url": echo.url(), **said})).value
    assert (seen["headers"]["content-type"], seen["body"]) == (type, body)


async def test_query_and_headers_take_any_value(world: World, echo: Server) -> None:
    fields = get(echo, "/p?x=0", query={"n": 1, "t": True, "l": ["a", "b"], "gone": None}, headers={"X-N": 5})
    seen = (await world.succeed("http", fields)).value
    assert seen["line"] == "GET /p?x=0&n=1&t=true&l=a&l=b HTTP/1.1"
    assert seen["headers"]["x-n"] == "5"


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ({"bearer": "tok"}, "Bearer tok"),
        ({"username": "ann", "password": "pä:ss"}, "Basic YW5uOnDDpDpzcw=="),
        ({"username": "ann"}, "Basic YW5uOg=="),
    ],
)
async def test_who_is_asking_is_said_in_a_header(world: World, echo: Server, auth: dict[str, Any], header: str) -> None:
    assert (await world.succeed("http", get(echo, auth=auth))).value["headers"]["authorization"] == header


@pytest.mark.parametrize(
    ("status", "type"),
    [
        ("400 Bad", "refused"),
        ("401 No", "auth"),
        ("403 No", "auth"),
        ("404 Gone", "refused"),
        ("429 Slow", "rate_limited"),
        ("500 Oh", "outage"),
        ("503 Busy", "overloaded"),
        ("504 Late", "timeout"),
        ("302 Found", "refused"),
    ],
)
async def test_an_unexpected_status_is_a_failure_of_its_sort(world: World, status: str, type: str) -> None:
    async with serving(ok(b"the\n reason \x1b[31m", "Retry-After: 7", status=status)) as server:
        error = await world.fail("http", get(server))
    assert (error.type, str(error)) == (type, f"status {status[:3]}: the reason ␛[31m")
    assert error.meta["response"]["status"] == int(status[:3])
    assert error.meta["retry_after"] == 7.0


@pytest.mark.parametrize("expect", [[404], ["404"], ["4xx"], [200, "404"], ["4XX"]])
async def test_the_statuses_expected_are_successes(world: World, expect: list[Any]) -> None:
    async with serving(ok(b"none", status="404 Not Found")) as server:
        assert (await world.succeed("http", get(server, expect=expect))).value == "none"
        assert (await world.fail("http", get(server, expect=["2xx"]))).type == "refused"


async def test_a_redirect_that_is_not_followed_says_where_it_would_go(world: World) -> None:
    async with serving(redirect("https://elsewhere.test/x")) as server:
        error = await world.fail("http", get(server))
    assert error.help is not None
    assert "https://elsewhere.test/x" in error.help


async def test_redirects_are_followed_when_asked(world: World, echo: Server) -> None:
    async with serving(redirect(echo.url("/there"))) as server:
        done = await world.succeed("http", get(server, follow=True))
    assert done.value["line"] == "GET /there HTTP/1.1"
    assert done.meta["response"]["url"] == echo.url("/there")


async def test_a_forbidden_address_is_denied(world: World) -> None:
    error = await world.fail("http", {"method": "GET", "url": "http://169.254.169.254/latest"})
    assert error.type == "denied"


async def test_the_timeout_of_the_task_bounds_the_request(world: World) -> None:
    async def silence(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(silence) as server:
        assert (await world.fail("http", get(server), deadline=NOW + 0.2)).type == "timeout"


async def test_a_secret_that_comes_back_is_masked(world: World) -> None:
    body = json.dumps({"you said": SECRET}).encode()
    async with serving(ok(body, JSON_TYPE, f"X-Echo: {SECRET}")) as server:
        done = await world.succeed("http", get(server, f"/?t={SECRET}"), secrets=(SECRET,))
        assert done.value == {"you said": "***"}
        assert SECRET not in repr(done)
    async with serving(ok(SECRET.encode(), status="400 Bad")) as server:
        error = await world.fail("http", get(server), secrets=(SECRET,))
    assert str(error) == "status 400: ***"
