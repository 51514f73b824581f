"""`whisper-flow workers`: which models there are, with which key, limits and prices, and how they did."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import formats
from orchestrator.cli.command import Group
from orchestrator.cli.project import typed_path
from orchestrator.cli.session import Session, current
from orchestrator.cli.shapes import print_json
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.workers.manager import WorkerManager

STATUSES = ("active", "disabled", "archived")
INTERACTIONS = ("conversational", "stateless_task", "both")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_PATH = click.Path(path_type=Path)


@click.group(cls=Group, default="list")
def command() -> None:
    """Look at workers, ask them, and change those that `config/` declares."""


@command.command("list")
@click.option("--name", help="Only those whose name holds this.")
@click.option("--provider", help="Only those of this provider.")
@click.option("--model", help="Only those with this model, with or without its provider.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those in this status.")
@click.option("--takes", "interaction_model", type=click.Choice(INTERACTIONS), help="Only those that take this.")
@click.option("--can", "capabilities", multiple=True, metavar="WORD", help="Only those that can; may be given again.")
@_JSON
def list_workers(as_json: bool, **filters: Any) -> None:
    """List the workers of this project: key, price, limits, and how they did. Keys are looked for, never shown."""
    session = current()
    with managing(session) as manager:
        found = manager.list_definitions(**filters)
        keys = {one.definition_id: manager.key_status(one.definition_id) for one in found}
        summaries = {one.definition_id: one for one in manager.summaries(one.definition_id for one in found)}
        if as_json:
            rows = [_worker_json(manager, one, keys[one.definition_id], summaries[one.definition_id]) for one in found]
            print_json(session.out, "workers/1", {"workers": rows})
            return
    if not found:
        session.err.line("no worker fits" if any(filters.values()) else "this project declares no workers")
        return
    from orchestrator.cli.worker_pages import worker_table

    session.out.write(worker_table(session.out, found, keys, summaries))


@command.command()
@click.argument("worker")
@_JSON
def show(worker: str, as_json: bool) -> None:
    """Show WORKER: definition, where it is declared, its key's status, and how it did."""
    session = current()
    with managing(session) as manager:
        found, key = manager.get_definition(worker), manager.key_status(worker)
        summary = manager.get_performance_summary(worker)
        if as_json:
            print_json(session.out, "worker/1", _worker_json(manager, found, key, summary))
            return
        from orchestrator.cli.worker_pages import show_worker

        show_worker(session.out, found, manager.place(worker) or "added, not in a file", key, summary)


@command.command()
@click.argument("worker", required=False)
@click.option("--task", "task_id", help="Only this task, by its name or with its run.")
@click.option("--instance", "instance_id", help="Only this instance.")
@click.option("--success/--failure", default=None, help="Only what succeeded, or failed.")
@click.option("--longer", metavar="TIME", help="Only what took at least this long: `30s`.")
@click.option("--shorter", metavar="TIME", help="Only what took at most this long.")
@click.option("--dearer", "cost_min", type=float, metavar="COST", help="Only what is known to have cost at least this.")
@click.option("--cheaper", "cost_max", type=float, metavar="COST", help="Only what is known to have cost at most this.")
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@_JSON
def performance(
    worker: str | None, longer: str | None, shorter: str | None, limit: int, as_json: bool, **filters: Any
) -> None:
    """List what workers did, the latest first."""
    session = current()
    with managing(session) as manager:
        if worker is not None:
            manager.get_definition(worker)
        found = manager.get_performance_records(
            definition_id=worker,
            duration_ms_min=_milliseconds(longer),
            duration_ms_max=_milliseconds(shorter),
            **filters,
        )
    shown = found[-limit:][::-1]
    if as_json:
        print_json(session.out, "worker-performance/1", {"records": [one.shown() for one in shown]})
        return
    if not shown:
        session.err.line("nothing on record fits")
        return
    from orchestrator.cli.worker_pages import record_table

    session.out.write(record_table(session.out, shown))


@command.command()
@click.argument("worker", required=False)
@_JSON
def active(worker: str | None, as_json: bool) -> None:
    """List the instances at work: conversations of runs that are not over."""
    session = current()
    with managing(session) as manager:
        found = manager.list_active(worker)
    if as_json:
        print_json(session.out, "worker-instances/1", {"instances": [one.shown() for one in found]})
    elif not found:
        session.err.line("nobody is at work")
    else:
        from orchestrator.cli.worker_pages import instance_table

        session.out.write(instance_table(session.out, found))


