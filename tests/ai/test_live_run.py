"""Whole runs from the command line against a model server on loopback: the key missing, going live, killed in mid-stream."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from providers.wire_server import Reply, WireServer, error_reply, text_reply, wire_server

KEY = "sk-canary-0123456789abcdef"
WORKFLOW = """\
name: live
agents:
  one: {model: openai/gpt-4.1, ai_config: {temperature: 0.1, max_tokens: 11}, instructions: I am one.}
  two: {model: openai/gpt-4.1-mini, ai_config: {temperature: 0.9}, instructions: I am two.}
tasks:
  first: {agent: one, prompt: Say one.}
  second: {agent: two, prompt: "Say two after ${{ first }}", output: {ok: boolean}}
outputs: {first: '${{ first }}', ok: '${{ second.ok }}'}
"""

WORKER = """\
name: live
workers:
  ours:
    provider: custom
    model_name: their-model
    auth: {env_var: TEAM_KEY}
    base_config: {base_url: 'URL'}
    cost_metrics: {input_per_token: 1, output_per_token: 2}
agents: {one: {worker: ours, ai_config: {max_tokens: 50}}}
tasks: {first: {agent: one, prompt: Say one.}}
outputs: {first: '${{ first }}', cost: '${{ tasks.first.cost | int }}'}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "live.yaml").write_text(WORKFLOW)
    return tmp_path


