"""`whisper-flow why RUN TASK`: why a task ran, was skipped, is blocked or still waits."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli import formats
from orchestrator.cli.command import RUN, TASK, Command
from orchestrator.cli.renderers.lines import failure_lines, icon
from orchestrator.cli.session import current
from orchestrator.cli.shapes import print_json
from orchestrator.cli.terminal import Screen, clean, clean_line

_KINDS = {"value": "its value", "order": "its end", "soft": "its end, however it comes"}


@click.command(cls=Command)
@click.argument("run", type=RUN)
@click.argument("task", type=TASK)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(run: str, task: str, as_json: bool) -> None:
    """Say why TASK of RUN is as it is: what it needed, its condition with the values, its attempts."""
    session = current()
    with session.reading() as engine:
        run_id = engine.find_run(run)
        why = engine.why(run_id, task)
    if as_json:
        print_json(session.out, "why/1", {"run_id": run_id, **why})
        return
    for row in why_lines(session.out, why):
        session.out.line(row)


def why_lines(out: Screen, why: dict[str, Any]) -> list[str]:
    status = "asked" if why.get("question") else str(why.get("status"))
    place = f"  {why['workflow']}:{why['line']}" if why.get("line") else ""
    rows = [
        f"{icon(out, status)} {out.style(clean_line(str(why['task'])), 'bold')} {why.get('status')}{out.style(place, 'dim')}"
    ]
    if why.get("reason"):
        rows.append(f"  because {clean(str(why['reason']))}")
    if why.get("when"):
        rows.append(f"  when    {clean_line(_when(why['when']))}")
    for need in why.get("needs") or []:
        reason = f"  {clean_line(str(need['reason']))}" if need.get("reason") else ""
        needed = out.style(f"needs {_KINDS.get(need['kind'], need['kind'])}", "dim")
        rows.append(f"  {icon(out, need['status'])} {clean_line(str(need['task']))} {need['status']}  {needed}{reason}")
    rows += [f"  {row}" for row in _attempts(out, why)]
    rows += [f"  {row}" for row in failure_lines(out, why.get("failure"), [])]
    if why.get("question"):
        rows.append(f"  asks: {clean_line(str(why['question'].get('question', '')))}")
    if why.get("wake_at"):
        rows.append(f"  goes on at {formats.instant(why['wake_at'])}")
    return rows


def _when(when: Any) -> str:
    """The expression, and what it came to where that is known."""
    if isinstance(when, dict):
        return f"{when.get('text', '')}  →  {formats.value_text(when.get('value'))}"
    return str(when)


def _attempts(out: Screen, why: dict[str, Any]) -> list[str]:
    rows = []
    attempts = why.get("attempts")
    if isinstance(attempts, int) and attempts > 1:
        rows.append(f"attempt {attempts} of {why.get('attempts_max', attempts)}")
    if isinstance(attempts, list):
        rows += [
            f"attempt {number}: {clean_line(formats.value_text(attempt))}" for number, attempt in enumerate(attempts, 1)
        ]
    if why.get("forgiven"):
        rows.append("its failure is forgiven by `on_error`")
    if why.get("reused"):
        source = str(why["reused"])
        rows.append(
            "its result came from the cache"
            if source == "cache"
            else f"its result is reused from run {formats.short(source)}"
        )
    if why.get("by"):
        rows.append(f"decided by {clean_line(str(why['by']))}")
    return rows
