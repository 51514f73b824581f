"""Did you mean …: the few names that a person most probably wanted to write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

SUGGESTIONS_MAX: Final = 3
BEGINNING: Final = 3
NAME_LENGTH_MAX: Final = 200
"""Longer texts are not mistyped names, and the distance costs their product."""


def suggest(wanted: str, known: Iterable[str]) -> list[str]:
    """At most three of `known`, the nearest first: a difference of case or hyphens wins, else the distance is ≤ max(length, 3) / 3."""
    if len(wanted) > NAME_LENGTH_MAX:
        return []
    limit = max(len(wanted), 3) // 3
    found: list[tuple[int, int, str]] = []
    for position, name in enumerate(known):
        if name == wanted:
            continue
        if _bare(name) == _bare(wanted):
            found.append((0, position, name))
            continue
        # Three letters in common at the start are worth one edit: `retires` is nearer to `retry` than counting says.
        reach = limit + (len(name) > BEGINNING and name[:BEGINNING] == wanted[:BEGINNING])
        if abs(len(name) - len(wanted)) <= reach and (distance := edit_distance(wanted, name, reach)) <= reach:
            if distance >= len(wanted):
                continue  # nothing of the word is left
            found.append((distance, position, name))
    found.sort()
    names = list(dict.fromkeys(name for _, _, name in found))
    return names[:SUGGESTIONS_MAX]


def did_you_mean(wanted: str, known: Iterable[str]) -> str | None:
    """The sentence for a diagnostic's `help`, or None when nothing is near."""
    return sentence(suggest(wanted, known))


def sentence(near: list[str]) -> str | None:
    """`did you mean …?` for names that were found near."""
    names = [f"`{name}`" for name in near]
    if not names:
        return None
    if len(names) == 1:
        return f"did you mean {names[0]}?"
    return f"did you mean {', '.join(names[:-1])} or {names[-1]}?"


def edit_distance(left: str, right: str, limit: int) -> int:
    """Insertions, deletions, replacements and swaps of neighbours; a number above `limit` only says "more"."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]


def _bare(name: str) -> str:
    return name.casefold().replace("-", "_")
