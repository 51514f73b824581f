"""Did-you-mean: the few names near to what was typed."""

from __future__ import annotations

from collections.abc import Iterable


def suggestions(word: str, known: Iterable[str]) -> list[str]:
    """At most three of `known` within an edit distance of a third of the word (at least one), the nearest first.

    A name that differs by letter case or by `-` for `_` comes before all others.
    """
    limit = max(len(word), 3) // 3
    folded = _folded(word)
    found: list[tuple[int, str]] = []
    for name in known:
        if name == word:
            continue
        if _folded(name) == folded:
            found.append((-1, name))
        elif abs(len(name) - len(word)) <= limit:
            distance = _distance(word, name, limit)
            if distance <= limit:
                found.append((distance, name))
    return [name for _, name in sorted(found)[:3]]


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The help line for a mistyped word, or None if nothing is near."""
    names = [f"`{name}`" for name in suggestions(word, known)]
    if not names:
        return None
    return f"did you mean {' or '.join(names) if len(names) < 3 else f'{names[0]}, {names[1]} or {names[2]}'}?"


def _folded(word: str) -> str:
    return word.lower().replace("-", "_")


def _distance(a: str, b: str, limit: int) -> int:
    """Edit distance with swaps of neighbours; anything over `limit` may come back as `limit + 1`."""
    before: list[int] = []
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        current = [i]
        for j, y in enumerate(b, 1):
            cost = min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        if min(current) > limit:
            return limit + 1
        before, previous = previous, current
    return previous[-1]
