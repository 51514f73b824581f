"""Findings of the validator, shown the way `validate` shows them, wherever they stop something."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.terminal import Screen

if TYPE_CHECKING:
    from orchestrator.spec.diagnostics import Diagnostic


def show_findings(screen: Screen, diagnostics: Sequence[Diagnostic]) -> None:
    """The text report on a screen."""
    from orchestrator.spec.reports import render

    screen.write(render("text", diagnostics, sources_of(diagnostics), color=screen.color))


def sources_of(diagnostics: Iterable[Diagnostic]) -> dict[str, str]:
    """File name → text, of every file that a finding names and that can be read."""
    names = {name for one in diagnostics for name in (one.file, *(label.file for label in one.labels)) if name}
    found = {}
    for name in names:
        path = Path(name)
        if path.is_file():
            found[name] = path.read_bytes().decode("utf-8", "replace")
    return found
