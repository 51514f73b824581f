"""What stands in a run's last block besides what the events told: the artefacts, and the commands that make sense next."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator.cli import formats
from orchestrator.cli.project import typed_path
from orchestrator.cli.renderers.ending import Ending
from orchestrator.cli.renderers.header import budget_text
from orchestrator.cli.renderers.story import Story
from orchestrator.cli.session import Session

if TYPE_CHECKING:
    from orchestrator import RunResult
    from orchestrator.cli.renderers.choose import Outlook
    from orchestrator.core.plan import Node, Plan

FILES_MAX: Final = 1000
EMBEDDED_MAX: Final = 4
_EMBEDDED: Final = re.compile(r"embedded[/:][\w.-]+")
_EMBEDDED_WORKER: Final = re.compile(r"""\bprovider['"]?\s*:\s*['"]?embedded\b""")


def ending_of(session: Session, run_dir: Path, plan: Plan, result: RunResult, status: str, story: Story) -> Ending:
    run_id = result.run_id
    return Ending(
        status=status,
        run_id=run_id,
        message=result.message or "",
        cost_max=budget_text(plan.budget),
        artifacts=artifacts(run_dir),
        next_commands=next_commands(session, plan, result, status, story),
        notes=going_live(plan) if story.synthetic and status == "succeeded" else [],
    )


def artifacts(run_dir: Path) -> list[tuple[str, int]]:
    """The files a run left in its `artifacts/` folder: (path as one would type it here, bytes)."""
    folder = run_dir / "artifacts"
    if not folder.is_dir():
        return []
    files = [path for path in sorted(folder.rglob("*"))[:FILES_MAX] if path.is_file()]
    return [(typed_path(path), path.stat().st_size) for path in files]


def next_commands(session: Session, plan: Plan, result: RunResult, status: str, story: Story) -> list[tuple[str, str]]:
    """(command, what for), the likeliest first."""
    run = formats.short(result.run_id)
    match status:
        case "interrupted":
            return [(session.command("resume", run), "goes on where it stopped")]
        case "paused":
            return [(session.command("resume", run), "lifts the hold and goes on")]
        case "waiting":
            asked = [task.name for task in result.tasks.values() if task.question is not None]
            answers = [(session.command("answer", run, name), "") for name in asked[:3]]
            return answers or [(session.command("show", run), "what it waits for")]
        case "failed":
            return _after_failure(session, plan, result)
        case _:
            again = [_items_again(session, run, result)] if _failed_items(result) else []
            return [(session.command("show", run), "its tasks and values"), *again]


def _failed_items(result: RunResult) -> int:
    """Items of a `foreach` that failed, whatever became of the task around them."""
    return sum(task.status == "failed" and task.name.endswith("]") for task in result.tasks.values())


def _items_again(session: Session, run: str, result: RunResult) -> tuple[str, str]:
    told = formats.plural(_failed_items(result), "failed item")
    return session.command("rerun", run, "--failed"), f"tries the {told} again, keeps the rest"


def _after_failure(session: Session, plan: Plan, result: RunResult) -> list[tuple[str, str]]:
    run = formats.short(result.run_id)
    failed = [task for task in result.tasks.values() if task.status == "failed" and not task.forgiven]
    if not failed:
        return [(session.command("show", run), "what happened")]
    first = re.split(r"[.\[#]", failed[0].name, maxsplit=1)[0]
    again = below(plan, first)
    kept = [task for task in result.tasks.values() if task.name in {node.id for node in plan.scopes[0].nodes} - again]
    done = [task for task in kept if task.status == "succeeded"]
    saved = [formats.duration(sum(task.duration or 0.0 for task in done))]
    cost = sum(task.cost or 0.0 for task in done)
    if cost:
        saved.append(formats.money(cost))
    items = [task.name for task in failed if task.name.startswith(f"{first}[") and task.name.endswith("]")]
    if items:
        return [_items_again(session, run, result), (session.command("why", run, items[0]), "the cause in full")]
    reuses = f"reuses {formats.plural(len(done), 'task')}, saves {', '.join(saved)}" if done else "nothing to reuse"
    talked = [task.name for task in failed if task.verb == "agent" and task.meta.get("turns")]
    return [
        (session.command("rerun", run, "--from", first), reuses),
        (session.command("why", run, failed[0].name), "the cause in full"),
        *([(session.command("show", run, talked[0], "--talk"), "what its agent was told and said")] if talked else []),
    ]


