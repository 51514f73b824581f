"""Plain tables: columns as wide as they need, the last one cut to the window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from orchestrator.cli.terminal import Screen, cell_width, clean_line, cut

GAP: Final = "  "
COLUMN_MAX: Final = 60
COLUMN_MIN: Final = 8
LAST_MIN: Final = 8


def table(
    screen: Screen, head: Sequence[str], rows: Sequence[Sequence[str]], *, styles: Sequence[Sequence[str]] = ()
) -> str:
    """The table as text with a final newline. `styles` has one row of style names (or empty) for each of `rows`.

    Cells are cleaned of what a terminal would obey. What is not a terminal gets cells whole.
    """
    cleaned = [[clean_line(cell) for cell in row] for row in rows]
    if screen.terminal:
        cleaned = [[cut(cell, COLUMN_MAX) for cell in row[:-1]] + [row[-1]] for row in cleaned]
    widths = [max(cell_width(cell) for cell in column) for column in zip(head, *cleaned, strict=True)]
    if screen.terminal and (fitted := _fitted(widths, screen.width)) != widths:
        widths = fitted
        cleaned = [
            [*(cut(cell, width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]] for row in cleaned
        ]
        head = [*(cut(cell, width) for cell, width in zip(head[:-1], widths, strict=False)), head[-1]]
    lines = [screen.style(_row(head, widths, screen), "dim")]
    for position, row in enumerate(cleaned):
        painted = styles[position] if position < len(styles) else ()
        lines.append(_row(row, widths, screen, painted))
    return "".join(f"{line}\n" for line in lines)


def _fitted(widths: list[int], room: int) -> list[int]:
    """In a narrow window the widest columns give way until the last one has a little room."""
    fitted = list(widths)
    while sum(fitted[:-1]) + len(GAP) * (len(fitted) - 1) + min(fitted[-1], LAST_MIN) > room:
        widest = max(range(len(fitted) - 1), key=lambda index: fitted[index], default=None)
        if widest is None or fitted[widest] <= COLUMN_MIN:
            break
        fitted[widest] -= 1
    return fitted


def _row(cells: Sequence[str], widths: Sequence[int], screen: Screen, styles: Sequence[str] = ()) -> str:
    parts = []
    room = screen.width
    for position, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        last = position == len(cells) - 1
        shown = cut(cell, max(room, 8)) if last else cell + " " * (width - cell_width(cell))
        room -= width + len(GAP)
        style = styles[position] if position < len(styles) else ""
        parts.append(screen.style(shown, style) if style else shown)
    return GAP.join(parts).rstrip()
