"""`--fix`: the edits that findings carry, applied to the text. A finding carries one only if it is safe."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.positions import LineIndex


def apply_fixes(text: str, diagnostics: Iterable[Diagnostic]) -> str:
    """The text with every fix applied that does not overlap an earlier one; the findings are of this very text.

    All edits of a finding are applied, or none. Look again afterwards: a syntax error hides what follows it.
    """
    lines = LineIndex(text)
    taken: list[tuple[int, int, str]] = []
    for one in diagnostics:
        edits = [
            (
                lines.offset(edit.span.line, edit.span.column),
                lines.offset(edit.span.end_line, edit.span.end_column),
                edit.new_text,
            )
            for edit in one.fix or ()
        ]
        if edits and not any(_touch(a, b) for a in edits for b in taken):
            taken += edits
    for start, end, new_text in sorted(taken, reverse=True):
        text = text[:start] + new_text + text[end:]
    return text


def fixable(diagnostics: Iterable[Diagnostic]) -> int:
    return sum(one.fix is not None for one in diagnostics)


def _touch(a: tuple[int, int, str], b: tuple[int, int, str]) -> bool:
    return (a[0] < b[1] and b[0] < a[1]) or a[:2] == b[:2]
