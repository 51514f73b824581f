"""`whisper-flow rerun RUN`: a new run of the same workflow that keeps the results which stay valid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli import formats
from orchestrator.cli.command import RUN, TASK, Command
from orchestrator.cli.exit_codes import ExitCode
from orchestrator.cli.options import driving_options
from orchestrator.cli.session import current
from orchestrator.cli.taping import Taping, taping_of_run
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator import RunView
    from orchestrator.core.plan import Plan


_AGAIN: Final = frozenset({"failed", "warned", "blocked", "cancelled", "unknown"})
"""What `--failed` would do again: whatever did not come to a value, or to a skip."""


@click.command(cls=Command)
@click.argument("run", type=RUN, default="@last")
@click.option(
    "--from", "from_task", type=TASK, metavar="TASK", help="Do TASK and what follows from it again, keep the rest."
)
@click.option("--failed", is_flag=True, help="Do only what failed, and what follows from it, again; items alone, too.")
@click.option(
    "--with",
    "version",
    type=click.Choice(["same", "latest"]),
    default="same",
    show_default=True,
    help="Which version of the file.",
)
@click.option("-p", "--param", "pairs", multiple=True, metavar="NAME=VALUE", help="Another value for an input.")
@driving_options
def command(run: str, from_task: str | None, failed: bool, version: str, pairs: tuple[str, ...], **options: Any) -> int:
    """Run RUN (default: the last one) again with the same inputs, as a new run.

    Without `--from` and `--failed` everything is done again. With `--with latest` the file as it is now is taken; results of tasks
    that do something else in it are not kept.
    """
    session = current()
    if from_task and failed:
        raise UsageError("`--from` and `--failed` say different things", help="give one of them")
    with session.reading() as engine:
        view = engine.inspect(engine.find_run(run))
    if failed and view.status in ("succeeded", "warned") and not any(task.status in _AGAIN for task in view.tasks):
        session.err.line(f"nothing failed in run {formats.short(view.run_id)}: there is nothing to do again")
        return ExitCode.OK
    project = session.project()
    from orchestrator.cli.running import foreground, load_quickly

    with foreground(session, project, title=view.name, workflow=view.workflow, **options) as stage:
        plan = load_quickly(_file(view, project), project, stage.renderer) if version == "latest" else view.plan
        stage.plan_known(plan)
        changed = collect_given(plan, pairs, project)
        return stage.drive(
            lambda engine: engine.rerun(
                view.run_id, from_task=from_task, failed=failed, plan=plan, inputs=changed, park=not stage.ask
            ),
            plan,
            taping=_same_replay(view, project),
        )


def _same_replay(view: RunView, project: Path) -> Taping | None:
    """What follows a replay asks no model either."""
    taping = taping_of_run(view.trigger, project)
    return taping if taping is not None and taping.mode == "replay" else None


def collect_given(plan: Plan, pairs: tuple[str, ...], project: Path) -> dict[str, Any]:
    """Only what was said now: the rest comes from the run."""
    from orchestrator.cli.inputs import collect

    return collect(plan.inputs, pairs, None, project, environ={}, with_dotenv=False)


def _file(view: RunView, project: Path) -> Path:
    file = project / view.workflow
    if not file.is_file():
        raise NotFoundError(
            f"`{view.workflow}` is not there any more", help="leave out `--with latest` to run the plan of then"
        )
    return file
