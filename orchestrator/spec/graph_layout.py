"""Places for a layered drawing: rows from top to bottom, groups as boxes around their own drawing, edges round other boxes.

Long edges get a stop in every row they pass, which is placed like a (narrow) task: so they never cross a box.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Final

from orchestrator.spec.graph_view import Item, in_order

CHAR: Final = 7.2
"""Width of a character of the label's font, at least as wide as any common one."""
LINE: Final = 17.0
PAD: Final = 12.0
GAP_X: Final = 28.0
GAP_Y: Final = 40.0
TITLE: Final = 44.0
WIDTH_MIN: Final = 96.0
_SWEEPS: Final = 8


@dataclass(slots=True, eq=False)
class Box:
    """A task's box (or a stop of a long edge, without an item); `x`, `y` are of its top left corner."""

    item: Item | None
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0
    row: int = 0
    inner: Drawing | None = None
    above: list[Box] = field(default_factory=list)
    below: list[Box] = field(default_factory=list)

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(slots=True)
class Line:
    """An edge through its stops, from the bottom of the first box to the top of the last."""

    boxes: list[Box]
    kind: int


@dataclass(slots=True)
class Drawing:
    boxes: list[Box]
    lines: list[Line]
    width: float
    height: float


def lay_out(items: list[Item]) -> Drawing:
    boxes = {item: _box(item) for item in in_order(items)}
    rows = _rows(boxes)
    lines = [_line(boxes, other, item, kind, rows) for item in boxes for other, kind in item.needs.items()]
    for _ in range(_SWEEPS // 2):
        for row in rows[1:]:
            _sort(row, upwards=True)
        for row in reversed(rows[:-1]):
            _sort(row, upwards=False)
    _place(rows)
    width = max((box.x + box.width for row in rows for box in row), default=0.0)
    height = max((box.y + box.height for row in rows for box in row), default=0.0)
    return Drawing(list(boxes.values()), lines, width, height)


def _box(item: Item) -> Box:
    text = max(len(item.id) + (len(item.status) + 3 if item.status else 0), len(item.label)) * CHAR + 2 * PAD
    if not item.inner:
        return Box(item, max(text, WIDTH_MIN), 2 * LINE + PAD)
    inner = lay_out(item.inner)
    return Box(item, max(text, inner.width + 2 * PAD), inner.height + TITLE + PAD, inner=inner)


def _rows(boxes: dict[Item, Box]) -> list[list[Box]]:
    """Each box one row below the lowest of those it waits for."""
    rows: list[list[Box]] = []
    for item, box in boxes.items():
        box.row = max((boxes[other].row + 1 for other in item.needs), default=0)
        while len(rows) <= box.row:
            rows.append([])
        rows[box.row].append(box)
    return rows


def _line(boxes: dict[Item, Box], other: Item, item: Item, kind: int, rows: list[list[Box]]) -> Line:
    start, end = boxes[other], boxes[item]
    way = [start]
    for row in range(start.row + 1, end.row):
        stop = Box(None, 4.0, 0.0, row=row)
        rows[row].append(stop)
        way.append(stop)
    way.append(end)
    for upper, lower in itertools.pairwise(way):
        upper.below.append(lower)
        lower.above.append(upper)
    return Line(way, kind)


def _sort(row: list[Box], *, upwards: bool) -> None:
    """Bring boxes near those they are joined to: the fewer lines cross."""
    position = {box: number for number, box in enumerate(row)}
    ranks: dict[Box, float] = {}
    for box in row:
        joined = box.above if upwards else box.below
        ranks[box] = sum(one.x for one in joined) / len(joined) if joined else float(position[box])
    row.sort(key=lambda box: (ranks[box], position[box]))
    for number, box in enumerate(row):
        box.x = float(number)


def _place(rows: list[list[Box]]) -> None:
    top = 0.0
    for row in rows:
        height = max(box.height for box in row)
        left = 0.0
        for box in row:
            box.x, box.y = left, top + (height - box.height) / 2
            left += box.width + GAP_X
        top += height + GAP_Y
    for sweep in range(_SWEEPS):
        upwards = sweep % 2 == 0
        for row in rows if upwards else reversed(rows):
            _pull(row, upwards=upwards)
    left = min((box.x for row in rows for box in row), default=0.0)
    for row in rows:
        for box in row:
            box.x -= left


def _pull(row: list[Box], *, upwards: bool) -> None:
    """Move each box towards the middle of those it is joined to, as far as its neighbours let it."""
    wishes = []
    for box in row:
        joined = (box.above if upwards else box.below) or box.above or box.below
        wish = sum(one.middle for one in joined) / len(joined) - box.width / 2 if joined else box.x
        wishes.append(wish)
    left = float("-inf")
    placed = []
    for box, wish in zip(row, wishes, strict=True):
        x = max(wish, left)
        placed.append(x)
        left = x + box.width + GAP_X
    # What was pushed to the right by its neighbours goes back half of the way together with them.
    shift = sum(wish - x for wish, x in zip(wishes, placed, strict=True)) / len(row)
    for box, x in zip(row, placed, strict=True):
        box.x = x + shift
