"""`whisper-flow answer RUN [TASK]`: answer what a run asks, or say what became of a task that nobody can know about."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import formats
from orchestrator.cli.command import RUN, TASK, Command
from orchestrator.cli.commands.resume import drive_on
from orchestrator.cli.commands.show import find_task
from orchestrator.cli.exit_codes import ExitCode
from orchestrator.cli.inputs import parse_pair
from orchestrator.cli.options import driving_options
from orchestrator.cli.session import Session, current
from orchestrator.cli.terminal import can_ask
from orchestrator.errors import UsageError, WhisperFlowError
from orchestrator.host.person import whoami

if TYPE_CHECKING:
    from orchestrator import ExecutionEngine, RunView, TaskView

_NOTHING: Any = object()


@click.command(cls=Command)
@click.argument("run", type=RUN, default="@last")
@click.argument("task", type=TASK, required=False)
@click.option("--approve", "verdict", flag_value="approve", help="The same as `-p approve=true`.")
@click.option("--reject", "verdict", flag_value="reject", help="The same as `-p approve=false`.")
@click.option(
    "-p",
    "--field",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="A field of the form; the others take their defaults.",
)
@click.option("--value", "value", metavar="JSON", help="The whole answer as JSON.")
@click.option(
    "--resolve", type=click.Choice(["retry", "succeeded", "failed"]), help="For an `unknown` task: what to do with it."
)
@click.option("--no-resume", is_flag=True, help="Only record the answer; do not go on with a run that nobody drives.")
@driving_options
def command(
    run: str,
    task: str | None,
    verdict: str | None,
    pairs: tuple[str, ...],
    value: str | None,
    resolve: str | None,
    no_resume: bool,
    **options: Any,
) -> int:
    """Answer the question of TASK in RUN (default: the last run's only question).

    Asks here, field by field, unless the answer is given. A run that nobody drives goes on here afterwards.
    """
    session = current()
    with session.reading() as engine:
        run_id = engine.find_run(run)
        view = engine.inspect(run_id)
        if resolve is not None:
            _resolve(engine, view, task, resolve, value)
        else:
            found = _asking(view, task)
            given = _given(found, verdict, pairs, value)
            asyncio.run(_answer(session, engine, run_id, found, given))
        driven = engine.journal.holder(run_id) is not None
    if driven or no_resume:
        session.err.line(
            f"answered; {'its driver goes on' if driven else session.command('resume', formats.short(run_id)) + ' goes on'}"
        )
        return ExitCode.OK
    return drive_on(session, view, options)


def _asking(view: RunView, task: str | None) -> TaskView:
    """The task that asks. UsageError if there is none, or more than one and none was named."""
    if task is not None:
        found = find_task(view, task)
        if found.question is None:
            raise UsageError(f"`{task}` asks nothing now; it is {found.status}")
        return found
    asking = [one for one in view.tasks if one.question is not None]
    if not asking:
        raise UsageError(f"run {formats.short(view.run_id)} asks nothing now; it is {view.status}")
    if len(asking) > 1:
        names = ", ".join(f"`{one.name}`" for one in asking)
        raise UsageError(
            f"run {formats.short(view.run_id)} asks more than one question: {names}",
            help="name the task that you answer",
        )
    return asking[0]


def _given(task: TaskView, verdict: str | None, pairs: tuple[str, ...], value: str | None) -> Any:
    """The answer as the command line gives it; `_NOTHING` if it gives none."""
    if sum((verdict is not None, bool(pairs), value is not None)) > 1 and not (verdict and pairs and value is None):
        raise UsageError("give the answer one way: `--approve`/`--reject`, `-p` or `--value`")
    if value is not None:
        try:
            return json.loads(value)
        except ValueError as error:
            raise UsageError(f"--value is not JSON: {error}") from None
    if verdict is None and not pairs:
        return _NOTHING
    fields = ((task.question or {}).get("schema") or {}).get("properties") or {}
    answer = dict(parse_pair(pair, fields, what="field") for pair in pairs)
    if verdict is not None:
        if "approve" not in fields:
            known = ", ".join(f"`{name}`" for name in fields)
            raise UsageError(
                f"the form of `{task.name}` has no field `approve`", help=f"answer with -p; its fields are {known}"
            )
        answer["approve"] = verdict == "approve"
    return answer


async def _answer(session: Session, engine: ExecutionEngine, run_id: str, task: TaskView, given: Any) -> None:
    """Record the answer; asked here again until it fits the form."""
    assert task.question is not None
    key = task.question.get("key") or ""
    if given is not _NOTHING:
        engine.answer(run_id, task.name, given, by=whoami(), question=key)
        return
    if not can_ask():
        raise UsageError(
            f"`{task.name}` wants an answer, and there is no terminal to ask on",
            help="give it with -p NAME=VALUE or --value JSON",
        )
    from orchestrator.cli.prompts import TerminalLines, ask_form

    told: str | None = None
    read = TerminalLines()
    while True:
        try:
            answer = await ask_form(task.question, session.err, read, told=told)
        except EOFError:
            raise UsageError("left without an answer") from None
        try:
            engine.answer(run_id, task.name, answer, by=whoami(), question=key)
        except WhisperFlowError as error:
            told = error.message
        else:
            return


def _resolve(engine: ExecutionEngine, view: RunView, task: str | None, how: str, value: str | None) -> None:
    unknown = [one.name for one in view.tasks if one.status == "unknown"]
    name = task or (unknown[0] if len(unknown) == 1 else None)
    if name is None:
        what = f"more than one is unknown: {', '.join(unknown)}" if unknown else "no task of the run is unknown"
        raise UsageError(what, help="name the task" if unknown else None)
    engine.resolve(view.run_id, name, how, by=whoami(), value=json.loads(value) if value is not None else None)
