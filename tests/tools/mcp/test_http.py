"""Tools of a server that is reached over HTTP: headers, refusals, and a line that breaks."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.errors import TaskError
from tests.tools.conformance import SECRET
from tests.tools.mcp.conftest import Scripted, tool


async def test_a_server_on_loopback_is_the_users_own_word(over_http: Scripted) -> None:
    assert await over_http.call("echo", text="hello") == "hello"


async def test_its_headers_go_with_every_request(over_http: Scripted) -> None:
    over_http.said["headers"] = {"Authorization": f"Bearer {SECRET}"}
    await over_http.call("echo", text="x")
    requests = [line for line in over_http.seen if line.startswith("auth")]
    assert set(requests) == {f"auth Bearer {SECRET}"}
    assert len(requests) >= 3


@pytest.mark.parametrize("status", [401, 403, 404, 500])
async def test_a_refusal_says_so_without_what_was_sent(over_http: Scripted, status: int) -> None:
    over_http.said["headers"] = {"Authorization": f"Bearer {SECRET}"}
    over_http.script(status=status, body=f"no, {SECRET}")
    with pytest.raises(TaskError) as failure:
        await over_http.open(secrets=(SECRET,))
    assert failure.value.type == "outage"
    assert "play" in failure.value.message
    assert SECRET not in failure.value.message


async def test_a_server_that_is_not_there_is_an_outage(over_http: Scripted) -> None:
    over_http.said["url"] = "http://127.0.0.1:1/mcp"
    error = await over_http.fail("echo")
    assert error.type == "outage"
    assert error.message.startswith("MCP server `play` cannot be reached")


async def test_a_call_whose_line_breaks_is_an_error_and_the_next_one_works(over_http: Scripted) -> None:
    over_http.script(crash="echo")
    error = await over_http.fail("echo", text="x")
    assert error.type in ("lost", "tool", "outage")
    over_http.script(crash="")
    assert await over_http.call("echo", text="back") == "back"


async def test_a_refused_call_does_not_take_others_with_it(over_http: Scripted) -> None:
    over_http.script(tools=[tool("echo"), tool("ghost")], slow="echo")
    tools = await over_http.open()
    slow = asyncio.create_task(tools["play.echo"].call({"text": "still here"}, "c1"))
    while "slow" not in over_http.seen:  # noqa: ASYNC110 - another thread writes it
        await asyncio.sleep(0.01)
    with pytest.raises(TaskError, match="refused"):
        await tools["play.ghost"].call({}, "c2")
    assert over_http.play is not None
    over_http.play.go_on.set()
    assert await slow == "still here"
    assert await tools["play.echo"].call({"text": "back"}, "c3") == "back"


async def test_a_redirect_to_somebody_else_is_not_followed(over_http: Scripted) -> None:
    over_http.script(status=307, location="http://127.0.0.1:1/elsewhere")
    with pytest.raises(TaskError) as failure:
        await over_http.open()
    assert failure.value.type == "outage"


async def test_a_metadata_service_is_no_tool_server(over_http: Scripted) -> None:
    over_http.said["url"] = "http://169.254.169.254/mcp"
    with pytest.raises(TaskError, match="metadata") as failure:
        await over_http.open()
    assert failure.value.type == "denied"


async def test_only_http_addresses_are_taken(over_http: Scripted) -> None:
    over_http.said["url"] = "file:///etc/passwd"
    with pytest.raises(TaskError) as failure:
        await over_http.open()
    assert failure.value.type == "invalid_input"


async def test_an_answer_beyond_all_bounds_is_cut_off(over_http: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.tools import _mcp_transport

    tools = await over_http.open()
    monkeypatch.setattr(_mcp_transport, "MESSAGE_MAX", 10_000)
    with pytest.raises(TaskError):
        await tools["play.echo"].call({"text": "x" * 20_000}, "c1")
    monkeypatch.undo()
    assert await over_http.call("echo", text="back") == "back"
