"""Lines of a file with carets under them, aligned whatever they hold: tabs, wide characters, control characters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from orchestrator.spec.diagnostics import Span
from orchestrator.spec.positions import LineIndex
from orchestrator.spec.reports._clean import clean, clean_char, text_width

GAP_LINES_MAX: Final = 2
"""So many lines between two marks are shown; more become `...`."""
LINE_CHARS_MAX: Final = 160
BEFORE_MARK: Final = 60

Paint = Callable[[str, str], str]
"""(style, text) → text; styles are `gutter`, `primary`, `secondary`."""


class Mark(NamedTuple):
    span: Span
    text: str
    primary: bool


def excerpt(lines: LineIndex, marks: Sequence[Mark], number_width: int, paint: Paint) -> list[str]:
    """The rows between `|` of one file's part of a finding."""
    by_line: dict[int, list[Mark]] = {}
    for mark in marks:
        by_line.setdefault(mark.span.line, []).append(mark)
    rows: list[str] = []
    previous: int | None = None
    for line in sorted(by_line):
        if previous is not None:
            rows.extend(_between(lines, previous, line, number_width, paint))
        rows.extend(_marked_line(lines, line, by_line[line], number_width, paint))
        previous = line
    return rows


def _between(lines: LineIndex, above: int, below: int, number_width: int, paint: Paint) -> list[str]:
    if below - above - 1 > GAP_LINES_MAX:
        return [paint("gutter", "...")]
    return [
        _source_row(number, _Window(lines.line_text(number), 1).shown, number_width, paint)
        for number in range(above + 1, below)
    ]


def _marked_line(lines: LineIndex, line: int, marks: list[Mark], number_width: int, paint: Paint) -> list[str]:
    text = lines.line_text(line)
    window = _Window(text, marks[0].span.column)
    rows = [_source_row(line, window.shown, number_width, paint)]
    for mark in sorted(marks, key=lambda one: (not one.primary, one.span.column)):
        last = mark.span.end_column if mark.span.end_line == line else len(text.rstrip()) + 1
        left = window.column(mark.span.column)
        size = max(window.column(last) - left, 1)
        under = ("^" if mark.primary else "-") * size
        label = f" {clean(mark.text)}" if mark.text else ""
        style = "primary" if mark.primary else "secondary"
        rows.append(f"{paint('gutter', ' ' * (number_width + 2) + '|')} {' ' * left}{paint(style, under + label)}")
    return rows


def _source_row(number: int, text: str, number_width: int, paint: Paint) -> str:
    return f"{paint('gutter', f' {number:>{number_width}} |')} {text}".rstrip()


class _Window:
    """One line as shown: cleaned, and of a very long line only the part around `column`."""

    def __init__(self, text: str, column: int) -> None:
        text = text.rstrip()
        self.first = max(column - BEFORE_MARK, 0) if len(text) > LINE_CHARS_MAX else 0
        piece = text[self.first : self.first + LINE_CHARS_MAX]
        start = "…" if self.first else ""
        end = "…" if self.first + LINE_CHARS_MAX < len(text) else ""
        self.columns = [text_width(start)]
        made = [start]
        for char in piece:
            one = clean_char(char, self.columns[-1])
            made.append(one)
            self.columns.append(self.columns[-1] + text_width(one))
        self.shown = "".join(made) + end

    def column(self, column: int) -> int:
        """The screen column (from 0) of a column of the file (from 1)."""
        return self.columns[min(max(column - 1 - self.first, 0), len(self.columns) - 1)]
