"""`whisper-flow diff RUN RUN`: what two runs have done differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli import formats
from orchestrator.cli.command import RUN, Command
from orchestrator.cli.session import current
from orchestrator.cli.shapes import print_json
from orchestrator.cli.terminal import Screen, clean_line, cut

if TYPE_CHECKING:
    from orchestrator import RunView, TaskView
    from orchestrator.core.plan import Plan

SHOWN: Final = 60
SLOWER: Final = 0.25
"""A duration is worth a line when it differs by more than this share, and by more than a tenth of a second."""


@click.command(cls=Command)
@click.argument("first", type=RUN)
@click.argument("second", type=RUN)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(first: str, second: str, as_json: bool) -> None:
    """Compare two runs: their plans, inputs, and each task's status, value and duration."""
    session = current()
    with session.reading() as engine:
        old, new = (engine.inspect(engine.find_run(run)) for run in (first, second))
        page = compare(old, new)
    if as_json:
        print_json(session.out, "diff/1", page)
        return
    for row in diff_lines(session.out, page):
        session.out.line(row)


def compare(old: RunView, new: RunView) -> dict[str, Any]:
    """Everything that differs, from `old` to `new`; empty parts mean that nothing does."""
    before, after = ({task.name: task for task in view.tasks} for view in (old, new))
    shared = [name for name in before if name in after]
    changed = {name: found for name in shared if (found := _task(before[name], after[name]))}
    return {
        "runs": [old.run_id, new.run_id],
        "workflows": [old.workflow, new.workflow],
        "status": [old.status, new.status],
        "cost": [old.cost, new.cost],
        "duration": [_took(old), _took(new)],
        "plan": _plans(old.plan, new.plan),
        "inputs": _values(old.inputs, new.inputs),
        "outputs": _values(old.outputs, new.outputs),
        "tasks": {
            "removed": [name for name in before if name not in after],
            "added": [name for name in after if name not in before],
            "changed": changed,
        },
    }


def _took(view: RunView) -> float | None:
    return None if view.ended_at is None else round(view.ended_at - view.started_at, 3)


def _plans(old: Plan, new: Plan) -> dict[str, list[str]]:
    """Tasks of the file that do something else, by what they do and not by where they stand."""
    before, after = _digests(old), _digests(new)
    return {
        "removed": [name for name in before if name not in after],
        "added": [name for name in after if name not in before],
        "changed": [name for name in before if name in after and before[name] != after[name]],
    }


def _digests(plan: Plan) -> dict[str, str]:
    found: dict[str, str] = {}

    def walk(scope: int, above: str) -> None:
        for node in plan.scopes[scope].nodes:
            name = above if node.inner else f"{above}.{node.id}" if above else node.id
            found[name] = found.get(name, "") + node.digest
            if node.scope is not None:
                walk(node.scope, name)

    for scope in (0, plan.on_failure, plan.on_finally):
        if scope is not None:
            walk(scope, "")
    return found


def _values(old: Any, new: Any) -> dict[str, list[Any]]:
    before, after = (value if isinstance(value, dict) else {} for value in (old, new))
    names = [*before, *(name for name in after if name not in before)]
    return {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}


def _task(old: TaskView, new: TaskView) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    if old.status != new.status:
        found["status"] = [old.status, new.status]
    if old.value != new.value:
        found["value"] = [old.value, new.value]
    if old.attempts != new.attempts and not new.reused:
        found["attempts"] = [old.attempts, new.attempts]
    if old.cost != new.cost:
        found["cost"] = [old.cost, new.cost]
    if _differs(old.duration, new.duration) and not new.reused:
        found["duration"] = [round(old.duration or 0.0, 3), round(new.duration or 0.0, 3)]
    return found


def _differs(old: float | None, new: float | None) -> bool:
    if old is None or new is None:
        return False
    return abs(new - old) > max(0.1, SLOWER * max(old, new))


def diff_lines(out: Screen, page: dict[str, Any]) -> list[str]:
    old, new = page["runs"]
    rows = [f"{out.style('-', 'red')} run {formats.short(old)}  {_run_text(page, 0)}"]
    rows.append(f"{out.style('+', 'green')} run {formats.short(new)}  {_run_text(page, 1)}")
    quiet = len(rows)
    for what, names in page["plan"].items():
        if names:
            rows.append(f"  file      {what}: {', '.join(map(clean_line, names))}")
    for title in ("inputs", "outputs"):
        for name, (before, after) in page[title].items():
            rows.append(f"  {title:<9} {clean_line(name)}: {_pair(out, before, after)}")
    for what in ("removed", "added"):
        rows += [f"  task      {clean_line(name)}: {what}" for name in page["tasks"][what]]
    for name, found in page["tasks"]["changed"].items():
        for what, (before, after) in found.items():
            shown = (formats.duration(before), formats.duration(after)) if what == "duration" else (before, after)
            rows.append(f"  task      {clean_line(name)} {what}: {_pair(out, *shown)}")
    return rows if len(rows) > quiet else [*rows, "  nothing differs"]


def _run_text(page: dict[str, Any], side: int) -> str:
    parts = [
        page["workflows"][side],
        page["status"][side],
        formats.duration(page["duration"][side]),
        formats.money(page["cost"][side]),
    ]
    return "  ".join(clean_line(part) for part in parts if part)


def _pair(out: Screen, before: Any, after: Any) -> str:
    shown = [cut(clean_line(formats.value_text(value)), SHOWN) for value in (before, after)]
    return f"{out.style(shown[0], 'red')} → {out.style(shown[1], 'green')}"
