"""Limits of whole runs from the command line; a loopback server counts the requests that really went out."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from ai.test_live_run import finished, whisper_flow
from providers.wire_server import Reply, WireServer, text_reply, wire_server

WORKERS = """\
name: limited
workers:
  ours:
    provider: custom
    model_name: m
    auth: {none: true}
    base_config: {base_url: 'URL'}
    cost_metrics: {input_per_million: 0, output_per_million: 10000}
    rate_limits: {RATES}
agents: {one: {worker: ours, ai_config: {max_tokens: 10}}}
"""
"""Ten tokens out cost ten cents at most; a short answer of the server is 7 tokens: seven cents."""


def write(project: Path, wire: WireServer, text: str, rates: str = "") -> None:
    (project / "workflows").mkdir(exist_ok=True)
    head = WORKERS.replace("URL", wire.url).replace("RATES", rates)
    (project / "workflows" / "x.yaml").write_text(head + text)


async def run(project: Path, *more: str) -> tuple[int, str, str]:
    return await finished(project, "run", "workflows/x.yaml", "--progress", "plain", *more)


async def test_parallel_runs_against_a_days_budget_stop_before_the_request_that_would_exceed_it(tmp_path: Path) -> None:
    text = """\
budget: {cost_per_day: $0.50}
tasks: {t: {foreach: range(4), on_item_error: collect, agent: one, prompt: Go}}
outputs: {ok: '${{ t.ok | length }}', errors: '${{ t.failed | map(attribute="error.type") | unique }}'}
"""
    async with wire_server(text_reply("Yes.")) as wire:
        write(tmp_path, wire, text)
        ended = [json.loads(out) for _, out, _ in await asyncio.gather(*(run(tmp_path) for _ in range(3)))]
        # Each may cost 10 cents and costs 7: with 42 spent the seventh could come to 52.
        assert sum(outputs["ok"] for outputs in ended) == len(wire.received) == 6
        assert {error for outputs in ended for error in outputs["errors"]} == {"budget"}
        write(tmp_path, wire, "budget: {cost_per_day: $0.50}\ntasks: {t: {agent: one, prompt: Go}}\n")
        code, _, err = await run(tmp_path)
    assert code == 6
    assert "$0.080 of $0.50 is left" in err
    assert len(wire.received) == 6


async def test_items_groups_loops_and_their_totals_are_budgets_of_their_own(tmp_path: Path) -> None:
    text = """\
budget: {turns: 30}
tasks:
  items:
    foreach: [1, 2, 3]
    max_parallel: 1
    on_item_error: collect
    total_budget: {turns: 5}
    budget: {turns: 2}
    loop: {times: 4}
    tasks:
      ask: {agent: one, prompt: 'Item ${{ item }} round ${{ round }}'}
outputs: {failed: '${{ items.failed | map(attribute="key") }}'}
"""
    async with wire_server(text_reply("Yes.")) as wire:
        write(tmp_path, wire, text)
        code, out, err = await run(tmp_path)
    # Two for the first item, two for the second, one for the third: then all items together have had theirs.
    assert len(wire.received) == 5, err
    assert (code, json.loads(out)) == (0, {"failed": ["0", "1", "2"]})


async def test_a_called_workflow_draws_on_the_group_of_the_task_that_called_it(tmp_path: Path) -> None:
    text = """\
tasks:
  group:
    budget: {turns: 2}
    tasks:
      a: {workflow: workflows/inner.yaml}
      b: {after: a, workflow: workflows/inner.yaml}
      c: {after: b, workflow: workflows/inner.yaml}
"""
    async with wire_server(text_reply("Yes.")) as wire:
        write(tmp_path, wire, "tasks: {t: {agent: one, prompt: Go}}\n")
        (tmp_path / "workflows" / "x.yaml").rename(tmp_path / "workflows" / "inner.yaml")
        write(tmp_path, wire, text)
        code, _, err = await run(tmp_path)
    assert code == 6, err
    assert len(wire.received) == 2


async def test_a_run_parks_at_its_budget_and_an_answer_lets_every_task_of_it_go_on(tmp_path: Path) -> None:
    text = """\
budget: {cost: $0.15, on_exceeded: ask}
tasks:
  a: {agent: one, prompt: First}
  b: {after: a, agent: one, prompt: Second}
  c: {after: b, agent: one, prompt: Third}
  d: {after: c, agent: one, prompt: Fourth}
