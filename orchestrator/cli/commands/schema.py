"""`whisper-flow schema [NAME]`: the JSON Schemas that editors and other tools read."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import Command
from orchestrator.cli.session import current
from orchestrator.errors import NotFoundError
from orchestrator.host.resources import resource_bytes, resource_names
from orchestrator.spec.suggest import did_you_mean

ENDING = ".schema.json"
DEFAULT = "workflow"


@click.command(cls=Command)
@click.argument("name", required=False, default=DEFAULT)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it to a file.")
@click.option("--list", "listed", is_flag=True, help="List the schemas there are.")
def command(name: str, output: Path | None, listed: bool) -> None:
    """Print the JSON Schema called NAME (default: `workflow`), or the one that the file NAME is checked against.

    In an editor with the YAML language server, begin a workflow with:

    \b
    # yaml-language-server: $schema=../schemas/workflow.schema.json
    """
    session = current()
    names = [name.removesuffix(ENDING) for name in resource_names("schemas", ENDING)]
    if listed:
        for one in names:
            session.out.line(one)
        return
    wanted = _for_file(Path(name)) if name.endswith((".yaml", ".yml")) else name
    if wanted not in names:
        raise NotFoundError(
            f"there is no schema `{wanted}`", help=did_you_mean(wanted, names) or f"there are {', '.join(names)}"
        )
    text = resource_bytes("schemas", f"{wanted}{ENDING}").decode()
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
        session.err.line(f"wrote {output}")
    else:
        session.out.write(text)


def _for_file(path: Path) -> str:
    """Which schema a file of a project is checked against, by where it lies."""
    parts = path.parts[:-1]
    if path.name in ("whisper-flow.yaml", "whisper-flow.yml"):
        return "project"
    if "config" in parts and path.parent.name in ("agents", "workers"):
        return path.parent.name
    return DEFAULT
