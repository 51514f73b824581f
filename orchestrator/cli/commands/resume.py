"""`whisper-flow resume RUN`: go on with a run that was interrupted, is held, or waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import formats
from orchestrator.cli.command import RUN, Command
from orchestrator.cli.exit_codes import ExitCode
from orchestrator.cli.options import driving_options
from orchestrator.cli.session import Session, current
from orchestrator.cli.taping import taping_of_run
from orchestrator.errors import UsageError
from orchestrator.host.person import whoami

if TYPE_CHECKING:
    from orchestrator import RunView


@click.command(cls=Command)
@click.argument("run", type=RUN, default="@last")
@click.option("--detach", is_flag=True, help="Go on in the background.")
@driving_options
def command(run: str, detach: bool, **options: Any) -> int:
    """Go on with RUN (default: the last one), with the plan it was started with.

    Finished tasks are not done again. A hold set by `pause` or a full disk is lifted. If another process drives the run, only that.
    """
    session = current()
    with session.reading() as engine:
        run_id = engine.find_run(run)
        view = engine.inspect(run_id)
        _refuse_over(session, view)
        if view.driver is None or "user" in view.holds:
            # Also where the journal shows no hold yet: `pause` may lie in the inbox of a run that nobody drives.
            engine.unpause(run_id, by=whoami())
        left = [name for name in view.holds if name not in ("user", "disk_full")]
    if left:
        release = session.command("pause", formats.short(run_id), "--name", left[0], "--release")
        session.err.line(f"it stays held by {', '.join(f'`{name}`' for name in left)}; `{release}` takes a hold away")
    if view.driver is not None:
        return _already_driven(session, view)
    if detach:
        from orchestrator.cli.detached import start_detached

        return start_detached(session, ["resume", run_id], run_id, options)
    return drive_on(session, view, options)


def drive_on(session: Session, view: RunView, options: dict[str, Any]) -> int:
    """Drive a recorded run on in the foreground; the exit code."""
    from orchestrator.cli.running import foreground

    with foreground(session, session.project(), title=view.name, workflow=view.workflow, **options) as stage:
        stage.plan_known(view.plan)
        return stage.drive(
            lambda engine: engine.resume(view.run_id, park=not stage.ask),
            view.plan,
            taping=taping_of_run(view.trigger, session.project()),
            after=view.last,
        )


def _refuse_over(session: Session, view: RunView) -> None:
    if view.ended_at is not None:
        again = session.command("rerun", formats.short(view.run_id))
        raise UsageError(
            f"run {formats.short(view.run_id)} is over ({view.status})", help=f"`{again}` makes a new run of it"
        )


def _already_driven(session: Session, view: RunView) -> int:
    lifted = "its hold is lifted; " if "user" in view.holds else ""
    watch = session.command("watch", formats.short(view.run_id))
    session.err.line(f"run {formats.short(view.run_id)}: {lifted}{view.driver} drives it; follow it with `{watch}`")
    return ExitCode.OK if lifted or view.status == "running" else ExitCode.BAD
