"""The stage that `run`, `resume` and `rerun` share: one way to show and drive a run in the foreground."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.renderers.choose import Progress, Renderer, chosen, make_renderer
from orchestrator.cli.session import Session
from orchestrator.cli.terminal import can_ask

if TYPE_CHECKING:
    from orchestrator import ExecutionEngine, RunHandle
    from orchestrator.cli.driving import Begin
    from orchestrator.cli.taping import Taping
    from orchestrator.core.plan import Plan


def load_quickly(file: Path, project: Path, renderer: Renderer) -> Plan:
    """The compiled plan of a file, from the cache if nothing changed; says how many warnings there are.

    DiagnosticsError carries every finding.
    """
    from orchestrator import load_plan

    # Loading makes many objects and no garbage: collecting meanwhile doubles its time.
    gc.disable()
    try:
        plan, findings = load_plan(file, project)
    finally:
        gc.enable()
    warnings = sum(one.severity == "warning" for one in findings)
    if warnings:
        from orchestrator.cli import formats

        renderer.notice(f"{formats.plural(warnings, 'warning')}: see `whisper-flow validate {file}`")
    return plan


@dataclass(slots=True)
class Stage:
    """Where one run is shown and driven."""

    session: Session
    project: Path
    renderer: Renderer
    progress: Progress
    grace: str
    ask: bool
    synchronous: str
    delegates: tuple[str, ...]
    started: Callable[[str], None] = lambda run_id: None

    def plan_known(self, plan: Plan) -> None:
        """Lets the live view say what is still to come and what it may cost."""
        if self.progress == "live":
            from orchestrator.cli.endings import outlook_of
            from orchestrator.cli.renderers.header import budget_text
            from orchestrator.cli.renderers.live import LiveRenderer

            assert isinstance(self.renderer, LiveRenderer)
            self.renderer.cost_max = budget_text(plan.budget)
            self.renderer.outlook = outlook_of(plan)

    def drive(self, begin: Begin, plan: Plan, *, taping: Taping | None = None, after: int = 0) -> int:
        """Begin the run and stay with it; the exit code. `after`: the last event of a resumed run."""
        from orchestrator.cli.driving import Driving, drive
        from orchestrator.cli.log_lines import log_lines
        from orchestrator.core.units import parse_duration

        tape = taping.open(plan.workflow, plan.digest) if taping is not None else None
        engine = self.session.engine(self.project, synchronous=self.synchronous, tape=tape)
        driving = Driving(
            session=self.session,
            renderer=self.renderer,
            progress=self.progress,
            grace=parse_duration(self.grace),
            after=after,
            ask=self.ask,
            result_out=self.progress != "json",
            run_dir=lambda run_id: self.session.run_dir(self.project, run_id),
            started=self.started,
        )
        with log_lines(self._tell, self.session.err, debug=self.session.debug):
            code = drive(driving, engine, self._with_delegates(begin) if self.delegates else begin)
        if tape is None or taping is None:
            return code
        from orchestrator.cli.taping import finish

        return finish(self.session, self.project, tape, taping, code, quiet=self.progress in ("none", "json"))

    def _tell(self, line: str) -> None:
        """Programs that read events have those; people who look over their shoulder have standard error."""
        tell = self.session.err.line if self.progress in ("json", "none") else self.renderer.notice
        tell(line)

    def _with_delegates(self, begin: Begin) -> Begin:
        async def attach_first(engine: ExecutionEngine) -> RunHandle:
            from orchestrator import DelegateContext, attach_delegate

            context = DelegateContext(
                project=self.project,
                http=engine.services.http,
                processes=engine.services.processes,
                environ=os.environ,
                write=self._tell,
            )
            for delegate in self.delegates:
                attach_delegate(delegate, engine.delegate_manager, context)
            return await begin(engine)

        return attach_first


@contextmanager
def foreground(
    session: Session,
    project: Path,
    *,
    title: str,
    workflow: str,
    progress: Progress | None = None,
    as_json: bool = False,
    verbose: bool = False,
    no_ask: bool = False,
    delegates: tuple[str, ...] = (),
    grace: str | None = None,
    synchronous: str | None = None,
    ready_fd: int | None = None,
) -> Iterator[Stage]:
    """A stage with its first line shown; the terminal is given back however the body ends."""
    session.used_project = project
    settings = session.settings(project)
    wanted: Progress = "json" if as_json else progress or settings.value("progress")
    kind = chosen(wanted, session.err)
    renderer = make_renderer(kind, out=session.out, err=session.err, verbose=verbose)
    try:
        renderer.begin(title, workflow)
        yield Stage(
            session=session,
            project=project,
            renderer=renderer,
            progress=kind,
            grace=grace or settings.value("grace"),
            ask=can_ask() and not no_ask and kind in ("live", "plain"),
            synchronous=synchronous or settings.value("synchronous"),
            delegates=delegates,
            started=lambda run_id: _say_started(ready_fd),
        )
    finally:
        renderer.close()


def _say_started(ready_fd: int | None) -> None:
    """Tell whoever detached us that the run is recorded."""
    if ready_fd is not None:
        os.write(ready_fd, b"1")
        os.close(ready_fd)
