"""The delegates that come with the house, with real files, real processes and a real loopback server."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import hmac
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import pytest_asyncio

from orchestrator.delegates import DelegateDispatcher, DelegateManager
from orchestrator.delegates.envelope import delegates_schema
from orchestrator.delegates.loading import attach_delegate
from orchestrator.errors import CredentialsError, NotFoundError, UsageError
from orchestrator.host.http import HttpxHttp
from orchestrator.host.processes import ReapedProcesses
from orchestrator.ports.delegate import DelegateContext

DONE = ("task_execution_completed", {"task_id": "build", "status": "succeeded", "result_summary": {"text": "a b"}})


class Server:
    """Answers every POST with `status` and keeps what it got."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head if line)}
        self.requests.append((headers, await reader.readexactly(int(headers["content-length"]))))
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % self.status)
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/hook"
    yield server
    listening.close()


@pytest.fixture
def written() -> list[str]:
    """The lines a delegate wrote for people."""
    return []


@pytest_asyncio.fixture
async def context(tmp_path: Path, written: list[str]) -> AsyncIterator[DelegateContext]:
    (tmp_path / "state").mkdir()
    http, processes = HttpxHttp(allow_private=["127.0.0.1"]), ReapedProcesses(tmp_path / "state")
    environ = {"PATH": os.environ["PATH"], "HOOK_KEY": "a long enough key"}
    yield DelegateContext(project=tmp_path, http=http, processes=processes, environ=environ, write=written.append)
    await http.close()
    await processes.close()


async def tell(manager: DelegateManager, *batch: tuple[str, dict[str, Any]]) -> None:
    dispatcher = DelegateDispatcher(manager, context={"run_id": "r1"})
    dispatcher.post(list(batch))
    assert await dispatcher.drain(20)
    await dispatcher.close()


async def test_log_writes_one_line_for_people_and_nothing_a_terminal_obeys(context, written):
    manager = DelegateManager()
    attach_delegate("log", manager, context)
    await tell(manager, DONE, ("engine_error_occurred", {"error_type": "x", "error_message": "a\x1b[2Jb\nc\u202e"}))
    first, second = written
    assert first.endswith('task_execution_completed task_id=build status=succeeded text="a b"')
    assert not any(c in second for c in "\x1b\n\u202e")


async def test_trace_appends_lines_that_fit_the_published_schema_to_a_private_file(context):
    manager = DelegateManager()
    attach_delegate("trace:events.ndjson", manager, context)
    await tell(manager, ("engine_started", {"workflow": "workflows/a.yaml"}), DONE)
    await tell(manager, ("engine_stopped", {"status": "succeeded"}))
    path = context.project / "events.ndjson"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [e["event_type"] for e in events] == ["engine_started", "task_execution_completed", "engine_stopped"]
    for event in events:
        jsonschema.validate(event, delegates_schema())
    assert path.stat().st_mode & 0o777 == 0o600


async def test_trace_says_at_once_that_its_file_cannot_be_written(context):
    with pytest.raises(UsageError, match="No such file"):
        attach_delegate("trace:nowhere/events.ndjson", DelegateManager(), context)


async def test_webhook_posts_signed_json_only_for_the_events_it_was_given(context, server):
    manager = DelegateManager()
    options = {"url": server.url, "secret_env": "HOOK_KEY", "events": ["engine_stopped"], "headers": {"X-Team": "blue"}}
    attach_delegate({"webhook": options}, manager, context)
    await tell(manager, DONE, ("engine_stopped", {"status": "failed"}))
    ((headers, body),) = server.requests
    event = json.loads(body)
    jsonschema.validate(event, delegates_schema())
    assert (event["event_type"], event["payload"]["status"], headers["x-team"]) == ("engine_stopped", "failed", "blue")
    signed = headers["x-whisper-flow-timestamp"].encode() + b"." + body
    expected = hmac.new(b"a long enough key", signed, hashlib.sha256).hexdigest()
    assert headers["x-whisper-flow-signature"] == f"sha256={expected}"


async def test_webhook_without_a_key_sends_no_signature_and_a_named_key_must_be_there(context, server):
    manager = DelegateManager()
    attach_delegate(f"engine_stopped=webhook:{server.url}", manager, context)
    await tell(manager, ("engine_stopped", {}))
    assert "x-whisper-flow-signature" not in server.requests[0][0]
    with pytest.raises(CredentialsError, match="OTHER_KEY"):
        attach_delegate({"webhook": {"url": server.url, "secret_env": "OTHER_KEY"}}, manager, context)


