"""`whisper-flow show` tells what was paid for, what is unknown, and how much of the budget is used up."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

from ai.test_limits_live import run, write
from ai.test_live_run import finished, whisper_flow
from providers.wire_server import error_reply, text_reply, wire_server


async def test_a_run_says_what_was_answered_refused_and_cut_off_and_each_call_is_a_row(tmp_path: Path) -> None:
    held = text_reply("Never.")
    held.gate = asyncio.Event()
    async with wire_server(held, error_reply(429), text_reply("Yes.")) as wire:
        text = "budget: {cost: $0.50}\ntasks: {a: {agent: one, prompt: First}}\n"
        write(tmp_path, wire, text)
        async with whisper_flow(tmp_path, "run", "workflows/x.yaml", "--progress", "none") as process:
            await wire.arrived.wait()
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
        _, page, _ = await finished(tmp_path, "show")
        assert "1 unknown (may have cost up to $0.10: the budget counts that)" in page, "nobody waits for it any more"
        code, _, err = await finished(tmp_path, "resume", "@last", "--progress", "none")
        assert (code, len(wire.received)) == (0, 3), err
    _, page, _ = await finished(tmp_path, "show")
    assert "1 answered  1 refused  1 unknown (may have cost up to $0.10: the budget counts that)" in page
    assert "$0.17 of $0.50 (34 %)" in page
    _, table, _ = await finished(tmp_path, "show", "--calls")
    lost, refused, answered = table.splitlines()
    assert "unknown" in lost
    assert "up to $0.10" in lost
    assert "refused" in refused
    assert "rate_limited" in refused
    assert "$0.07" in answered
    _, out, _ = await finished(tmp_path, "show", "--calls", "--json")
    shown = json.loads(out)
    assert shown["calls"] == {"unknown": 1, "refused": 1, "answered": 1}
    assert [row["status"] for row in shown["ledger"]] == ["unknown", "failed", "answered"]
    assert shown["budget"]["spent"]["cost"] == 0.17
    assert shown["budget"]["limits"] == {"cost": 0.5}


async def test_an_answer_that_was_cut_at_max_tokens_says_so(tmp_path: Path) -> None:
    async with wire_server(text_reply("Hello wor", finish="length")) as wire:
        write(tmp_path, wire, "tasks: {a: {agent: one, prompt: First}}\n")
        code, _, err = await run(tmp_path)
    assert code == 0
    assert "the answer was cut at `max_tokens`" in err
    _, page, _ = await finished(tmp_path, "show")
    assert "cut at `max_tokens`" in page


async def test_a_run_that_asked_no_model_says_so(tmp_path: Path) -> None:
    async with wire_server(text_reply("Yes.")) as wire:
        write(tmp_path, wire, "tasks: {a: {set: 1}}\n")
        await run(tmp_path)
    _, table, _ = await finished(tmp_path, "show", "--calls")
    assert table == "No model was asked.\n"
    _, page, _ = await finished(tmp_path, "show")
    assert "budget" not in page
