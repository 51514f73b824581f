"""`whisper-flow pause RUN`: a hold, under which nothing new starts."""

from __future__ import annotations

import click

from orchestrator.cli import formats
from orchestrator.cli.command import RUN, Command
from orchestrator.cli.session import current
from orchestrator.host.person import whoami


@click.command(cls=Command)
@click.argument("run", type=RUN, default="@last")
@click.option("--name", default="user", show_default=True, help="The hold's name: a run goes on when no hold is left.")
@click.option("--reason", default="", help="Why, for whoever looks.")
@click.option("--release", is_flag=True, help="Take the hold away again.")
def command(run: str, name: str, reason: str, release: bool) -> None:
    """Hold RUN (default: the last one): what runs goes on to its end, nothing new starts until `resume` or `--release`."""
    session = current()
    with session.reading() as engine:
        run_id = engine.find_run(run)
        if release:
            engine.unpause(run_id, name=name, by=whoami())
        else:
            engine.pause(run_id, name=name, by=whoami(), reason=reason)
        driver = engine.journal.holder(run_id)
    short = formats.short(run_id)
    if release:
        done = f"run {short}: hold `{name}` is lifted"
        session.err.line(done if driver else f"{done}; {session.command('resume', short)} goes on")
    else:
        session.err.line(f"run {short} is held: nothing new starts until `{session.command('resume', short)}`")
