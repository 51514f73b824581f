"""`whisper-flow graph FILE`: the tasks of a workflow and what they wait for, as a drawing."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import RUN, Command
from orchestrator.cli.session import Session, current
from orchestrator.core.plan import Plan
from orchestrator.errors import UsageError

FORMS = ("ascii", "mermaid", "dot", "svg", "json")


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--as", "form", type=click.Choice(FORMS), default="ascii", show_default=True, help="How to draw it.")
@click.option("--run", "run", type=RUN, help="Draw the plan of this run, with the status of every task.")
@click.option("--json", "as_json", is_flag=True, help="The same as `--as json`.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it to a file.")
def command(file: Path | None, form: str, run: str | None, as_json: bool, output: Path | None) -> None:
    """Draw the tasks of the workflow in FILE, or of a RUN. Nothing in the file is run."""
    from orchestrator import graph

    session = current()
    if (file is None) == (run is None):
        raise UsageError(
            "name a workflow file, or a run with `--run`" if file is None else "name a file or a run, not both"
        )
    plan, status = _of_run(session, run) if run is not None else (_of_file(session, file), None)
    text = graph(plan, "json" if as_json else form, status=status, ascii_only=not session.out.unicode)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    else:
        session.out.write(text)


def _of_file(session: Session, file: Path | None) -> Plan:
    from orchestrator import load_plan

    assert file is not None
    plan, _ = load_plan(file, session.project(file))
    return plan


def _of_run(session: Session, run: str) -> tuple[Plan, dict[str, str]]:
    with session.reading() as engine:
        view = engine.inspect(engine.find_run(run))
    return view.plan, {task.name: task.status for task in view.tasks}