async def test_a_webhook_that_is_refused_is_told_as_a_delegates_failure(context, server):
    server.status = 503
    manager, told = DelegateManager(), []
    attach_delegate(f"engine_stopped=webhook:{server.url}", manager, context)
    manager.register("delegate_execution_error", lambda sender, event_type, error, **_: told.append(error))
    await tell(manager, ("engine_stopped", {}))
    assert told == ["WhisperFlowError: the webhook answered 503"]


async def test_a_webhook_to_an_address_of_this_machine_is_refused_unless_allowed(context, server):
    manager, told = DelegateManager(), []
    strict = dataclasses.replace(context, http=HttpxHttp())
    attach_delegate(f"engine_stopped=webhook:{server.url}", manager, strict)
    manager.register("delegate_execution_error", lambda sender, event_type, error, **_: told.append(error))
    await tell(manager, ("engine_stopped", {}))
    await strict.http.close()
    assert server.requests == []
    assert "127.0.0.1" in told[0]


async def test_command_gets_the_event_on_standard_input_in_a_bare_environment(context):
    manager = DelegateManager()
    program = "import sys, os, json; json.dump([json.load(sys.stdin), dict(os.environ)], open('out.json', 'w'))"
    attach_delegate({"command": {"argv": [sys.executable, "-c", program], "env": {"TEAM": "blue"}}}, manager, context)
    await tell(manager, DONE, ("engine_started", {}))
    event, environ = json.loads((context.project / "out.json").read_text())
    jsonschema.validate(event, delegates_schema())
    assert event["payload"]["task_id"] == "build"
    assert (environ["TEAM"], environ["WHISPER_FLOW_EVENT"]) == ("blue", "task_execution_completed")
    assert not {"HOME", "USER"} & environ.keys()


async def test_a_command_that_fails_is_told_with_its_last_line(context):
    manager, told = DelegateManager(), []
    attach_delegate({"command": {"argv": ["sh", "-c", "echo first >&2; echo last >&2; exit 3"]}}, manager, context)
    manager.register("delegate_execution_error", lambda sender, event_type, error, **_: told.append(error))
    await tell(manager, DONE)
    assert told == ["WhisperFlowError: sh ended with exit code 3: last"]


@pytest.mark.parametrize(
    ("script", "pauses"),
    [
        ("exit 0", True),
        ("exit 1", False),
        ("echo true; exit 1", True),
        ("echo false", False),
        ("""echo '{"answer": true, "because": "friday"}'""", True),
        ("grep -q deploy", True),
        ("grep -q something-else", False),
        ("echo perhaps", False),
        ("exit 7", False),
    ],
)
async def test_a_command_answers_a_control_by_exit_code_or_json(context, script, pauses):
    manager = DelegateManager()
    attach_delegate({"command": {"argv": ["sh", "-c", script], "events": ["engine_request_pause"]}}, manager, context)
    dispatcher = DelegateDispatcher(manager)
    answers = await dispatcher.ask_controls(task_ids=["deploy"], limit=20)
    assert (answers.pause, answers.stop) == (pauses, False)
    failed = script in ("echo perhaps", "exit 7")
    assert bool(answers.unanswered) == failed
    await dispatcher.close()


async def test_a_file_holds_a_run_from_the_command_line_alone(context):
    manager = DelegateManager()
    attach_delegate("engine_request_pause=command:test -e HOLD", manager, context)
    dispatcher = DelegateDispatcher(manager)
    assert not (await dispatcher.ask_controls(limit=20)).pause
    (context.project / "HOLD").touch()
    assert (await dispatcher.ask_controls(limit=20)).pause
    await dispatcher.close()


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("log:x", UsageError, "takes nothing"),
        ("trace", UsageError, "needs a file"),
        ("webhook:ftp://x", UsageError, "http address"),
        ("command", UsageError, "needs a program"),
        ("command:'", UsageError, "cannot read the command"),
        ("engine_stoped=log", UsageError, "engine_stoped"),
        ("engine_request_pause=log", UsageError, "is a control"),
        ({"webhook": {"ulr": "https://x"}}, UsageError, "no option `ulr`"),
        ({"webhok": {}}, NotFoundError, "webhok"),
        ({"log": 3}, UsageError, "must be a mapping"),
        ({"log": {}, "trace": {}}, UsageError, "one name"),
    ],
)
async def test_a_mistake_is_said_before_the_run_starts(context, spec, error, message):
    with pytest.raises(error, match=message):
        attach_delegate(spec, DelegateManager(), context)
