"""Findings as people and machines read them: one file a format, each with `render(diagnostics, sources, summary) -> str`.

`sources` is file name → text, for the formats that show the lines. Every format bounds its output and neutralises control and
bidi characters of the user's text where a terminal or a page would obey them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.registry import names
from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.reports._summary import Summary, summarise
from orchestrator.spec.suggest import did_you_mean

__all__ = ["Summary", "formats", "render", "summarise"]


def formats() -> list[str]:
    """The names `--format` knows: the files of this folder."""
    return list(names(__name__))


def render(
    name: str,
    diagnostics: Sequence[Diagnostic],
    sources: Mapping[str, str],
    summary: Summary | None = None,
    **options: Any,
) -> str:
    """The whole report, with a final newline. `options`: `color` for text. An unknown format is a UsageError."""
    known = formats()
    if name not in known:
        raise UsageError(f"unknown format `{name}`", help=did_you_mean(name, known) or f"one of {', '.join(known)}")
    made: str = import_module(f"{__name__}.{name}").render(
        diagnostics, sources, summary or summarise(diagnostics), **options
    )
    return made
