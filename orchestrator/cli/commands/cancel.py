"""`whisper-flow cancel RUN`: end a run for good."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli import formats
from orchestrator.cli.command import RUN, Command
from orchestrator.cli.exit_codes import ExitCode
from orchestrator.cli.options import driving_options
from orchestrator.cli.session import current
from orchestrator.cli.taping import taping_of_run
from orchestrator.errors import RunBusyError
from orchestrator.host.person import whoami


@click.command(cls=Command)
@click.argument("run", type=RUN, default="@last")
@click.option("--reason", default="", help="Why, for whoever looks.")
@driving_options
def command(run: str, reason: str, **options: Any) -> int:
    """Cancel RUN (default: the last one): what runs is stopped, what waits never starts, its `finally` tasks run.

    A run that nobody drives is taken to its end here.
    """
    session = current()
    project = session.project()
    with session.reading() as engine:
        run_id = engine.find_run(run)
        engine.cancel(run_id, by=whoami(), reason=reason)
        driven = engine.journal.holder(run_id) is not None
        view = engine.inspect(run_id)
    if view.ended_at is not None:
        session.err.line(f"run {formats.short(run_id)} is {view.status}")
        return ExitCode.OK
    if driven:
        session.err.line(f"run {formats.short(run_id)} is being cancelled; `watch` shows its end")
        return ExitCode.OK
    from orchestrator.cli.running import foreground

    with foreground(session, project, title=view.name, workflow=view.workflow, **options) as stage:
        stage.plan_known(view.plan)
        try:
            taping = taping_of_run(view.trigger, session.project())
            code = stage.drive(lambda engine: engine.resume(run_id), view.plan, taping=taping, after=view.last)
        except RunBusyError:
            return ExitCode.OK
    # The run failed to succeed because it was told to: for the one who asked, that is success.
    return ExitCode.OK if code == ExitCode.BAD else code
