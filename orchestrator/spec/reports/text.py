"""The format for people: what is wrong, where, the lines with carets, the remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator.spec.diagnostics import Diagnostic, in_order, worst_first
from orchestrator.spec.inline_keys import masked
from orchestrator.spec.positions import LineIndex
from orchestrator.spec.reports._clean import clean
from orchestrator.spec.reports._excerpt import Mark, Paint, excerpt
from orchestrator.spec.reports._summary import SHOWN_MAX, Summary

_SECRETS: Final = ("WF701", "WF703")
"""Findings whose span is a secret."""
_STYLES: Final = {
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "info": "\x1b[1;36m",
    "gutter": "\x1b[34m",
    "secondary": "\x1b[34m",
    "bold": "\x1b[1m",
}


def render(
    diagnostics: Sequence[Diagnostic], sources: Mapping[str, str], summary: Summary, *, color: bool = False
) -> str:
    """At most 50 findings, the worst; a blank line between them; the summary last."""
    indexes = {file: LineIndex(_without_secrets(file, text, diagnostics)) for file, text in sources.items()}
    chosen = in_order(worst_first(diagnostics)[:SHOWN_MAX])
    blocks = [_finding(one, indexes, color) for one in chosen]
    hidden = len(in_order(diagnostics)) - len(chosen)
    if hidden:
        blocks.append(f"… and {hidden:,} more, not shown: the worst {SHOWN_MAX} come first")
    blocks.append(summary.line())
    return "\n\n".join(blocks) + "\n"


def _without_secrets(file: str, text: str, diagnostics: Sequence[Diagnostic]) -> str:
    """What a finding calls a secret is not shown by it, nor by another one on the same line: reports end in logs."""
    return masked(text, (one.span for one in diagnostics if one.code in _SECRETS and one.file == file))


def _finding(one: Diagnostic, indexes: Mapping[str, LineIndex], color: bool) -> str:
    paint = _painter(one.severity, color)
    head = f"{paint(one.severity, f'{one.severity}[{one.code}]')}{paint('bold', f': {clean(one.message)}')}"
    marks = _marks_by_file(one)
    number_width = len(str(max(mark.span.line for group in marks.values() for mark in group)))
    rows = [head]
    for position, (file, group) in enumerate(marks.items()):
        place = group[0].span
        arrow = "-->" if position == 0 else ":::"
        rows.append(f"{' ' * (number_width + 1)}{paint('gutter', arrow)} {clean(file)}:{place.line}:{place.column}")
        if file in indexes and indexes[file].text:
            rows.append(paint("gutter", " " * (number_width + 2) + "|"))
            rows.extend(excerpt(indexes[file], group, number_width, paint))
    edge = paint("gutter", " " * (number_width + 2) + "=")
    if one.help:
        rows.append(f"{edge} help: {clean(one.help)}")
    rows.append(f"{edge} docs: whisper-flow explain {one.code}")
    return "\n".join(rows)


def _marks_by_file(one: Diagnostic) -> dict[str, list[Mark]]:
    marks = {one.file: [Mark(one.span, one.label, True)]}
    for label in one.labels:
        marks.setdefault(label.file or one.file, []).append(Mark(label.span, label.text, False))
    return marks


def _painter(severity: str, color: bool) -> Paint:
    def paint(style: str, text: str) -> str:
        code = _STYLES[severity if style == "primary" else style]
        return f"{code}{text}\x1b[0m" if color else text

    return paint
