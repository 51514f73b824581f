"""`whisper-flow runs`: what ran here, the newest first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import formats
from orchestrator.cli.command import Command
from orchestrator.cli.renderers.lines import ICONS
from orchestrator.cli.session import current
from orchestrator.cli.shapes import print_json, row_json
from orchestrator.cli.table import table
from orchestrator.cli.terminal import Screen
from orchestrator.errors import NotFoundError

if TYPE_CHECKING:
    from orchestrator.ports.journal import StreamRow

STATUSES = ("running", "waiting", "paused", "succeeded", "warned", "failed", "cancelled")


@click.command(cls=Command)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(STATUSES),
    help="Only runs in this status; may be given again.",
)
@click.option("--workflow", metavar="PATH", help="Only runs of this workflow, such as `workflows/digest.yaml`.")
@click.option("--children", is_flag=True, help="Also the runs that other runs started.")
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(statuses: tuple[str, ...], workflow: str | None, children: bool, limit: int, as_json: bool) -> None:
    """List the runs of this project, the newest first."""
    session = current()
    try:
        with session.reading() as engine:
            filters: dict[str, Any] = {} if children else {"parent": ""}
            rows = engine.runs(status=statuses, workflow=workflow or "", limit=limit, **filters)
            drivers = {row.stream: engine.journal.holder(row.stream) for row in rows if row.ended_at is None}
    except NotFoundError as error:
        if not as_json:
            session.err.line(f"{error.message}; {error.help}")
            return
        rows, drivers = [], {}
    if as_json:
        print_json(session.out, "runs/1", {"runs": [row_json(row, drivers.get(row.stream)) for row in rows]})
        return
    if not rows:
        session.err.line("no run fits")
        return
    head = ["run", "status", "workflow", "started", "took", "cost", ""]
    cells = [_cells(row, drivers.get(row.stream), session.out) for row in rows]
    styles = [["bold", ICONS.get(row.status, ("", "dim"))[1]] for row in rows]
    session.out.write(table(session.out, head, cells, styles=styles))


def _cells(row: StreamRow, driver: str | None, out: Screen) -> list[str]:
    summary = row.summary or {}
    now = time.time()
    took = (row.ended_at or now) - row.started_at if row.ended_at is not None or driver else None
    return [
        formats.short(row.stream),
        row.status,
        row.workflow,
        formats.instant(row.started_at),
        formats.duration(took),
        formats.cost(summary.get("cost"), {"unpriced": summary.get("unpriced", 0)}, summary.get("currency") or "USD"),
        note_of(row, driver),
    ]


def note_of(row: StreamRow, driver: str | None) -> str:
    """What is worth knowing beside the status: the error, the question, or that nobody drives it."""
    summary = row.summary or {}
    if row.ended_at is not None:
        return str(summary.get("error") or ("replayed" if summary.get("replayed") else ""))
    if summary.get("held"):
        return str(summary.get("reason"))
    asks = summary.get("asks") or []
    if asks:
        return f"asks: {', '.join(map(str, asks[:3]))}"
    if driver is None:
        return "nobody drives it: `resume` goes on" if row.status == "running" else str(summary.get("reason") or "")
    return str(summary.get("reason") or driver)
