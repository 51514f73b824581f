"""`whisper-flow new NAME`: a workflow file from a template."""

from __future__ import annotations

import re
from pathlib import Path

import click

from orchestrator.cli.command import Command
from orchestrator.cli.project import typed_path
from orchestrator.cli.session import current
from orchestrator.cli.templates import TEMPLATES
from orchestrator.errors import UsageError


@click.command(cls=Command)
@click.argument("name")
@click.option(
    "--template", type=click.Choice(sorted(TEMPLATES)), default="hello", show_default=True, help="What to begin from."
)
def command(name: str, template: str) -> None:
    """Write `workflows/NAME.yaml` in this project, from a template; NAME may be a path that ends in .yaml."""
    session = current()
    path = Path(name) if name.endswith((".yaml", ".yml")) else session.project() / "workflows" / f"{name}.yaml"
    if path.exists():
        raise UsageError(f"`{path}` is there already", help="take another name")
    if not re.fullmatch(r"[\w. -]+", path.name):
        raise UsageError(f"`{path.name}` is no name for a workflow file", help="use letters, digits and hyphens")
    text = re.sub(r"^name: .*$", f"name: {path.stem}", TEMPLATES[template], count=1, flags=re.MULTILINE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    session.out.line(typed_path(path))
    session.err.line(f"run it with: {session.command('run', typed_path(path))}")
