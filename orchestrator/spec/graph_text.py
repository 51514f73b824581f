"""The graph in a terminal: one line a task, rails on the left that lead from a task to those that wait for it."""

from __future__ import annotations

from typing import Final, NamedTuple

from orchestrator.spec.graph_view import Item, Picture, in_order

RAILS_MAX: Final = 14
"""A scope with more rails at once says in words what a task waits for."""
ICONS: Final = {
    "waiting": "◌", "ready": "○", "running": "●", "sleeping": "⏸", "succeeded": "✓", "warned": "!", "failed": "✗",
    "blocked": "⊘", "skipped": "–", "cancelled": "⊗", "unknown": "?",
}  # fmt: skip
_PLAIN: Final = str.maketrans(
    {"○": "o", "▾": "v", "◌": ".", "●": "*", "⏸": "=", "✓": "+", "✗": "x", "⊘": "#", "–": "-", "⊗": "x", "│": "|", "├": "+",
     "┤": "+", "┼": "+", "┬": "+", "┴": "+", "╭": "+", "╮": "+", "╰": "+", "╯": "+", "─": "-", "…": ".", "×": "x", "←": "<"}
)  # fmt: skip


class Row(NamedTuple):
    rails: str
    item: Item | None
    note: str = ""


def as_text(drawn: Picture, *, ascii_only: bool = False) -> str:
    rows: list[Row | str] = list(_rows(drawn.tasks, ""))
    for title, items in (("on failure", drawn.on_failure), ("finally", drawn.on_finally)):
        if items:
            rows += ["", title, *_rows(items, "")]
    width = max((len(row.rails) for row in rows if isinstance(row, Row)), default=0)
    names = max((len(row.item.id) for row in rows if isinstance(row, Row) and row.item is not None), default=0)
    lines = [f"{drawn.plan.name}  {drawn.plan.workflow}", ""]
    for row in rows:
        lines.append(row if isinstance(row, str) else _line(row, width, min(names, 32)))
    text = "\n".join(line.rstrip() for line in lines) + "\n"
    return text.translate(_PLAIN) if ascii_only else text


def _line(row: Row, width: int, names: int) -> str:
    if row.item is None:
        return row.rails
    status = f"  {row.item.status}" if row.item.status else ""
    note = f"  ← {row.note}" if row.note else ""
    return f"{row.rails:<{width}}  {row.item.id:<{names}}  {row.item.label}{status}{note}"


def _icon(item: Item) -> str:
    return ICONS.get(item.status, "▾" if item.inner else "○")


def _rows(items: list[Item], indent: str) -> list[Row]:
    ordered = in_order(items)
    followers: dict[Item, list[Item]] = {item: [] for item in items}
    for item in ordered:
        for other in item.needs:
            followers[other].append(item)
    rails = _Rails(indent)
    rows: list[Row] = []
    for item in ordered:
        rows += rails.draw(item, followers[item])
        if rails.widest > RAILS_MAX:
            return _in_words(ordered, indent)
    return rows


def _in_words(ordered: list[Item], indent: str) -> list[Row]:
    rows: list[Row] = []
    for item in ordered:
        names = [other.id for other in item.needs]
        note = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        rows.append(Row(f"{indent}{_icon(item)}", item, note))
        rows += _rows(item.inner, f"{indent}  ") if item.inner else []
    return rows


class _Rails:
    """One rail for each task that something above leads to."""

    def __init__(self, indent: str) -> None:
        self.indent = indent
        self.rails: list[Item | None] = []
        self.widest = 0
        self.ended: int | None = None
        """The rail that ended in the row above."""

    def draw(self, item: Item, followers: list[Item]) -> list[Row]:
        if item in self.rails:
            own = self.rails.index(item)
        else:
            own = self._free()
            self.rails[own] = item
        rows = []
        if not item.needs and own == self.ended:  # else the two would look like a chain
            rows.append(Row(self.indent + self._straight({own: " "}), None))
        rows.append(Row(self.indent + self._straight({own: _icon(item)}), item))
        if item.inner:
            below = followers != []
            beside = self._straight({own: "│" if below else " "})
            rows += _rows(item.inner, f"{self.indent}{beside} ")
        connection = self._lead_on(own, followers)
        self.ended = own if not followers else None
        if connection:
            rows.append(Row(self.indent + connection, None))
        return rows

    def _lead_on(self, own: int, followers: list[Item]) -> str:
        """Give every follower a rail; returns the line that shows where they branch off, if one is needed."""
        self.rails[own] = None
        joined = [self.rails.index(one) for one in followers if one in self.rails]
        new = [one for one in followers if one not in self.rails]
        opened = []
        for position, one in enumerate(new):
            at = own if position == 0 else self._free(right_of=own)
            self.rails[at] = one
            if at != own:
                opened.append(at)
        self.widest = max(self.widest, len(self.rails))
        line = self._branch(own, bool(new), joined, opened) if joined or opened else ""
        while self.rails and self.rails[-1] is None:
            self.rails.pop()
        return line

    def _free(self, right_of: int = -1) -> int:
        for at in range(right_of + 1, len(self.rails)):
            if self.rails[at] is None:
                return at
        self.rails.append(None)
        return len(self.rails) - 1

    def _straight(self, marks: dict[int, str]) -> str:
        cells = [marks.get(at, "│" if rail is not None else " ") for at, rail in enumerate(self.rails)]
        return " ".join(cells)

    def _branch(self, own: int, goes_on: bool, joined: list[int], opened: list[int]) -> str:
        ends = [own, *joined, *opened]
        left, right = min(ends), max(ends)
        cells = []
        for at, rail in enumerate(self.rails):
            if at == own:
                mark = _own_mark(left < own, own < right, goes_on)
            elif at in opened:
                mark = "╮" if at == right else "┬"
            elif at in joined:
                mark = ("├" if at == left else "┤") if at in (left, right) else "┼"
            elif rail is not None:
                mark = "│"
            else:
                mark = "─" if left < at < right else " "
            cells.append(mark + ("─" if left <= at < right else " "))
        return "".join(cells).rstrip()


def _own_mark(to_left: bool, to_right: bool, goes_on: bool) -> str:
    if to_left and to_right:
        return "┼" if goes_on else "┴"
    if to_right:
        return "├" if goes_on else "╰"
    return "┤" if goes_on else "╯"
