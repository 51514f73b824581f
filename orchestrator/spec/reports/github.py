"""Annotations of GitHub Actions. A step may show ten errors, ten warnings and ten notices: the worst first, the rest by count.

`step_summary` is the page below the job (`$GITHUB_STEP_SUMMARY`), in Markdown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator.spec.diagnostics import Diagnostic, in_order
from orchestrator.spec.reports._clean import clean
from orchestrator.spec.reports._summary import Summary, counted

ANNOTATIONS_MAX: Final = 10
ROWS_MAX: Final = 200
_COMMANDS: Final = {"error": "error", "warning": "warning", "info": "notice"}


def render(diagnostics: Sequence[Diagnostic], sources: Mapping[str, str], summary: Summary) -> str:
    rows: list[str] = []
    hidden: list[str] = []
    for severity in _COMMANDS:
        found = [one for one in in_order(diagnostics) if one.severity == severity]
        rows.extend(_annotation(one) for one in found[:ANNOTATIONS_MAX])
        if len(found) > ANNOTATIONS_MAX:
            hidden.append(counted(len(found) - ANNOTATIONS_MAX, severity))
    if hidden:
        rows.append(f"Not annotated: {', '.join(hidden)} more.")
    return "\n".join([*rows, summary.line()]) + "\n"


def _annotation(one: Diagnostic) -> str:
    place = {"file": clean(one.file), "line": str(one.span.line), "col": str(one.span.column)}
    if one.span.end_line == one.span.line and one.span.end_column > one.span.column:
        place["endColumn"] = str(one.span.end_column)
    place["title"] = one.code
    properties = ",".join(f"{name}={_property(value)}" for name, value in place.items())
    text = clean(one.message) + (f"\nhelp: {clean(one.help)}" if one.help else "")
    return f"::{_COMMANDS[one.severity]} {properties}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def step_summary(diagnostics: Sequence[Diagnostic], summary: Summary) -> str:
    """A Markdown table of at most 200 findings under the summary line."""
    rows = [f"**{summary.line()}**"]
    found = in_order(diagnostics)
    if found:
        rows += ["", "| | where | what |", "|---|---|---|"]
    for one in found[:ROWS_MAX]:
        where = f"{one.file}:{one.span.line}:{one.span.column}"
        help = f" — {one.help}" if one.help else ""
        rows.append(f"| {one.severity} {one.code} | {_cell(where)} | {_cell(one.message + help)} |")
    if len(found) > ROWS_MAX:
        rows.append(f"\n… and {len(found) - ROWS_MAX:,} more.")
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return clean(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
