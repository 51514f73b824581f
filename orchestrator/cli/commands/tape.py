"""`whisper-flow tape`: look at recorded answers, check them, and keep them clean."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import formats
from orchestrator.cli.command import Group
from orchestrator.cli.exit_codes import ExitCode
from orchestrator.cli.session import Session, current
from orchestrator.cli.shapes import print_json
from orchestrator.cli.terminal import clean
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.ai.tapes.format import TapeFile

_FILE = click.Path(path_type=Path)


@click.group(cls=Group)
def command() -> None:
    """Look at tapes: what models and tools answered, recorded by `run --record` and played by `run --replay`."""


@command.command("ls")
@click.argument("tape", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_entries(tape: Path, as_json: bool) -> None:
    """List the entries of TAPE in the order they were recorded."""
    from orchestrator.cli import tape_pages

    session, found = current(), _read(tape)
    if as_json:
        entries = [tape_pages.row_json(entry) for entry in found.entries]
        print_json(session.out, "tape/1", {"tape": str(tape), **tape_pages.header_json(found), "entries": entries})
        return
    session.err.line(tape_pages.headline(found))
    session.out.write(tape_pages.entry_table(session.out, found))


@command.command()
@click.argument("tape", type=_FILE)
@click.argument("number", type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(tape: Path, number: int, as_json: bool) -> None:
    """Show entry NUMBER of TAPE: what was asked, and what came."""
    from orchestrator.cli import tape_pages

    session, found = current(), _read(tape)
    if number > len(found.entries):
        raise NotFoundError(f"{tape} has {formats.plural(len(found.entries), 'answer')}, no number {number}")
    entry = found.entries[number - 1]
    if as_json:
        print_json(session.out, "tape-entry/1", {"number": number, **entry.data})
        return
    for row in tape_pages.entry_lines(session.out, entry):
        session.out.line(clean(row))


@command.command()
@click.argument("first", type=_FILE)
@click.argument("second", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(first: Path, second: Path, as_json: bool) -> None:
    """Say what SECOND asks and answers differently; entries are matched by task and agent."""
    from orchestrator.ai.tapes.upkeep import differences
    from orchestrator.cli import tape_pages

    session = current()
    found = differences(_read(first), _read(second))
    if as_json:
        page = [{"where": d.where, "first": d.before, "second": d.after, "changes": list(d.changes)} for d in found]
        print_json(session.out, "tape-diff/1", {"tapes": [str(first), str(second)], "differences": page})
        return
    for difference in found:
        session.out.line(clean(tape_pages.difference_line(difference)))
    if not found:
        session.err.line("both tapes ask and answer the same")


@command.command()
@click.argument("tapes", type=_FILE, nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(tapes: tuple[Path, ...], as_json: bool) -> int:
    """Check TAPES: that they can be played, were not edited beside their keys, and hold no secret. Exit code 1: they do not."""
    from orchestrator.ai.tapes.secrets import keys_in
    from orchestrator.ai.tapes.upkeep import verify as findings_of
    from orchestrator.host.redact import Redactor

    session, redactor = current(), Redactor(keys_in(os.environ))
    page: list[dict[str, Any]] = []
    for tape in tapes:
        found = findings_of(_read(tape), redactor)
        page += [{"tape": str(tape), "entry": one.entry or None, "message": one.message} for one in found]
    if as_json:
        print_json(session.out, "tape-verify/1", {"tapes": [str(tape) for tape in tapes], "findings": page})
    for row in [] if as_json else page:
        where = f"{row['tape']}, entry {row['entry']}" if row["entry"] else row["tape"]
        session.out.line(clean(f"{where}: {row['message']}"))
    if not as_json and not page:
        session.err.line(f"{formats.plural(len(tapes), 'tape')}: nothing to say")
    return ExitCode.BAD if page else ExitCode.OK


@command.command()
@click.argument("tape", type=_FILE)
@click.option("--env", "variables", multiple=True, metavar="NAME", help="Replace the value of this variable, too.")
@click.option("--stdin", "from_stdin", is_flag=True, help="Replace each line of standard input, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def redact(tape: Path, variables: tuple[str, ...], from_stdin: bool, as_json: bool) -> None:
    """Replace secrets on TAPE by ***, in any spelling, and make new keys: those in the environment, and what you name.

    A value is never given as an argument, where others can read it.
    """
    from orchestrator.ai.tapes.secrets import keys_in
    from orchestrator.ai.tapes.upkeep import redact as redacted
    from orchestrator.ai.tapes.writing import rewrite_tape
    from orchestrator.host.redact import SECRET_LENGTH_MIN, Redactor

    session = current()
    values = keys_in(os.environ) | {_value(name) for name in variables}
    if from_stdin:
        values |= {line.rstrip("\r\n") for line in sys.stdin if line.strip()}
    if short := [value for value in values if len(value) < SECRET_LENGTH_MIN]:
        session.err.line(
            f"{formats.plural(len(short), 'value')} shorter than {SECRET_LENGTH_MIN} characters left alone"
        )
    clean_tape, changed = redacted(_read(tape), Redactor(values))
    if changed:
        rewrite_tape(tape, clean_tape.encoded())
    _tell_changed(session, tape, "redacted", sorted(changed), as_json)


@command.command()
@click.argument("tape", type=_FILE)
@click.option("--workflow", type=_FILE, metavar="FILE", help="Take out what is of no task or agent of this workflow.")
@click.option("--dry-run", is_flag=True, help="Only say which.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def prune(tape: Path, workflow: Path | None, dry_run: bool, as_json: bool) -> None:
    """Take out of TAPE what the last successful replay of it did not use, and what was cut off and cannot be played."""
    from orchestrator.ai.tapes.upkeep import pruned, stale
    from orchestrator.ai.tapes.writing import rewrite_tape

    session, found = current(), _read(tape)
    if workflow is not None:
        from orchestrator import load_plan

        plan, _ = load_plan(workflow, session.project(workflow))
        left_out = stale(found, plan)
    else:
        left_out = _unused(session, tape)
    kept = pruned(found, left_out)
    cut = {entry.number for entry in found.entries if entry.end == "cut"}
    gone = sorted(left_out | cut)
    if gone and not dry_run:
        rewrite_tape(tape, kept.encoded())
    _tell_changed(session, tape, "would be taken out" if dry_run else "taken out", gone, as_json)


def _read(tape: Path) -> TapeFile:
    from orchestrator.ai.tapes.format import read_tape

    return read_tape(tape)


def _value(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise UsageError(f"the environment has no variable {name}")
    return value


def _unused(session: Session, tape: Path) -> set[int]:
    """What the last successful replay left. Raises UsageError where there was none of the tape as it is now."""
    from orchestrator.cli.taping import replay_note

    note = replay_note(session.state(session.project()), tape)
    try:
        said = json.loads(note.read_text())
    except (OSError, ValueError):
        said = {}
    if said.get("sha256") != hashlib.sha256(tape.read_bytes()).hexdigest():
        raise UsageError(
            f"nothing has replayed {tape} as it is now",
            help=f"`whisper-flow run FILE --replay {tape}` first, or name the `--workflow`",
        )
    return {int(number) for number in said["unused"]}


def _tell_changed(session: Session, tape: Path, how: str, numbers: list[int], as_json: bool) -> None:
    if as_json:
        print_json(session.out, "tape-change/1", {"tape": str(tape), "change": how, "entries": numbers})
        return
    told = ": " + ", ".join(map(str, numbers)) if numbers else ""
    session.err.line(f"{tape}: {formats.plural(len(numbers), 'answer')} {how}{told}")
