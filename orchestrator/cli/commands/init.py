"""`whisper-flow init [FOLDER]`: a project with a first workflow, ready to run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from orchestrator.cli.command import Command
from orchestrator.cli.session import current
from orchestrator.cli.templates import TEMPLATES
from orchestrator.host.resources import resource_folder

IGNORED: Final = ".whisper-flow/"
CONFIG: Final = """\
# Settings of this project; every line is optional. `whisper-flow config show --origin` says what is in force.
version: 1

# limits: {processes: 8, waiting_calls: 64}
# pass_env: [LANGUAGE]            # more environment variables that tasks get
"""


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
def command(folder: Path) -> None:
    """Make a project in FOLDER (default: here): `config/whisper-flow.yaml`, `workflows/hello.yaml` and a line in `.gitignore`.

    What is there already stays as it is.
    """
    session = current()
    made = []
    for path, text in (
        (folder / "config" / "whisper-flow.yaml", _config()),
        (folder / "workflows" / "hello.yaml", TEMPLATES["hello"]),
    ):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            made.append(path)
    if _ignore(folder / ".gitignore"):
        made.append(folder / ".gitignore")
    for path in made:
        session.out.line(str(path))
    if not made:
        session.err.line("this is a project already; nothing to do")
    hello = folder / "workflows" / "hello.yaml"
    session.err.line(f"run it with: whisper-flow run {hello}")


def _config() -> str:
    """The commented configuration that comes with the program, if there is one."""
    path = resource_folder("config") / "whisper-flow.yaml"
    return path.read_text(encoding="utf-8") if path.is_file() else CONFIG


def _ignore(path: Path) -> bool:
    """Let git pass over the state folder; False if it does already."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if any(row.strip().rstrip("/") == IGNORED.rstrip("/") for row in text.splitlines()):
        return False
    gap = "" if not text or text.endswith("\n") else "\n"
    path.write_text(f"{text}{gap}{IGNORED}\n", encoding="utf-8")
    return True
