"""`whisper-flow examples list|show|copy`: the workflows that come with the program; every one runs without a key."""

from __future__ import annotations

import re
from pathlib import Path

import click

from orchestrator.cli.command import Group
from orchestrator.cli.project import typed_path
from orchestrator.cli.session import current
from orchestrator.cli.shapes import print_json
from orchestrator.cli.table import table
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.host.resources import resource_bytes, resource_names
from orchestrator.spec.suggest import did_you_mean


@click.group(cls=Group, default="list")
def command() -> None:
    """List, show or copy the examples."""


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_examples(as_json: bool) -> None:
    """List the examples with a sentence about each."""
    out = current().out
    found = [(name, _description(name)) for name in example_names()]
    if as_json:
        print_json(out, "examples/1", {"examples": [{"name": name, "description": told} for name, told in found]})
    else:
        out.write(table(out, ["example", "what it shows"], found))


@command.command()
@click.argument("name")
def show(name: str) -> None:
    """Print the example NAME."""
    current().out.write(_text(_checked(name)))


@command.command()
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--force", is_flag=True, help="Replace files that are there already.")
def copy(name: str, folder: Path | None, force: bool) -> None:
    """Copy the example NAME, and what it needs, into FOLDER (default: the project's `workflows/`)."""
    session = current()
    target = folder if folder is not None else session.project() / "workflows"
    files = [f"{_checked(name)}.yaml", *companions(_text(name))]
    taken = [target / file for file in files if (target / file).exists()]
    if taken and not force:
        raise UsageError(f"`{taken[0]}` is there already", help="`--force` replaces it")
    for file in files:
        path = target / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(resource_bytes("workflows", file))
        session.out.line(typed_path(path))
    session.err.line(f"run it with: {session.command('run', typed_path(target / files[0]))}")


def example_names() -> list[str]:
    """The examples by name; what lies in folders are their parts."""
    return [name.removesuffix(".yaml") for name in resource_names("workflows", ".yaml") if "/" not in name]


def companions(text: str) -> list[str]:
    """The other files that an example names: called workflows, modules beside it."""
    named = set(re.findall(r"workflows/([\w./-]+\.yaml)", text))
    named |= {f"{module}.py" for module in re.findall(r"workflows\.(\w+):", text)}
    return sorted(file for file in resource_names("workflows") if file in named and f"run workflows/{file}" not in text)


def _checked(name: str) -> str:
    names = example_names()
    if name not in names:
        raise NotFoundError(
            f"there is no example `{name}`", help=did_you_mean(name, names) or "see `whisper-flow examples`"
        )
    return name


def _text(name: str) -> str:
    return resource_bytes("workflows", f"{name}.yaml").decode()


def _description(name: str) -> str:
    """Its `description:`, read as a line: these files are ours."""
    found = re.search(r"^description: (.+)$", _text(name), re.MULTILINE)
    return found[1].strip("'\"") if found else ""
