"""`whisper-flow doctor`: is this machine, this project and its state in order?"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

import click

from orchestrator.cli import formats
from orchestrator.cli.command import Command
from orchestrator.cli.exit_codes import ExitCode
from orchestrator.cli.project import typed_path
from orchestrator.cli.session import Session, current
from orchestrator.cli.shapes import print_json
from orchestrator.cli.terminal import clean

Level = Literal["ok", "info", "warning", "error"]

DISK_FREE_MIN: Final = 200 * 1024 * 1024
DISK_FULL: Final = 64 * 1024
"""Less than the next few commits need."""
TOOLS: Final = {
    "bash": "`run:` tasks need it; without it they fall back to `sh`",
    "git": "runs are pinned to a commit with it",
}
_ICONS: Final = {"ok": ("✓", "green"), "info": ("·", "cyan"), "warning": ("⚠", "yellow"), "error": ("✗", "red")}


class Check(NamedTuple):
    about: str
    level: Level
    message: str
    help: str | None = None


@click.command(cls=Command)
@click.option(
    "--adopt", is_flag=True, help="Trust the state folder that is here: it came from elsewhere, and you know it."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(adopt: bool, as_json: bool) -> int:
    """Check Python, the platform, the project, its state and journal, free disk and the programs that tasks need.

    Looks only. Exit code 1 if something is wrong.
    """
    session = current()
    project = session.project()
    if adopt:
        from orchestrator.host.project import adopt as take

        take(session.state(project))
        session.err.line(f"adopted {typed_path(session.state(project))}")
    checks = list(examine(session, project))
    bad = any(check.level == "error" for check in checks)
    if as_json:
        print_json(session.out, "doctor/1", {"ok": not bad, "checks": [check._asdict() for check in checks]})
    else:
        for check in checks:
            mark, style = _ICONS[check.level]
            session.out.line(f"{session.out.style(mark, style)} {check.about:<8} {clean(check.message)}")
            if check.help:
                session.out.line(f"           {session.out.style('help', 'cyan')}: {clean(check.help)}")
    return ExitCode.BAD if bad else ExitCode.OK


def examine(session: Session, project: Path) -> Iterator[Check]:
    """One check after the other; none raises."""
    yield _python()
    yield _platform()
    yield from _project(session, project)
    yield from _state(session.state(project))
    yield from _disk(session.state(project))
    yield _cache()
    for tool, why in TOOLS.items():
        found = shutil.which(tool)
        yield (
            Check("tools", "ok", f"{tool} is {found}")
            if found
            else Check("tools", "warning", f"there is no `{tool}`", why)
        )
    for note in session.settings(project).notes:
        yield Check("settings", "warning", note)


def _python() -> Check:
    return Check("python", "ok", f"Python {platform.python_version()} at {sys.executable}")


def _platform() -> Check:
    from orchestrator import __version__

    system = f"whisper-flow {__version__} on {platform.system()} {platform.machine()}"
    if sys.platform not in ("linux", "darwin"):
        return Check("platform", "error", f"{system} is not supported", "use Linux or macOS (on Windows, WSL)")
    return Check("platform", "ok", system)


def _project(session: Session, project: Path) -> Iterator[Check]:
    from orchestrator.host.project import find_project

    found = find_project(project)
    if not found.declared:
        yield Check("project", "info", f"{project} is no project yet", "`whisper-flow init` makes one")
        return
    count = (
        sum(1 for path in found.workflows.rglob("*") if path.suffix in (".yaml", ".yml"))
        if found.workflows.is_dir()
        else 0
    )
    yield Check("project", "ok", f"{project}, {formats.plural(count, 'workflow file')}")
    ignored = (
        (project / ".gitignore").read_text(encoding="utf-8", errors="replace")
        if (project / ".gitignore").is_file()
        else ""
    )
    if session.state_option is None and (project / ".git").exists() and ".whisper-flow" not in ignored:
        # The state folder ignores itself too; this keeps it out of other tools that read .gitignore.
        yield Check(
            "project", "info", "`.gitignore` does not name `.whisper-flow/`", "`whisper-flow init` adds the line"
        )


def _state(state: Path) -> Iterator[Check]:
    """The state folder and its journal."""
    if not state.is_dir():
        yield Check("state", "info", f"{typed_path(state)} is not there yet: the first run makes it")
        return
    from orchestrator import verify

    findings = verify(state)
    for one in findings:
        yield Check("state", one.level, one.message, one.help)
    if not findings:
        yield Check("state", "ok", f"{typed_path(state)}: every event and every blob is as it was written")


def _disk(state: Path) -> Iterator[Check]:
    place = next(folder for folder in (state, *state.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    told = f"{formats.size(free)} free where the state is"
    if free < DISK_FULL:
        yield Check("disk", "error", f"{told}: nothing can be recorded, and no run starts", "make room")
    elif free < DISK_FREE_MIN:
        yield Check("disk", "warning", told, "runs are held when the disk is full; make room")
    else:
        yield Check("disk", "ok", told)
    held = _held_for_space(state)
    if held:
        told = f"{formats.plural(held, 'run')} held by `disk_full`"
        yield Check("disk", "error", told, "make room, then `whisper-flow resume RUN` goes on; `runs` names them")


def _held_for_space(state: Path) -> int:
    """How many runs found no space to record more."""
    return sum(1 for _ in (state / "full").iterdir()) if (state / "full").is_dir() else 0


def _cache() -> Check:
    from orchestrator.host.project import cache_folder

    folder = cache_folder()
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(place, os.W_OK):
        return Check(
            "cache", "warning", f"{folder} cannot be written", "plans are compiled anew each time; set XDG_CACHE_HOME"
        )
    return Check("cache", "ok", str(folder))
