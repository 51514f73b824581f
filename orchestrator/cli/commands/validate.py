"""`whisper-flow validate [PATHS]`: check workflow files. Looking never executes anything in them."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from orchestrator.cli.command import Command
from orchestrator.cli.exit_codes import ExitCode
from orchestrator.cli.project import typed_path
from orchestrator.cli.session import Session, current
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator import Diagnostic
    from orchestrator.spec.reports import Summary

SUFFIXES: Final = (".yaml", ".yml")
FORMATS: Final = ("text", "concise", "json", "github", "sarif", "junit")


@click.command(cls=Command)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="How to write the report."
)
@click.option("--json", "as_json", is_flag=True, help="The same as `--format json`.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the report to a file.")
@click.option("--strict", is_flag=True, help="Warnings fail, too.")
@click.option("--fix", is_flag=True, help="Apply the fixes that are safe, then report what is left.")
@click.option("--watch", is_flag=True, help="Check again whenever a file changes.")
def command(
    paths: tuple[Path, ...], form: str, as_json: bool, output: Path | None, strict: bool, fix: bool, watch: bool
) -> int:
    """Check the workflow files in PATHS (files or folders; the project's `workflows/` if none are given).

    Exit code 0 if they are valid, 1 if there are errors (with `--strict`, warnings). Nothing in the files is run, imported,
    fetched or read as a secret.
    """
    session = current()
    asked = Asked(session, paths, "json" if as_json else form, output, strict, fix)
    return _watch(asked) if watch else check_once(asked)


class Asked(NamedTuple):
    session: Session
    paths: tuple[Path, ...]
    form: str
    output: Path | None
    strict: bool
    fix: bool


class Checked(NamedTuple):
    findings: list[Diagnostic]
    files: list[Path]
    seconds: float


def check_once(asked: Asked) -> int:
    checked = check(asked.session, asked.paths)
    if asked.fix:
        from orchestrator.cli.fixing import apply_fixes

        fixed = apply_fixes(checked.findings)
        checked = check(asked.session, asked.paths) if fixed else checked
        asked.session.err.line(f"Fixed {fixed} finding{'' if fixed == 1 else 's'}.")
    return report(asked, checked)


def check(session: Session, paths: Sequence[Path]) -> Checked:
    """Every finding in the files that `paths` mean."""
    from orchestrator import validate

    begun = time.perf_counter()
    files = list(files_in(session, paths))
    # Loading makes many objects and no garbage: collecting meanwhile doubles its time.
    gc.disable()
    try:
        findings = list(dict.fromkeys(one for file in files for one in validate(file)))
    finally:
        gc.enable()
    return Checked(findings, files, time.perf_counter() - begun)


def files_in(session: Session, paths: Sequence[Path]) -> Iterator[Path]:
    """The files named, and the workflow files in the folders named, each once. UsageError if there are none."""
    roots = list(paths) or [_workflows_folder(session)]
    seen: set[Path] = set()
    for root in roots:
        if not root.exists():
            from orchestrator.cli.project import near_files

            raise NotFoundError(f"there is no file or folder `{root}`", help=near_files(root))
        found = _below(root) if root.is_dir() else [root]
        if not found:
            raise UsageError(f"there are no workflow files in `{root}`", help="their names end in .yaml or .yml")
        for file in found:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _workflows_folder(session: Session) -> Path:
    folder = session.project() / "workflows"
    if not folder.is_dir():
        raise UsageError(
            "there is no `workflows/` folder here", help="name files or folders, or begin with `whisper-flow init`"
        )
    return Path(typed_path(folder))


def _below(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def report(asked: Asked, checked: Checked) -> int:
    """Write the report where it was asked for; the exit code."""
    from orchestrator.cli.findings import sources_of
    from orchestrator.spec.load import shown
    from orchestrator.spec.reports import render, summarise

    names = [shown(file) for file in checked.files]
    summary = summarise(checked.findings, names, round(checked.seconds * 1000))
    out = asked.session.out
    to_file = asked.output is not None
    options = {"color": out.color and not to_file} if asked.form == "text" else {}
    text = render(asked.form, checked.findings, sources_of(checked.findings), summary, **options)
    if asked.output is not None:
        asked.output.parent.mkdir(parents=True, exist_ok=True)
        asked.output.write_text(text, encoding="utf-8")
        asked.session.err.line(summary.line())
    else:
        out.write(text)
    if asked.form == "github":
        _step_summary(checked.findings, summary)
    bad = summary.errors or (asked.strict and summary.warnings)
    return ExitCode.BAD if bad else ExitCode.OK


def _step_summary(findings: list[Diagnostic], summary: Summary) -> None:
    """On GitHub's machines: the page below the job, where more fits than a step may annotate."""
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if page:
        from orchestrator.spec.reports.github import step_summary

        with Path(page).open("a", encoding="utf-8") as file:
            file.write(step_summary(findings, summary))


def _watch(asked: Asked) -> int:
    """Check, then again whenever something below the files or their `config/` changes, until Ctrl-C."""
    from watchfiles import watch

    session = asked.session
    code = check_once(asked)
    watched = [path if path.is_dir() else path.parent for path in asked.paths] or [_workflows_folder(session)]
    config = session.project(asked.paths[0] if asked.paths else None) / "config"
    folders = {path.resolve() for path in watched} | ({config} if config.is_dir() else set())
    session.err.line(session.err.style("watching for changes; Ctrl-C ends", "dim"))
    for _ in watch(*folders, watch_filter=lambda _, name: name.endswith(SUFFIXES), raise_interrupt=False):
        if session.out.terminal:
            session.out.write("\x1b[2J\x1b[H")
        try:
            code = check_once(asked)
        except NotFoundError as error:
            # An editor may have put a file aside for a moment.
            session.err.line(error.message)
    return code
