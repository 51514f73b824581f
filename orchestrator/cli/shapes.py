"""The JSON that reading commands print with `--json`. Shapes only ever grow; each page names its own (`schema`).

Instants are RFC 3339 in UTC, durations seconds, money an amount in the run's currency.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orchestrator.cli import formats
from orchestrator.cli.terminal import Screen

if TYPE_CHECKING:
    from orchestrator import RunView, TaskView
    from orchestrator.ports.journal import StreamRow

JSON = dict[str, Any]


def print_json(out: Screen, schema: str, page: JSON) -> None:
    """One document. A terminal is shown escapes instead of what characters would do to it."""
    out.line(json.dumps({"schema": f"whisper-flow/{schema}", **page}, ensure_ascii=out.terminal, indent=2, default=str))


def row_json(row: StreamRow, driver: str | None) -> JSON:
    summary = row.summary or {}
    return {
        "run_id": row.stream,
        "status": row.status,
        "driver": driver,
        "workflow": row.workflow,
        "name": summary.get("name", ""),
        "started_at": formats.iso(row.started_at),
        "ended_at": formats.iso(row.ended_at),
        "duration": None if row.ended_at is None else round(row.ended_at - row.started_at, 6),
        "wake_at": formats.iso(row.wake_at),
        "cost": summary.get("cost"),
        "currency": summary.get("currency") or "USD",
        "unpriced": summary.get("unpriced", 0),
        "reason": summary.get("reason") or "",
        "error": summary.get("error"),
        "asks": summary.get("asks") or [],
        "trigger": summary.get("trigger") or "",
        "replayed": bool(summary.get("replayed")),
        "parent": row.parent or None,
    }


def run_json(view: RunView) -> JSON:
    return {
        "run_id": view.run_id,
        "status": view.status,
        "driver": view.driver,
        "workflow": view.workflow,
        "name": view.name,
        "plan": view.plan.digest,
        "started_at": formats.iso(view.started_at),
        "ended_at": formats.iso(view.ended_at),
        "duration": None if view.ended_at is None else round(view.ended_at - view.started_at, 6),
        "inputs": view.inputs,
        "outputs": view.outputs,
        "failure": view.failure,
        "message": view.message,
        "trigger": view.trigger,
        "replayed": (view.trigger.get("tape") or {}).get("mode") == "replay",
        "git": view.git,
        "parent": view.parent or None,
        "holds": {name: {**hold, "at": formats.iso(hold.get("at"))} for name, hold in view.holds.items()},
        "cost": view.cost,
        "currency": view.currency,
        "usage": view.usage,
        "counts": view.counts,
        "tasks": [task_json(task) for task in view.tasks],
    }


def task_json(task: TaskView, *, with_value: bool = False) -> JSON:
    """`with_value`: its value and what is known besides it (`meta`), which may be large."""
    page: JSON = {
        "task": task.name,
        "verb": task.verb,
        "status": task.status,
        "reason": task.reason,
        "attempts": task.attempts,
        "started_at": formats.iso(task.started_at),
        "ended_at": formats.iso(task.ended_at),
        "duration": None if task.duration is None else round(task.duration, 6),
        "cost": task.cost,
        "usage": task.usage,
        "failure": task.failure,
        "forgiven": task.forgiven,
        "question": task.question,
        "answers": [{**one, "at": formats.iso(one["at"])} for one in task.answers],
        "wake_at": formats.iso(task.wake_at),
        "reused": task.reused,
        "by": task.by,
        "line": task.line,
    }
    if with_value:
        page |= {"value": task.value, "meta": task.meta}
    return page