@asynccontextmanager
async def whisper_flow(project: Path, *arguments: str, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "orchestrator.cli",
        *arguments,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "NO_PROXY": "127.0.0.1", **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def finished(project: Path, *arguments: str, **environ: str) -> tuple[int, str, str]:
    async with whisper_flow(project, *arguments, **environ) as process:
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def live(wire: WireServer) -> dict[str, str]:
    return {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": wire.url}


async def test_without_its_key_nothing_starts_and_the_variable_is_named(project: Path) -> None:
    code, _, err = await finished(project, "run", "workflows/live.yaml")
    assert code == 4
    assert "OPENAI_API_KEY" in err


async def test_each_agent_of_a_run_reaches_the_provider_with_its_own_config(project: Path) -> None:
    async with wire_server(text_reply("One."), text_reply('{"ok": true}')) as wire:
        code, out, err = await finished(project, "run", "workflows/live.yaml", **live(wire))
    assert (code, json.loads(out)) == (0, {"first": "One.", "ok": True}), err
    first, second = (received.body for received in wire.received)
    assert (first["model"], first["temperature"], first["max_completion_tokens"]) == ("gpt-4.1", 0.1, 11)
    assert (second["model"], second["temperature"], second.get("max_completion_tokens")) == ("gpt-4.1-mini", 0.9, None)
    assert first["messages"][0] == {"role": "system", "content": "I am one."}
    assert second["messages"][-1] == {"role": "user", "content": "Say two after One."}
    assert second["response_format"]["json_schema"]["schema"]["properties"] == {"ok": {"type": "boolean"}}
    assert "synthetic" not in out + err


async def test_a_budget_stops_the_run_before_the_request_that_could_exceed_it(project: Path) -> None:
    file = project / "workflows" / "live.yaml"
    file.write_text(f"budget: {{cost: $0.000001}}\n{WORKFLOW}")
    async with wire_server(text_reply("One.")) as wire:
        code, _, err = await finished(project, "run", "workflows/live.yaml", **live(wire))
    assert code == 6, err
    assert "budget" in err
    assert wire.received == []


async def test_a_called_workflow_draws_on_its_callers_budget(project: Path) -> None:
    (project / "workflows" / "outer.yaml").write_text(
        "name: outer\nbudget: {cost: $0.000001}\ntasks: {inner: {workflow: workflows/live.yaml}}\n"
    )
    async with wire_server(text_reply("One.")) as wire:
        code, _, err = await finished(project, "run", "workflows/outer.yaml", **live(wire))
    assert code != 0
    assert "budget" in err
    assert wire.received == []


async def test_a_worker_gives_its_agents_key_address_and_prices(project: Path) -> None:
    async with wire_server(text_reply("One.")) as wire:
        (project / "workflows" / "live.yaml").write_text(WORKER.replace("URL", wire.url))
        code, out, err = await finished(project, "run", "workflows/live.yaml", TEAM_KEY="team-key-1")
    assert (code, json.loads(out)) == (0, {"first": "One.", "cost": 35}), err
    assert wire.received[0].headers["authorization"] == "Bearer team-key-1"
    assert wire.received[0].body["model"] == "their-model"


async def test_an_agents_own_repair_holds_where_its_task_says_nothing(project: Path) -> None:
    file = project / "workflows" / "live.yaml"
    file.write_text(WORKFLOW.replace("two: {", "two: {repair: 0, "))
    async with wire_server(text_reply("One."), text_reply("no json")) as wire:
        code, _, err = await finished(project, "run", "workflows/live.yaml", **live(wire))
    assert code == 1
    assert "does not fit" in err
    assert len(wire.received) == 2


async def test_the_key_is_in_nothing_that_a_run_leaves_behind(project: Path) -> None:
    refused = error_reply(401, "invalid_api_key", f"Incorrect API key provided: {KEY}")
    async with wire_server(refused) as wire:
        code, out, err = await finished(project, "run", "workflows/live.yaml", "--debug", **live(wire))
    assert code == 4, err
    assert "does not accept the key" in err
    assert KEY not in out + err
    assert _files_with(project, b"") != []
    assert _files_with(project, KEY.encode()) == []


async def test_killed_in_mid_stream_and_resumed_it_repeats_that_request_once_and_no_recorded_one(project: Path) -> None:
    never = asyncio.Event()
    whole = text_reply('{"ok": true}')
    async with wire_server(text_reply("One."), Reply(events=whole.events, gate=never), whole) as wire:
        async with whisper_flow(project, "run", "workflows/live.yaml", **live(wire)) as process:
            await _received(wire, 2)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        code, out, err = await finished(project, "resume", "@last", **live(wire))
        assert code == 0, err
        shown_code, shown, _ = await finished(project, "show", "@last", "--json")
    assert shown_code == 0
    prompts = [received.body["messages"][-1]["content"] for received in wire.received]
    assert prompts == ["Say one.", "Say two after One.", "Say two after One."]
    assert '"ok": true' in out or '"ok":true' in out or json.loads(shown)
    assert _calls(project) == ["answered", "unknown", "answered"]


def _files_with(project: Path, text: bytes) -> list[Path]:
    return [path for path in project.rglob("*") if path.is_file() and text in path.read_bytes()]


async def _received(wire: WireServer, count: int) -> None:
    while len(wire.received) < count:
        wire.arrived.clear()
        await asyncio.wait_for(wire.arrived.wait(), 30)


def _calls(project: Path) -> list[Any]:
    from orchestrator.ai.ledger import paid_calls
    from orchestrator.stores.sqlite import SqliteJournal

    journal = SqliteJournal(project / ".whisper-flow")
    try:
        (run,) = [row.stream for row in journal.rows(parent="")]
        return [call.status for call in paid_calls(journal, run)]
    finally:
        journal.close()


async def test_money_is_told_in_its_own_currency_and_a_cost_that_nobody_knows_as_unknown(project: Path) -> None:
    prices = "cost_metrics: {currency: EUR, input_per_token: 1, output_per_token: 2}"
    async with wire_server(text_reply("One.")) as wire:
        (project / "workflows" / "live.yaml").write_text(
            "name: live\nworkers:\n"
            f"  ours: {{provider: custom, model_name: m, base_config: {{base_url: '{wire.url}'}}, {prices}}}\n"
            f"  free: {{provider: custom, model_name: m, base_config: {{base_url: '{wire.url}'}}}}\n"
            "agents: {one: {worker: ours}, two: {worker: free}}\n"
            "tasks: {first: {agent: one, prompt: Hi}, second: {agent: two, prompt: Hi}}\n"
        )
        code, _, err = await finished(project, "run", "workflows/live.yaml")
    assert code == 0, err
    assert "€35.00 + 1 unknown" in err
    assert "$" not in err
    _, shown, _ = await finished(project, "show")
    assert "€35.00 + 1 unknown" in shown
    assert re.search(r"second\s+succeeded\s+\S+\s+cost unknown", shown)
    _, listed, _ = await finished(project, "runs")
    assert "€35.00 + 1 unknown" in listed
    page = json.loads((await finished(project, "show", "--json"))[1])
    assert (page["cost"], page["currency"], page["usage"]["unpriced"]) == (35, "EUR", 1)