@command.command()
@click.argument("worker")
@click.argument("prompt")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of this call: `temperature=0`.")
@click.option("--file", "files", multiple=True, metavar="PATH", help="A file to show it, from the project's root.")
@_JSON
def run(worker: str, prompt: str, settings: tuple[str, ...], files: tuple[str, ...], as_json: bool) -> None:
    """Give WORKER one PROMPT and print its answer. `-` reads the prompt from standard input."""
    session = current()
    text = sys.stdin.read() if prompt == "-" else prompt
    output, record = asyncio.run(_single(session, worker, text, pairs(settings), files))
    if as_json:
        print_json(session.out, "worker-run/1", {"output": output, "record": record.shown()})
        return
    from orchestrator.cli.terminal import clean
    from orchestrator.cli.worker_pages import UNKNOWN, money

    session.out.line(clean(output))
    cost = UNKNOWN if record.cost_incurred is None else money(record.cost_incurred, record.currency)
    session.err.line(
        session.err.style(f"{record.llm_metrics.model}  {record.llm_metrics.total_tokens} tokens  cost {cost}", "dim")
    )


async def _single(
    session: Session, worker: str, prompt: str, settings: dict[str, Any], files: tuple[str, ...]
) -> tuple[str, Any]:
    from orchestrator.bootstrap import worker_manager

    async with session.engine() as engine:
        manager = await asyncio.to_thread(worker_manager, engine)
        return await manager.execute_stateless_task(worker, prompt, settings, file_contexts=files)


@command.command()
@click.argument("worker")
@click.argument("model", metavar="PROVIDER/MODEL")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
def add(worker: str, model: str, fields: tuple[str, ...]) -> None:
    """Declare WORKER in a new file `config/workers/WORKER.yaml`. Values are YAML: `rate_limits={max_requests_per_minute: 60}`."""
    from orchestrator.ports.chat_model import parse_model
    from orchestrator.workers.editing import declare

    session = current()
    try:
        provider, name = parse_model(model)
    except ValueError as error:
        raise UsageError(str(error)) from None
    project = session.project()
    path = declare(project, worker_from_yaml(worker, {"provider": provider, "model_name": name, **pairs(fields)}))
    session.err.line(f"wrote {typed_path(path)}")


@command.command()
@click.argument("worker")
@click.argument("fields", nargs=-1, required=True, metavar="FIELD=VALUE...")
def update(worker: str, fields: tuple[str, ...]) -> None:
    """Change fields of WORKER in the file of `config/` that declares it; `FIELD=` takes one out. Comments stay."""
    session = current()
    session.err.line(f"changed {worker} in {_change(session, worker, pairs(fields))}")


@command.command()
@click.argument("worker")
def enable(worker: str) -> None:
    """Let WORKER be used again."""
    _status(worker, "active")


@command.command()
@click.argument("worker")
def disable(worker: str) -> None:
    """Let nobody use WORKER: runs that need it do not start."""
    _status(worker, "disabled")


def _status(worker: str, status: str) -> None:
    session = current()
    session.err.line(f"{worker} is {status} now, in {_change(session, worker, {'status': status})}")


def _change(session: Session, worker: str, changes: dict[str, Any]) -> str:
    """Change it where it is: in the file that declares it, else in the project's state. Returns where that was."""
    from orchestrator.workers.editing import change
    from orchestrator.workers.errors import WorkerNotFoundError

    try:
        return typed_path(change(session.project(), worker, changes))
    except WorkerNotFoundError:
        if not _is_kept(session, worker):
            raise
    from orchestrator.spec.compile_values import worker as compiled

    with managing(session) as manager:
        set_ones = compiled({name: value for name, value in changes.items() if value is not None})
        manager.update_definition(worker, {**changes, **set_ones})
        manager.keep()
    return "the project's state"


def _is_kept(session: Session, worker: str) -> bool:
    """Whether it was added by other means than a file."""
    with managing(session) as manager:
        return bool(manager.list_definitions(definition_id=worker)) and manager.place(worker) is None


@command.command()
@click.argument("worker")
def remove(worker: str) -> None:
    """Take WORKER out of the file of `config/` that declares it. What it did stays on record."""
    from orchestrator.workers.editing import withdraw

    session = current()
    if _is_kept(session, worker):
        with managing(session) as manager:
            manager.remove_definition(worker)
            manager.keep()
        where = "the project's state"
    else:
        where = typed_path(withdraw(session.project(), worker))
    session.err.line(f"removed {worker} from {where}")


