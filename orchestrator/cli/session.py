"""What every command shares: where the project and its state are, colours, and how errors are shown."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.terminal import ColorChoice, Screen
from orchestrator.cli.terminal import stderr as stderr_screen
from orchestrator.cli.terminal import stdout as stdout_screen
from orchestrator.errors import NotFoundError

if TYPE_CHECKING:
    from orchestrator import ExecutionEngine
    from orchestrator.bootstrap import EngineTape
    from orchestrator.cli.settings import Settings


@dataclass(slots=True)
class Session:
    """One call of the command line. Filled by the options that every command takes."""

    project_option: Path | None = None
    state_option: Path | None = None
    color: ColorChoice = "auto"
    debug: bool = False
    used_project: Path | None = None
    """The project of the file that was run, which need not be the one around the current folder."""
    _settings: dict[Path, Settings] = field(default_factory=dict)

    @property
    def out(self) -> Screen:
        return stdout_screen(self.color)

    @property
    def err(self) -> Screen:
        return stderr_screen(self.color)

    def project(self, file: Path | None = None) -> Path:
        """The project's folder: `--project`, else the one around `file`, else around the current folder."""
        from orchestrator.cli.project import project_of

        if self.project_option is not None:
            return self.project_option.resolve()
        return project_of(file)

    def settings(self, project: Path | None = None) -> Settings:
        """The settings in force for a project, each with its origin."""
        from orchestrator.cli.settings import resolve

        where = project or self.project()
        if where not in self._settings:
            self._settings[where] = resolve(
                where, flags={"color": None if self.color == "auto" else self.color, "state": self.state_option}
            )
        return self._settings[where]

    def state(self, project: Path) -> Path:
        """The state folder in use."""
        folder = Path(self.settings(project).value("state")).expanduser()
        return folder if folder.is_absolute() else project / folder

    def run_dir(self, project: Path, run_id: str) -> Path:
        """Where a run keeps its logs and artefacts."""
        return self.state(project) / "runs" / run_id

    def engine(
        self, project: Path | None = None, *, synchronous: str | None = None, tape: EngineTape | None = None
    ) -> ExecutionEngine:
        """An engine on the project's state, not yet entered."""
        from orchestrator import ExecutionEngine

        where = project or self.project()
        settings = self.settings(where)
        return ExecutionEngine(
            where,
            state=self.state(where),
            synchronous="NORMAL" if (synchronous or settings.value("synchronous")) == "normal" else "FULL",
            settings=settings.for_engine(),
            tape=tape,
        )

    @contextmanager
    def reading(self) -> Iterator[ExecutionEngine]:
        """An engine to look at runs with. NotFoundError where nothing was ever run: looking makes no folders."""
        project = self.project()
        if not self.state(project).is_dir():
            raise NotFoundError("there are no runs here yet", help=f"start one with `{self.command('run', 'FILE')}`")
        engine = self.engine(project)
        try:
            yield engine
        finally:
            engine.journal.close()

    def command(self, *words: str) -> str:
        """A command to suggest, with the folders that this call was given."""
        elsewhere = self.used_project if self.used_project not in (None, self.project()) else self.project_option
        folders = [("-C", elsewhere), ("--state", self.state_option)]
        given = [part for flag, folder in folders if folder is not None for part in (flag, str(folder))]
        return shlex.join(["whisper-flow", *words, *given])


def current() -> Session:
    """The session of the running command."""
    return click.get_current_context().ensure_object(Session)
