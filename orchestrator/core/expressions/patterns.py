"""`matches`: does a pattern occur in a text? In time linear in the text, whatever the pattern.

The pattern's program is run on all its paths at once; sets of places met before are remembered with where each character
leads (a table that is filled as needed and thrown away when it grows too large).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from orchestrator.core.expressions.pattern_syntax import Program, read_pattern
from orchestrator.core.expressions.values import Context

_BEGIN, _NEWLINE, _WORD, _OTHER, _END, _LAST_NEWLINE = range(6)
_TABLE_MAX: Final = 20_000


class _Places:
    """The places of the program after some characters, and where the next character leads."""

    __slots__ = ("before", "leads", "places")

    def __init__(self, places: frozenset[int], before: int) -> None:
        self.places = places
        self.before = before
        self.leads: dict[str, _Places] = {}


_FOUND: Final = _Places(frozenset(), _END)


class Pattern:
    """A pattern that has been read; keep it, its table grows with use."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._known: dict[tuple[frozenset[int], int], _Places] = {}
        self._size = 0

    def found_in(self, text: str, context: Context) -> bool:
        context.work(len(text) >> 4)
        # `$` also matches before a last newline, so that one is read as a character of its own ("").
        body, last = (text[:-1], True) if text.endswith("\n") else (text, False)
        places = self._place(frozenset(), _BEGIN)
        for c in body:
            following = places.leads.get(c)
            if following is None:
                following = self._step(places, c, context)
            if following is _FOUND:
                return True
            places = following
        if last:
            places = places.leads.get("") or self._step(places, "", context)
            if places is _FOUND:
                return True
        return self._program.accept in self._reach(places, _END)

    def _place(self, places: frozenset[int], before: int) -> _Places:
        known = self._known.get((places, before))
        if known is None:
            known = self._known[places, before] = _Places(places, before)
        return known

    def _step(self, places: _Places, c: str, context: Context) -> _Places:
        reached = self._reach(places, _kind(c) if c else _LAST_NEWLINE)
        context.work(len(reached) + 1)
        if self._size > _TABLE_MAX:
            for known in self._known.values():
                known.leads = {}
            self._known = {}
            self._size = 0
        self._size += 1
        if self._program.accept in reached:
            following = _FOUND
        else:
            character = c or "\n"
            steps = self._program.steps
            eaten = [steps[i].then[0] for i in reached if (test := steps[i].test) is not None and test(character)]
            following = self._place(frozenset(eaten), _kind(character))
        places.leads[c] = following
        return following

    def _reach(self, places: _Places, after: int) -> set[int]:
        """All places reachable without a character; a match may begin anywhere, so the start is always among them."""
        steps = self._program.steps
        reached: set[int] = set()
        waiting = [*places.places, self._program.start]
        while waiting:
            i = waiting.pop()
            if i in reached:
                continue
            reached.add(i)
            step = steps[i]
            if step.test is None and (not step.condition or self._holds(step.condition, places.before, after)):
                waiting.extend(step.then)
        return reached

    def _holds(self, condition: str, before: int, after: int) -> bool:
        match condition:
            case "^":
                return before == _BEGIN or (self._program.multiline and before == _NEWLINE)
            case "$":
                return after in (_END, _LAST_NEWLINE) or (self._program.multiline and after == _NEWLINE)
            case "A":
                return before == _BEGIN
            case "Z":
                return after == _END
            case "b":
                return (before == _WORD) != (after == _WORD)
            case _:
                return (before == _WORD) == (after == _WORD)


def _kind(c: str) -> int:
    if c == "\n":
        return _NEWLINE
    return _WORD if c.isalnum() or c == "_" else _OTHER


@lru_cache(maxsize=256)
def pattern(text: str) -> Pattern:
    """Raises Fault if the text is no pattern of ours."""
    return Pattern(read_pattern(text))
