"""`whisper-flow costs`: where the money went, by the journal."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from orchestrator.cli.command import Command
from orchestrator.cli.session import current
from orchestrator.cli.shapes import print_json
from orchestrator.errors import NotFoundError, UsageError

GROUPS = ("run", "workflow", "agent", "worker", "model", "day", "task")


@click.command(cls=Command)
@click.option("--by", type=click.Choice(GROUPS), default="model", show_default=True, help="How requests are grouped.")
@click.option("--since", metavar="WHEN", help="Only requests since then: `24h`, `7d`, or `2026-07-01`, in UTC.")
@click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many groups.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; money as exact decimal texts.")
def command(by: str, since: str | None, limit: int, as_json: bool) -> None:
    """Say where the money went: every model request on record, summed by run, workflow, agent, worker, model, day or task.

    A request whose price or usage nobody knows is counted as unknown, never as nothing. Replayed runs cost nothing and are
    left out. Days are days in UTC.
    """
    from orchestrator.workers.spending import Spent, spending, total

    session = current()
    after = instant_of(since) if since is not None else 0.0
    groups: list[Spent] = []
    try:
        with session.reading() as engine:
            groups = spending(engine.journal, by, since=after)  # type: ignore[arg-type]  # one of GROUPS
    except NotFoundError as error:
        if not as_json:
            session.err.line(f"{error.message}; {error.help}")
            return
    whole, shown = total(groups), groups[:limit]
    if as_json:
        page = {"by": by, "since": since, "groups": [one.shown() for one in shown], "total": whole.shown()}
        print_json(session.out, "costs/1", page)
        return
    if not groups:
        session.err.line("no model was asked" + (f" since {since}" if since else ""))
        return
    from orchestrator.cli.worker_pages import spending_table

    session.out.write(spending_table(session.out, by, shown, whole))
    if len(shown) < len(groups):
        session.err.line(f"{len(groups) - len(shown)} more groups are in the total; --limit shows them")


def instant_of(text: str, now: float | None = None) -> float:
    """`24h` ago, or a date or instant (UTC if it names no zone), as epoch seconds. Raises UsageError."""
    from orchestrator.core.units import UnitError, parse_duration

    try:
        return (time.time() if now is None else now) - parse_duration(text)
    except (UnitError, ValueError):
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"`--since {text}` is no time", help="for example `24h`, `7d` or `2026-07-01`") from None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