def below(plan: Plan, first: str) -> set[str]:
    """The tasks of the run itself that stand on `first`, and itself."""
    nodes = plan.scopes[0].nodes
    found = {index for index, node in enumerate(nodes) if node.id == first}
    grown = True
    while grown:
        more = {
            index
            for index, node in enumerate(nodes)
            if index not in found and any(need.up == 0 and need.index in found for need in node.needs)
        }
        found |= more
        grown = bool(more)
    return {nodes[index].id for index in found}


def going_live(plan: Plan) -> list[str]:
    """Which lines name the small programs that stood in for models, and what to write there.

    A line may say it itself: `… embedded/writer # LIVE: openai/gpt-5-mini`.
    """
    marked: list[str] = []
    others: list[str] = []
    written: set[str] = set()
    for file in files_of(plan):
        for number, row in enumerate(file.source.splitlines(), 1):
            text, _, remark = row.partition("#")
            model = remark.partition("LIVE:")[2].strip()
            if name := _EMBEDDED.search(text):
                said, instead = name[0], "a real one, such as openai/gpt-5-mini"
            elif _EMBEDDED_WORKER.search(text):
                said, instead = (
                    "provider: embedded",
                    "provider: openai, and its `model_name` a real one, such as gpt-5-mini",
                )
                written.add(file.workflow)
            else:
                continue
            (marked if model else others).append(f"  {file.workflow}:{number}  {said}  →  {model or instead}")
    # Workers of a file that says nothing of them itself have files of their own.
    for file in files_of(plan):
        for worker, definition in file.workers.items() if file.workflow not in written else ():
            if definition.get("provider") == "embedded":
                others.append(
                    f"  worker `{worker}`  provider: embedded  →  a real one: `whisper-flow workers show {worker}`"
                )
    found = list(dict.fromkeys(marked or others))
    if not found:
        return []
    head = ["", "Small programs answered here, not an AI model. To go live: export OPENAI_API_KEY=… and change"]
    more = [f"  and {len(found) - EMBEDDED_MAX} more"] if len(found) > EMBEDDED_MAX else []
    return [*head, *found[:EMBEDDED_MAX], *more]


def files_of(plan: Plan) -> Iterator[Plan]:
    """The workflow's own plan, and those of the workflows it calls, each once."""
    waiting, seen = [plan], set()
    while waiting:
        one = waiting.pop(0)
        if one.workflow not in seen:
            seen.add(one.workflow)
            yield one
            waiting += one.children.values()


def outlook_of(plan: Plan) -> Outlook:
    """For the live view: the first tasks that have not started, what each waits for, and how many more there are."""
    nodes = plan.scopes[0].nodes

    def outlook(story: Story, room: int) -> tuple[list[tuple[str, str, str]], int]:
        coming = [node for node in nodes if node.id not in story.tasks]
        return [_waits(story, nodes, node) for node in coming[:room]], max(len(coming) - room, 0)

    return outlook


def _waits(story: Story, nodes: Sequence[Node], node: Node) -> tuple[str, str, str]:
    missing = [
        nodes[need.index].id for need in node.needs if need.up == 0 and not _settled(story, nodes[need.index].id)
    ]
    if node.verb == "ask":
        return "asked", node.id, f"will ask, after {missing[0]}" if missing else "will ask"
    more = "" if len(missing) < 2 else f" and {missing[1]}" if len(missing) == 2 else f" and {len(missing) - 1} more"
    return "waiting", node.id, f"waits for {missing[0]}{more}" if missing else "is next"


def _settled(story: Story, name: str) -> bool:
    line = story.tasks.get(name)
    return line is not None and line.status in ("succeeded", "warned", "failed", "blocked", "skipped", "cancelled")
