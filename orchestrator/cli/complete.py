"""What the shell can complete: runs by id, tasks by name. Never fails: a broken project completes to nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click
from click.shell_completion import CompletionItem

from orchestrator.cli.session import Session

RUNS_MAX = 50


def run_names(ctx: click.Context, incomplete: str) -> list[Any]:
    found: list[Any] = [CompletionItem("@last", help="the last run")] if "@last".startswith(incomplete) else []
    with suppress(Exception), ctx.ensure_object(Session).reading() as engine:
        rows = engine.runs(limit=RUNS_MAX)
        found += [
            CompletionItem(row.stream, help=f"{row.workflow} {row.status}")
            for row in rows
            if row.stream.startswith(incomplete)
        ]
    return found


def task_names(ctx: click.Context, incomplete: str) -> list[Any]:
    with suppress(Exception), ctx.ensure_object(Session).reading() as engine:
        run = next(value for name, value in ctx.params.items() if name.startswith("run") and value)
        view = engine.inspect(engine.find_run(run))
        return [CompletionItem(task.name, help=task.status) for task in view.tasks if task.name.startswith(incomplete)]
    return []
