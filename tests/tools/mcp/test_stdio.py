"""Tools of a server that is a process: what reaches it, what comes back, and how it may fall."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import TaskError
from orchestrator.host.environment import BASE_NAMES
from orchestrator.tools._mcp_connection import Connection
from orchestrator.tools._mcp_results import RESULT_MAX
from orchestrator.tools._mcp_server import declared_server
from tests.tools.conformance import SECRET
from tests.tools.mcp.conftest import Scripted, tool


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_its_tools_are_called_by_server_and_name(scripted: Scripted) -> None:
    tools = await scripted.open()
    assert sorted(tools) == ["play.echo", "play.where"]
    assert tools["play.echo"].spec.name == "play_echo"
    assert tools["play.echo"].spec.parameters["properties"] == {"text": {"type": "string"}}
    assert await tools["play.echo"].call({"text": "hello"}, "c1") == "hello"


async def test_globs_choose_among_its_tools_and_open_no_server_they_cannot_mean(scripted: Scripted) -> None:
    assert list(await scripted.open("play.e*")) == ["play.echo"]
    assert sorted(await scripted.open("*")) == ["play.echo", "play.where"]
    before = len(scripted.seen)
    assert await scripted.open("files.*", "time.now") == {}
    assert len(scripted.seen) == before


async def test_a_list_on_many_pages_is_read_to_its_end(scripted: Scripted) -> None:
    scripted.script(tools=[tool(f"t{number}") for number in range(7)], pages=4)
    assert len(await scripted.open()) == 7


async def test_it_gets_the_base_variables_and_its_own_and_no_others(scripted: Scripted) -> None:
    scripted.script(tools=[tool("environment")])
    scripted.said["env"] = {"TOKEN": SECRET, "LEVEL": 3}
    context_env = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "OPENAI_API_KEY": "never", "TASK_OWN": "never"}
    tools = await scripted.open(env=context_env)
    found = json.loads(await tools["play.environment"].call({}, "c1"))
    assert {"TOKEN": SECRET, "LEVEL": "3", "HOME": "/nowhere"}.items() <= found.items()
    assert set(found) <= {*BASE_NAMES, "TOKEN", "LEVEL", "LC_CTYPE", "PWD"}


async def test_it_works_in_the_project_or_a_folder_of_it(scripted: Scripted) -> None:
    assert await scripted.call("where") == str(scripted.world.project.resolve())
    scripted.world.file("inner/x")
    scripted.said["cwd"] = "inner"
    assert await scripted.call("where") == str(scripted.world.project.resolve() / "inner")


async def test_it_may_not_work_outside_the_project(scripted: Scripted) -> None:
    scripted.said["cwd"] = "../elsewhere"
    assert (await scripted.fail("where")).type == "invalid_input"


async def test_equal_declarations_share_one_process_and_others_do_not(scripted: Scripted) -> None:
    await asyncio.gather(*(scripted.call("echo", text=str(number)) for number in range(20)))
    assert len(scripted.starts) == 1
    scripted.said["env"] = {"OTHER": "1"}
    await scripted.call("echo", text="x")
    assert len(scripted.starts) == 2


async def test_parallel_calls_get_each_their_own_answer(scripted: Scripted) -> None:
    tools = await scripted.open()
    said = [f"word {number}" for number in range(200)]
    answers = await asyncio.gather(*(tools["play.echo"].call({"text": word}, word) for word in said))
    assert answers == said


async def test_a_greeting_that_is_no_message_is_passed_over(scripted: Scripted) -> None:
    scripted.script(greeting="Welcome to the server!\n\n{not json}")
    assert await scripted.call("echo", text="x") == "x"


async def test_an_error_of_the_tool_goes_to_the_model_in_its_own_words(scripted: Scripted) -> None:
    result = {"content": [{"type": "text", "text": "no such city: Atlantis"}], "isError": True}
    scripted.script(tools=[tool("weather")], results={"weather": result})
    error = await scripted.fail("weather")
    assert (error.type, error.message) == ("tool", "no such city: Atlantis")


async def test_an_error_of_the_protocol_is_told_apart_from_the_tools_own(scripted: Scripted) -> None:
    scripted.script(tools=[tool("ghost")], results={})
    error = await scripted.fail("ghost")
    assert error.type == "tool"
    assert error.message == "MCP server `play` refused: 'ghost'"


async def test_structured_content_comes_as_json_and_a_wrapped_text_as_text(scripted: Scripted) -> None:
    rows = {"rows": [1, 2], "total": 2}
    results = {
        "table": {"content": [{"type": "text", "text": json.dumps(rows)}], "structuredContent": rows},
        "plain": {"content": [{"type": "text", "text": "hi"}], "structuredContent": {"result": "hi"}},
    }
    scripted.script(tools=[tool("table"), tool("plain")], results=results)
    assert await scripted.call("table") == rows
    assert await scripted.call("plain") == "hi"


async def test_a_picture_is_stored_beside_the_run_and_described(scripted: Scripted) -> None:
    scripted.script(tools=[tool("picture")])
    said = await scripted.call("picture")
    (stored,) = (scripted.context().run_dir / "artifacts" / "mcp").iterdir()
    assert stored.read_bytes() == b"\x89PNG picture"
    assert stored.suffix == ".png"
    assert said == f"[image, image/png, 12 bytes, stored as artifacts/mcp/{stored.name} in the run's folder]"


async def test_resources_are_given_as_text_or_named(scripted: Scripted) -> None:
    content = [
        {"type": "resource", "resource": {"uri": "file:///a.txt", "text": "inside"}},
        {"type": "resource_link", "uri": "https://example.invalid/b", "name": "b"},
        {"type": "resource", "resource": {"uri": "file:///c", "blob": "!!!"}},
    ]
    scripted.script(tools=[tool("read")], results={"read": {"content": content}})
    assert await scripted.call("read") == (
        "[file:///a.txt]\ninside\n[b: https://example.invalid/b, not fetched]\n"
        "[file:///c that is no valid base64, dropped]"
    )


async def test_a_huge_text_is_cut_in_its_middle(scripted: Scripted) -> None:
    said = await scripted.call("echo", text="a" * RESULT_MAX + "the end")
    assert len(said) < RESULT_MAX + 100
    assert said.startswith("aaa")
    assert said.endswith("the end")
    assert "characters left out" in said


async def test_a_message_without_end_ends_the_server_not_us(scripted: Scripted) -> None:
    scripted.script(flood="echo")
    error = await scripted.fail("echo", text="x")
    assert error.type == "lost"
    scripted.script(flood="")
    assert await scripted.call("echo", text="again") == "again"
    assert not alive(scripted.starts[0])


async def test_a_server_that_dies_during_a_call_is_said_and_started_again_for_the_next(scripted: Scripted) -> None:
    scripted.script(crash="echo")
    error = await scripted.fail("echo", text="x")
    assert error.type == "lost"
    assert error.message == "MCP server `play` ended before it had answered: it hurts"
    scripted.script(crash="")
    assert await scripted.call("echo", text="back") == "back"
    assert len(scripted.starts) == 2


async def test_a_killed_server_is_started_again_for_tools_that_are_already_open(scripted: Scripted) -> None:
    tools = await scripted.open()
    await tools["play.echo"].call({"text": "x"}, "c1")
    os.kill(scripted.starts[0], signal.SIGKILL)
    answers = []
    for number in range(3):  # the death may be noticed during the first
        try:
            answers.append(await tools["play.echo"].call({"text": "back"}, f"c{number}"))
        except TaskError as error:
            answers.append(error.type)
    assert set(answers) <= {"lost", "back"}
    assert answers[-1] == "back"
    assert len(scripted.starts) == 2


async def test_a_call_that_takes_too_long_is_given_up_and_the_server_stays(scripted: Scripted) -> None:
    scripted.script(hang="echo")
    server = declared_server("play", scripted.said, scripted.context())
    connection = Connection(server, scripted.world.processes)
    tools = await connection.tools()
    from orchestrator.tools._mcp_pins import list_digest

    digest = list_digest(tools)
    with pytest.raises(TaskError) as failure:
        await connection.call("echo", {}, digest=digest, timeout=0.2)
    assert failure.value.type == "timeout"
    answer = await connection.call("where", {}, digest=digest, timeout=10)
    assert answer.content[0].text == str(scripted.world.project.resolve())
    assert connection.started == 1
    await connection.close()
    assert not alive(scripted.starts[0])


async def test_a_cancelled_call_leaves_the_server_working(scripted: Scripted) -> None:
    scripted.script(hang="echo")
    tools = await scripted.open()
    call = asyncio.create_task(tools["play.echo"].call({"text": "x"}, "c1"))
    while "hang" not in scripted.seen:  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await tools["play.where"].call({}, "c2")
    assert len(scripted.starts) == 1


async def test_a_server_nobody_calls_is_let_go_and_comes_back_when_needed(scripted: Scripted) -> None:
    server = declared_server("play", scripted.said, scripted.context())
    connection = Connection(server, scripted.world.processes, idle_s=0.05)
    await connection.tools()
    while alive(scripted.starts[0]):  # noqa: ASYNC110 - nobody tells when a stranger dies
        await asyncio.sleep(0.01)
    assert len(await connection.tools()) == 2
    assert connection.started == 2
    await connection.close()


async def test_a_server_that_cannot_start_says_why(scripted: Scripted) -> None:
    scripted.script(die_at_start="the database is locked")
    error = await scripted.fail("echo")
    assert error.type == "outage"
    assert error.message == "MCP server `play` ended before it had said hello: the database is locked"
    scripted.said["command"] = "no-such-server"
    error = await scripted.fail("echo")
    assert (error.type, error.help) == ("outage", "is it installed, and on PATH?")
    assert "no-such-server" in error.message


async def test_closing_the_source_ends_its_servers(scripted: Scripted) -> None:
    await scripted.call("echo", text="x")
    await scripted.tools.close()
    assert not alive(scripted.starts[0])


async def test_a_secret_in_what_it_complains_about_is_masked(scripted: Scripted) -> None:
    scripted.script(die_at_start=f"cannot log in with {SECRET}")
    with pytest.raises(TaskError) as failure:
        await scripted.open(secrets=(SECRET,))
    assert failure.value.message.endswith("cannot log in with ***")


async def test_a_secret_in_its_descriptions_is_masked_before_they_are_pinned(scripted: Scripted) -> None:
    scripted.script(tools=[tool("echo", f"Uses {SECRET}.")])
    tools = await scripted.open(secrets=(SECRET,))
    assert tools["play.echo"].spec.description == "Uses ***."
    assert SECRET not in (scripted.world.project / "config" / "mcp.lock.json").read_text()


async def test_without_the_extra_the_error_names_it_and_nothing_is_started(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "orchestrator.tools._mcp_transport", None)
    error = await scripted.fail("echo")
    assert (error.type, error.message) == ("tool", "MCP server `play` needs the extra `mcp`")
    assert error.help == "pip install 'whisper-flow[mcp]'"
    assert scripted.starts == []


def test_the_source_itself_imports_no_sdk() -> None:
    program = "import sys, orchestrator.tools.mcp; print([m for m in ('mcp', 'anyio', 'httpx2', 'pydantic') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
