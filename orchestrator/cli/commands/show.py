"""`whisper-flow show RUN [TASK]`: a run with its tasks, or one task with its value."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli import formats
from orchestrator.cli.command import RUN, TASK, Command
from orchestrator.cli.ledger_pages import Ledger
from orchestrator.cli.renderers.lines import failure_lines, icon
from orchestrator.cli.renderers.story import depth_of, segments
from orchestrator.cli.session import Session, current
from orchestrator.cli.shapes import print_json, run_json, task_json
from orchestrator.cli.talk_pages import call_rows, messages_json, transcript_rows
from orchestrator.cli.taping import told
from orchestrator.cli.terminal import Screen, clean, clean_line, cut
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.spec.suggest import did_you_mean

if TYPE_CHECKING:
    from orchestrator import RunView, TaskView
    from orchestrator.ports.journal import Journal

TASKS_MAX: Final = 200
VALUE_MAX: Final = 4000


@click.command(cls=Command)
@click.argument("run", type=RUN, default="@last")
@click.argument("task", type=TASK, required=False)
@click.option("--value", "value_only", is_flag=True, help="Print the task's value and nothing else.")
@click.option("--all", "everything", is_flag=True, help="All tasks and whole values, however many and long.")
@click.option(
    "--calls", is_flag=True, help="Each model request of the run: when, by whom, what became of it, what it cost."
)
@click.option("--talk", is_flag=True, help="All that the agents of TASK were told, said and called, word for word.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    run: str, task: str | None, value_only: bool, everything: bool, calls: bool, talk: bool, as_json: bool
) -> None:
    """Show RUN (default: the last one): status, inputs, tasks, outputs; or one TASK of it: attempts, cost, tool calls, value."""
    if talk and task is None:
        raise UsageError("`--talk` needs a task", help="for example: whisper-flow show @last TASK --talk")
    session = current()
    out = session.out
    with session.reading() as engine:
        view = engine.inspect(engine.find_run(run))
        ledger = Ledger.of(engine.journal, view)
        if task is None:
            if as_json:
                print_json(out, "run/1", run_json(view) | ledger.shown(rows=calls))
            elif calls:
                ledger.table(out, everything=everything)
            else:
                show_run(session, view, ledger, everything=everything)
            return
        found = find_task(view, task)
        talks = engine.conversations(view.run_id, task)
        if as_json:
            page = {"run_id": view.run_id, **task_json(found, with_value=True)}
            said = [{"messages": messages_json(engine.journal, one["stream"])} if talk else {} for one in talks]
            both = zip(talks, said, strict=True)
            print_json(out, "task/1", page | {"conversations": [_talk_json(one) | more for one, more in both]})
        elif value_only:
            out.line(formats.value_text(found.value, indent=2))
        elif talk:
            for row in transcript_rows(out, engine.journal, talks, everything=everything):
                out.line(row)
        else:
            rows = _talk_rows(out, engine.journal, talks, everything=everything)
            show_task(out, view, found, rows, everything=everything)


def _talk_json(talk: dict[str, Any]) -> dict[str, Any]:
    return talk | {name: formats.iso(talk[name]) for name in ("started_at", "ended_at")}


def find_task(view: RunView, name: str) -> TaskView:
    """NotFoundError with near names."""
    for task in view.tasks:
        if task.name == name:
            return task
    names = list(dict.fromkeys(task.name for task in view.tasks))
    near = did_you_mean(name, names) or (
        f"its tasks are {', '.join(f'`{one}`' for one in names[:10])}" if names else None
    )
    raise NotFoundError(f"run {formats.short(view.run_id)} has no task `{name}`", help=near)


def show_run(session: Session, view: RunView, ledger: Ledger | None = None, *, everything: bool = False) -> None:
    out = session.out
    out.line(_headline(out, view))
    for label, text in [*_facts(session, view), *(ledger.facts(out) if ledger is not None else ())]:
        out.line(f"  {out.style(f'{label:<9}', 'dim')} {text}")
    if view.failure:
        for row in failure_lines(out, view.failure, []):
            out.line(f"  {row}")
    _values(out, "inputs", view.inputs, everything)
    out.line(f"  {out.style('tasks', 'dim')}")
    shown = view.tasks if everything else view.tasks[:TASKS_MAX]
    width = max((len(_label(task)) for task in shown), default=0)
    for task in shown:
        out.line(f"    {task_line(out, task, min(width, 40), view.currency)}")
    if len(shown) < len(view.tasks):
        out.line(out.style(f"    … {len(view.tasks) - len(shown)} more; --all shows them", "dim"))
    _values(out, "outputs", view.outputs, everything)


def _headline(out: Screen, view: RunView) -> str:
    now = time.time()
    seconds = (view.ended_at or now) - view.started_at
    facts = [view.status, f"in {formats.duration(seconds)}" if view.ended_at else f"since {formats.duration(seconds)}"]
    facts += [formats.cost(view.cost, view.usage, view.currency)]
    facts += [f"{formats.count(formats.tokens(view.usage))} tokens" if view.usage else ""]
    told = "  ".join(fact for fact in facts if fact)
    return f"{icon(out, view.status)} {out.style(clean_line(view.name), 'bold')}  run {view.run_id}  {told}"


def _facts(session: Session, view: RunView) -> list[tuple[str, str]]:
    git = view.git or {}
    commit = (
        f" @ {str(git.get('commit', ''))[:10]}{' (with changes)' if git.get('dirty') else ''}"
        if git.get("commit")
        else ""
    )
    trigger = view.trigger.get("kind", "manual")
    of = f" of {formats.short(str(view.trigger['of']))}" if view.trigger.get("of") else ""
    rows = [
        ("workflow", f"{clean_line(view.workflow)}{commit}"),
        ("started", f"{formats.instant(view.started_at)}  {trigger}{of}"),
    ]
    if view.ended_at is not None:
        rows.append(("ended", formats.instant(view.ended_at)))
    else:
        rows.append(("driver", view.driver or f"nobody: `{_goes_on(session, view)}` goes on"))
    rows += [
        ("hold", f"{clean_line(name)}  {clean_line(str(hold.get('reason') or ''))}")
        for name, hold in view.holds.items()
    ]
    if tape := told(view.trigger):
        rows.append(("tape", clean_line(tape)))
    if view.message:
        rows.append(("message", clean_line(view.message)))
    return rows


def _goes_on(session: Session, view: RunView) -> str:
    run = formats.short(view.run_id)
    asked = next((task.name for task in view.tasks if task.question is not None), None)
    return session.command("answer", run, asked) if asked is not None else session.command("resume", run)


def _label(task: TaskView) -> str:
    """The last part of the name, below its outer task."""
    parts = segments(task.name)
    return "  " * depth_of(task.name) + clean_line(parts[-1])


def task_line(out: Screen, task: TaskView, width: int, currency: str) -> str:
    """`✓ fetch   succeeded  3.1s  $0.004`, with the reason where it did not run."""
    facts = [task.status, formats.duration(task.duration), formats.cost(task.cost, task.usage, currency)]
    if task.meta.get("finish") == "length":
        facts.append("cut at `max_tokens`")
    if task.meta.get("wrapped_up"):
        facts.append("last turn of its budget")
    if task.attempts > 1:
        facts.append(f"{task.attempts} attempts")
    if task.reused:
        facts.append("from the cache" if task.reused == "cache" else f"reused from {formats.short(task.reused)}")
    if task.question is not None:
        facts.append(f"asks: {clean_line(str(task.question.get('question', '')))}")
    elif task.failure:
        facts.append(cut(clean_line(str(task.failure.get("message", ""))), 100))
    elif task.reason:
        facts.append(cut(clean_line(task.reason), 100))
    if task.wake_at:
        facts.append(f"until {formats.instant(task.wake_at)}")
    status = "asked" if task.question is not None else task.status
    return f"{icon(out, status)} {_label(task):<{width}}  {'  '.join(fact for fact in facts if fact)}"


def _values(out: Screen, title: str, values: Any, everything: bool) -> None:
    if not isinstance(values, dict) or not values:
        return
    out.line(f"  {out.style(title, 'dim')}")
    for name, value in values.items():
        out.line(_indented(f"{clean_line(str(name))}: ", value, "    ", everything))


def _indented(label: str, value: Any, indent: str, everything: bool) -> str:
    text = clean(formats.value_text(value, indent=2))
    if not everything and len(text) > VALUE_MAX:
        text = text[:VALUE_MAX] + f"… ({formats.count(len(text) - VALUE_MAX)} characters more; --all shows them)"
    if "\n" not in text:
        return f"{indent}{label}{text}"
    rows = "\n".join(f"{indent}  {row}" for row in text.splitlines())
    return f"{indent}{label.rstrip()}\n{rows}"


def _answer_line(answer: dict[str, Any]) -> str:
    """`ada, 12:03:44: May agent …?  approve: true`."""
    asked = cut(clean_line(str(answer["question"])), 100)
    who = f"{clean_line(str(answer['by']))}, {formats.instant(answer['at'])}"
    return f"{who}: {asked}  →  {cut(clean_line(formats.value_text(answer['value'])), 100)}"


def _talk_rows(out: Screen, journal: Journal, talks: list[dict[str, Any]], *, everything: bool) -> list[str]:
    """One line a conversation, each below the one that asked it, and its tool calls below that."""
    rows = []
    for talk in talks:
        facts = [
            clean_line(str(talk["model"])),
            talk["status"],
            formats.plural(talk["requests"], "request"),
            f"{formats.count(talk['tokens'])} tokens",
            formats.money(talk["cost"] or None),
        ]
        if talk["unknown"]:
            cut_off = "was" if talk["unknown"] == 1 else "were"
            facts.append(
                out.style(f"{talk['unknown']} of them {cut_off} cut off: counted at the upper bound", "yellow")
            )
        told = "  ".join(fact for fact in facts if fact)
        indent = "    " + "  " * talk["depth"]
        rows.append(f"{indent}{clean_line(str(talk['agent']))}  {told}")
        rows += [f"{indent}  {row}" for row in call_rows(out, journal, talk["stream"], everything=everything)]
    return [f"  {out.style('conversations', 'dim')}", *rows] if rows else []


def show_task(out: Screen, view: RunView, task: TaskView, talk_rows: list[str], *, everything: bool = False) -> None:
    out.line(
        task_line(out, task, 0, view.currency).replace(
            _label(task).strip(), out.style(clean_line(task.name), "bold"), 1
        )
    )
    facts = [("verb", f"{task.verb}  {view.workflow}:{task.line}" if task.line else task.verb)]
    if task.started_at is not None:
        facts.append(("started", formats.instant(task.started_at)))
    if task.ended_at is not None:
        facts.append(("ended", formats.instant(task.ended_at)))
    facts += [("attempts", str(task.attempts))] if task.attempts else []
    facts += [("usage", ", ".join(f"{name} {count}" for name, count in task.usage.items()))] if task.usage else []
    facts += [("by", clean_line(task.by))] if task.by else []
    facts += [("answered", _answer_line(one)) for one in task.answers]
    facts += [("reason", clean_line(task.reason))] if task.reason else []
    for label, text in facts:
        out.line(f"  {out.style(f'{label:<9}', 'dim')} {text}")
    for row in failure_lines(out, task.failure, []):
        out.line(f"  {row}")
    for row in talk_rows:
        out.line(row)
    meta = {name: part for name, part in task.meta.items() if part not in ("", None, {}, [])}
    if task.question is not None:
        _values(out, "question", {name: part for name, part in task.question.items() if part is not None}, everything)
    value = task.value
    if meta.get("text") == value:
        meta.pop("text", None)
    _values(out, "known besides its value", meta, everything)
    if value is not None:
        out.line(_indented(out.style("value", "dim") + " ", value, "  ", everything))