outputs: {d: '${{ d }}'}
"""
    async with wire_server(text_reply("Yes.")) as wire:
        write(tmp_path, wire, text)
        code, out, err = await run(tmp_path)
        assert code == 5, out + err
        assert len(wire.received) == 1
        code, out, err = await finished(tmp_path, "answer", "@last", "-p", "raise_by=0.20")
    # The limit is 35 cents now, also for the tasks that never asked; the fourth could come to 31.
    assert code == 0, out + err
    assert len(wire.received) == 4


async def test_killed_in_mid_request_a_run_goes_on_within_its_budget(tmp_path: Path) -> None:
    gate = asyncio.Event()
    held = text_reply("Never.")
    held.gate = gate
    text = "budget: {cost: $0.25}\ntasks: {a: {agent: one, prompt: First}, b: {after: a, agent: one, prompt: Second}}\n"
    async with wire_server(held, text_reply("Yes.")) as wire:
        write(tmp_path, wire, text)
        async with whisper_flow(tmp_path, "run", "workflows/x.yaml", "--progress", "none") as process:
            await wire.arrived.wait()
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
        code, _, err = await finished(tmp_path, "resume", "@last", "--progress", "none")
    # The lost one counts as 10 cents, its repetition as 7: the third could come to 27.
    assert (code, len(wire.received)) == (6, 2), err


async def test_processes_share_a_workers_minute_and_a_run_says_when_it_can_go_on(tmp_path: Path) -> None:
    text = "tasks: {t: {foreach: range(2), on_item_error: collect, agent: one, prompt: Go, timeout: 30s}}\n"
    async with wire_server(text_reply("Yes.")) as wire:
        write(tmp_path, wire, text, "max_requests_per_minute: 3")
        ended = await asyncio.gather(*(run(tmp_path) for _ in range(2)))
        assert len(wire.received) == 3
        code, _, err = await run(tmp_path)
    assert len(wire.received) == 3
    assert any("limit of 3 requests a minute is used up for worker" in err for _, _, err in [*ended, (code, "", err)])


async def test_a_workers_places_hold_across_processes(tmp_path: Path) -> None:
    out = highest = 0
    full = asyncio.Event()

    def counted(request: Any) -> Reply:
        nonlocal out, highest
        out += 1
        highest = max(highest, out)
        if out == 2:
            full.set()
        reply = text_reply("Yes.")
        reply.gate = gate = asyncio.Event()

        async def hold() -> None:
            nonlocal out
            # Until two are out at once; then a little longer, in which a third would come if it could.
            await full.wait()
            await asyncio.sleep(0.3)
            out -= 1
            gate.set()

        held.append(asyncio.create_task(hold()))
        return reply

    held: list[asyncio.Task[None]] = []
    async with wire_server(counted) as wire:
        text = "tasks: {t: {foreach: range(3), agent: one, prompt: Go}}\n"
        write(tmp_path, wire, text, "max_concurrent_active_instances: 2")
        ended = await asyncio.gather(*(run(tmp_path) for _ in range(2)))
    assert [code for code, _, _ in ended] == [0, 0], ended
    assert len(wire.received) == 6
    assert highest == 2


@pytest.mark.parametrize("what", ["cost", "tokens"])
async def test_the_last_turn_is_shown_in_the_runs_record(tmp_path: Path, what: str) -> None:
    limit = {"cost": "cost: $0.12", "tokens": "tokens: 300"}[what]
    text = f"budget: {{{limit}, on_exceeded: wrap_up}}\ntasks: {{t: {{agent: one, prompt: Go}}}}\noutputs: {{t: '${{{{ t }}}}'}}\n"
    async with wire_server(text_reply("What I have.")) as wire:
        write(tmp_path, wire, text)
        code, out, err = await run(tmp_path)
        assert (code, json.loads(out)) == (0, {"t": "What I have."}), err
    (request,) = (received.body for received in wire.received)
    assert "your last turn" in json.dumps(request)
    _, page, _ = await finished(tmp_path, "show", "@last", "t")
    assert "wrapped_up: true" in page
    _, table, _ = await finished(tmp_path, "show", "--calls")
    assert "last turn" in table
