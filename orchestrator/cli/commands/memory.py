"""`whisper-flow memory`: what agents remember, for people to read and put right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import Command, Group
from orchestrator.cli.session import Session, current
from orchestrator.cli.shapes import print_json
from orchestrator.cli.table import table
from orchestrator.cli.terminal import can_ask
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.host.terminal_text import clean_terminal

if TYPE_CHECKING:
    from orchestrator.tools._memory_store import MemoryStore


@click.group(cls=Group, default="list")
def command() -> None:
    """Read and edit what agents remember (`memory:` of an agent).

    NAME is a memory's name, or the path of its file.
    """


@command.command(name="list", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_memories(as_json: bool) -> None:
    """List the memories of this project."""
    session = current()
    stores = _stores(session)
    facts = [
        {
            "name": name,
            "entries": len(store.read().entries),
            "bytes": store.path.stat().st_size if store.path.is_file() else 0,
            "file": str(store.path),
        }
        for name, store in stores.items()
    ]
    if as_json:
        print_json(session.out, "memory/1", {"memories": facts})
        return
    if not facts:
        session.err.line("nothing is remembered here yet")
        return
    cells = [[str(one[key]) for key in ("name", "entries", "bytes", "file")] for one in facts]
    session.out.write(table(session.out, ["memory", "entries", "bytes", "file"], cells))


@command.command(cls=Command)
@click.argument("name")
@click.argument("key", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, key: str | None, as_json: bool) -> None:
    """Show what is remembered under NAME, or its entry KEY alone."""
    session = current()
    entries = _store(session, name).read().entries
    if key is not None:
        if key not in entries:
            from orchestrator.spec.suggest import did_you_mean

            raise NotFoundError(f"`{name}` has no entry `{key}`", help=did_you_mean(key, entries))
        entries = {key: entries[key]}
    if as_json:
        rows = [{"key": one.key, "text": one.text, "written": one.origin} for one in entries.values()]
        print_json(session.out, "memory/1", {"name": name, "entries": rows})
        return
    for one in entries.values():
        session.out.line(clean_terminal(f"{one.key}  ({one.origin or 'by hand'})"))
        for line in clean_terminal(one.text).splitlines():
            session.out.line(f"  {line}")
        session.out.line("")


@command.command(cls=Command)
@click.argument("name")
def edit(name: str) -> None:
    """Open NAME in your editor ($VISUAL, $EDITOR); what you save replaces it."""
    session = current()
    store = _store(session, name)
    from orchestrator.tools._memory_store import formed

    before = formed(store.read())
    edited = click.edit(before, extension=".md")
    if edited is None or edited == before:
        session.err.line("nothing changed")
        return
    if formed(store.read()) != before:
        kept = store.path.with_suffix(".edited.md")
        kept.write_text(edited, encoding="utf-8")
        raise UsageError(f"an agent wrote to `{name}` meanwhile", help=f"your text is in {kept}")
    count = store.replace(edited)
    session.err.line(f"{name}: {count} {'entry' if count == 1 else 'entries'}")


@command.command(cls=Command)
@click.argument("name")
@click.argument("keys", nargs=-1)
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(name: str, keys: tuple[str, ...], yes: bool) -> None:
    """Forget everything under NAME, or the entries KEYS alone."""
    session = current()
    store = _store(session, name)
    for key in keys:
        if not store.forget(key):
            raise NotFoundError(f"`{name}` has no entry `{key}`")
    if keys:
        session.err.line(f"{name}: forgot {len(keys)}")
        return
    if not yes and not can_ask():
        raise UsageError(f"this forgets everything in `{name}`", help="say so with --yes, or name the entries")
    if not yes and not click.confirm(f"Forget everything in `{name}`?", err=True):
        session.err.line("nothing changed")
        return
    session.err.line(f"{name}: forgot {store.clear()}")


def _stores(session: Session) -> dict[str, MemoryStore]:
    """Those in the state folder by name, and those that agents of `config/` keep elsewhere by path."""
    from orchestrator.spec.project_config import load_config
    from orchestrator.tools._memory_places import at_path, named, names_in

    project = session.project()
    state = session.state(project)
    stores = {name: named(name, state) for name in names_in(state)}
    for agent in load_config(project).agents.values():
        said = agent.get("memory")
        if isinstance(said, dict) and said.get("path"):
            stores[str(said["path"])] = at_path(str(said["path"]), project=project, state=state)
    return stores


def _store(session: Session, name: str) -> MemoryStore:
    from orchestrator.tools._memory_places import at_path

    stores = _stores(session)
    if name in stores:
        return stores[name]
    project = session.project()
    if (project / name).is_file() and Path(name).suffix == ".md":
        return at_path(name, project=project, state=session.state(project))
    from orchestrator.spec.suggest import did_you_mean

    raise NotFoundError(
        f"there is no memory `{name}`", help=did_you_mean(name, stores) or "`whisper-flow memory` lists them"
    )