@command.command()
@click.argument("folder", type=_PATH, default=Path())
def save(folder: Path) -> None:
    """Write all definitions and performance records into two JSON files in FOLDER (default: here). Keys are left out."""
    session = current()
    with managing(session) as manager:
        for saved in (manager.save_all(folder), manager.save_performance_data(folder)):
            session.err.line(f"wrote {typed_path(saved.path.absolute())} ({saved.rows})")
            for name in saved.keys_left_out:
                session.err.line(f"the inline key of {name} was left out")


@command.command()
@click.argument("folder", type=_PATH)
def load(folder: Path) -> None:
    """Read the JSON files that `save` wrote into FOLDER, and keep what they hold in this project's state."""
    session = current()
    from orchestrator.workers.files import DEFINITIONS_FILE, PERFORMANCE_FILE

    present = [name for name in (DEFINITIONS_FILE, PERFORMANCE_FILE) if (folder / name).is_file()]
    if not present:
        raise NotFoundError(f"there is neither {DEFINITIONS_FILE} nor {PERFORMANCE_FILE} in {folder}")
    with managing(session, make_state=True) as manager:
        if DEFINITIONS_FILE in present:
            count, hidden = manager.load_all(folder)
            session.err.line(f"{formats.plural(count, 'definition')} loaded")
            for name in hidden:
                session.err.line(f"{name} is left aside: {manager.place(name)} declares it")
        if PERFORMANCE_FILE in present:
            session.err.line(f"{formats.plural(manager.load_performance_data(folder), 'record')} loaded")
        manager.keep()


@contextmanager
def managing(session: Session, *, make_state: bool = False) -> Iterator[WorkerManager]:
    """The project's workers; where nothing was ever run, without a journal: looking makes no folders."""
    from orchestrator.workers.declared import project_manager

    project = session.project()
    state = session.state(project)
    if make_state or state.is_dir():
        engine = session.engine(project)
        try:
            yield project_manager(project, state=engine.adapters.state, journal=engine.journal)
        finally:
            engine.journal.close()
    else:
        yield project_manager(project)


def pairs(said: tuple[str, ...]) -> dict[str, Any]:
    """`a=1 b={c: d}` as values of YAML; nothing after the sign is None. Raises UsageError."""
    found: dict[str, Any] = {}
    for one in said:
        name, sign, text = one.partition("=")
        if not sign or not name:
            raise UsageError(f"`{one}` is not FIELD=VALUE")
        found[name] = _value(text)
    if isinstance(auth := found.get("auth"), dict) and "inline" in auth:
        help = "the shell and `ps` would keep it: write `auth={env_var: NAME}`, and export the variable"
        raise UsageError("a key is not given on a command line", help=help)
    return found


def _value(text: str) -> Any:
    if not text:
        return None
    from orchestrator.spec.diagnostics import DiagnosticsError
    from orchestrator.spec.loader import load_document

    try:
        return load_document(f"value: {text}".encode(), file="<argument>").data["value"]
    except DiagnosticsError as error:
        if text.startswith(("[", "{")):
            raise UsageError(f"`{text}` is no YAML: {error.diagnostics[0].message}") from None
        return text


def worker_from_yaml(worker: str, said: dict[str, Any]) -> Any:
    """A definition from what YAML would say: `auth: none`, `200k`, `90s`. Raises UsageError, InvalidArgumentError."""
    from orchestrator.core.units import UnitError
    from orchestrator.spec import compile_values
    from orchestrator.workers.definitions import from_plan

    try:
        return from_plan(
            worker, compile_values.worker({name: value for name, value in said.items() if value is not None})
        )
    except UnitError as error:
        raise UsageError(str(error)) from None


def _milliseconds(text: str | None) -> int | None:
    if text is None:
        return None
    from orchestrator.core.units import UnitError, parse_duration

    try:
        return round(parse_duration(text) * 1000)
    except UnitError as error:
        raise UsageError(str(error), help="for example `30s`") from None


def _worker_json(manager: WorkerManager, one: Any, key: tuple[str, str], summary: Any) -> dict[str, Any]:
    return {
        **one.shown(),
        "declared_in": manager.place(one.definition_id),
        "key": {"status": key[0], "detail": key[1]},
        "performance": summary.shown(),
    }
