"""`whisper-flow watch RUN`: follow a run that another process drives."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from orchestrator.cli import exit_codes
from orchestrator.cli.command import RUN, Command
from orchestrator.cli.endings import ending_of, outlook_of
from orchestrator.cli.renderers.choose import PROGRESS_CHOICES, Progress, Renderer, make_renderer
from orchestrator.cli.renderers.header import budget_text
from orchestrator.cli.session import Session, current

if TYPE_CHECKING:
    from orchestrator import ExecutionEngine

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at whether somebody still drives the run."""


@click.command(cls=Command)
@click.argument("run", type=RUN, default="@last")
@click.option("--progress", type=click.Choice(PROGRESS_CHOICES), help="How to show it.  [default: auto]")
@click.option("--json", "as_json", is_flag=True, help="The same as `--progress json`: every event as a line of JSON.")
def command(run: str, progress: Progress | None, as_json: bool) -> int:
    """Follow RUN (default: the last one) from its beginning until it ends, or until nobody drives it any more.

    Exits as the run did. Ctrl-C leaves the run alone.
    """
    session = current()
    project = session.project()
    wanted: Progress = "json" if as_json else progress or session.settings(project).value("progress")
    with session.reading() as engine:
        run_id = engine.find_run(run)
        plan = engine.inspect(run_id).plan
        renderer = make_renderer(
            wanted, out=session.out, err=session.err, cost_max=budget_text(plan.budget), outlook=outlook_of(plan)
        )
        renderer.begin(plan.name, plan.workflow)
        try:
            asyncio.run(_Following(engine, run_id, renderer).through())
            return _end(session, engine, run_id, renderer, session.run_dir(project, run_id))
        finally:
            renderer.close()


class _Following:
    def __init__(self, engine: ExecutionEngine, run_id: str, renderer: Renderer) -> None:
        self.engine = engine
        self.run_id = run_id
        self.renderer = renderer
        self._looked = (time.monotonic(), -1)

    async def through(self) -> None:
        reader = asyncio.create_task(self._read(), name=f"watch {self.run_id}")
        while not reader.done():
            await asyncio.wait({reader}, timeout=min(self.renderer.interval, LOOK_EVERY))
            self.renderer.tick(time.time())
            if not reader.done() and self._left_alone():
                reader.cancel()
        if not reader.cancelled():
            reader.result()

    async def _read(self) -> None:
        async for event in self.engine.watch(self.run_id):
            self.renderer.show(event)

    def _left_alone(self) -> bool:
        """Nobody drives it, and nothing came since the last look, when nobody did either."""
        at, seen = self._looked
        if time.monotonic() - at < LOOK_EVERY:
            return False
        driven = self.engine.journal.holder(self.run_id) is not None
        self._looked = (time.monotonic(), -1 if driven else self.renderer.story.last_seq)
        return not driven and seen == self.renderer.story.last_seq


def _end(session: Session, engine: ExecutionEngine, run_id: str, renderer: Renderer, run_dir: Path) -> int:
    from orchestrator import RunResult

    view = engine.inspect(run_id)
    tasks = {task.name: task for task in view.tasks}
    result = RunResult(
        run_id=run_id,
        status=view.status,
        outputs=view.outputs,
        tasks=tasks,
        cost=view.cost,
        failure=view.failure,
        message=view.message,
    )
    status = "interrupted" if view.status == "running" else view.status
    renderer.end(ending_of(session, run_dir, view.plan, result, status, renderer.story))
    return exit_codes.of_run(view.status, view.failure)
