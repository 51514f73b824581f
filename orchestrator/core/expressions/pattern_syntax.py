"""Reads the patterns of `matches`: the part of regular expressions that can be matched in linear time.

Literals, `.`, classes, `\\d \\w \\s \\b`, `^ $`, groups, `|`, `* + ? {m,n}`, and the flags `(?ims)` in front. Look-around and
back-references are refused: they have no linear-time matching.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from orchestrator.core.expressions.faults import Fault, TooMuch

Predicate = Callable[[str], bool]

DEPTH_MAX: Final = 24
PROGRAM_MAX: Final = 1_000


class Step(msgspec.Struct):
    """One instruction: `test` eats a character, `condition` (`^ $ b B A Z`) eats none, else a fork; all go on to `then`."""

    test: Predicate | None = None
    condition: str = ""
    then: tuple[int, ...] = ()


class Program(msgspec.Struct):
    steps: list[Step]
    start: int
    accept: int
    multiline: bool


class Sequence(msgspec.Struct):
    parts: list[Part]


class Either(msgspec.Struct):
    ways: list[Part]


class Repeat(msgspec.Struct):
    part: Part
    low: int
    high: int | None


class Condition(msgspec.Struct):
    sign: str


Part = Predicate | Condition | Sequence | Either | Repeat


_SPECIAL = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}


def _is_word(c: str) -> bool:
    return c.isalnum() or c == "_"


_CLASSES: dict[str, Predicate] = {
    "d": str.isdecimal,
    "w": _is_word,
    "s": str.isspace,
    "D": lambda c: not c.isdecimal(),
    "W": lambda c: not _is_word(c),
    "S": lambda c: not c.isspace(),
}


def read_pattern(text: str) -> Program:
    """Raises Fault with the character's number in the message."""
    if len(text) > 4_096:
        raise TooMuch("a pattern of more than 4,096 characters")
    reader = _Reader(text)
    whole = reader.whole()
    writer = _Writer()
    accept = writer.emit(Step())
    return Program(writer.steps, writer.write(whole, accept), accept, reader.multiline)


class _Writer:
    """Turns the parts into steps, from the end to the start: each piece is given the step that follows it."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.written = 0

    def emit(self, step: Step) -> int:
        self.steps.append(step)
        return len(self.steps) - 1

    def write(self, part: Part, then: int) -> int:
        # Counts parts, not steps: repetitions of nothing emit nothing and still take time.
        self.written += 1
        if self.written > PROGRAM_MAX:
            raise TooMuch(f"a pattern of more than {PROGRAM_MAX:,} parts (repetitions written out)")
        match part:
            case Condition(sign=sign):
                return self.emit(Step(condition=sign, then=(then,)))
            case Sequence(parts=parts):
                for each in reversed(parts):
                    then = self.write(each, then)
                return then
            case Either(ways=ways):
                return self.emit(Step(then=tuple([self.write(way, then) for way in ways])))
            case Repeat():
                return self._repeat(part, then)
            case _:
                return self.emit(Step(test=part, then=(then,)))

    def _repeat(self, repeat: Repeat, then: int) -> int:
        if repeat.high is None:
            fork = self.emit(Step())
            self.steps[fork].then = (self.write(repeat.part, fork), then)
            then = fork
        else:
            leave = then
            for _ in range(repeat.high - repeat.low):
                then = self.emit(Step(then=(self.write(repeat.part, then), leave)))
        for _ in range(repeat.low):
            then = self.write(repeat.part, then)
        return then


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.fold = self.multiline = self.dotall = False

    def whole(self) -> Part:
        self._flags()
        whole = self._alternatives()
        if self.at < len(self.text):
            self.at += 1
            raise self._fault("`)` without its `(`")
        return whole

    def _flags(self) -> None:
        while self.text.startswith("(?", self.at):
            end = self.text.find(")", self.at)
            letters = self.text[self.at + 2 : end]
            if end < 0 or not letters or set(letters) - set("ims"):
                return
            self.fold = self.fold or "i" in letters
            self.multiline = self.multiline or "m" in letters
            self.dotall = self.dotall or "s" in letters
            self.at = end + 1

    def _alternatives(self) -> Part:
        ways: list[Part] = [self._sequence()]
        while self._peek() == "|":
            self.at += 1
            ways.append(self._sequence())
        return ways[0] if len(ways) == 1 else Either(ways)

    def _sequence(self) -> Part:
        parts: list[Part] = []
        while self._peek() not in ("", "|", ")"):
            part = self._atom()
            low, high = self._quantifier()
            parts.append(part if (low, high) == (1, 1) else Repeat(part, low, high))
        return parts[0] if len(parts) == 1 else Sequence(parts)

    def _atom(self) -> Part:
        c = self._next()
        match c:
            case "(":
                return self._group()
            case "[":
                return self._folded(self._class())
            case ".":
                return _anything if self.dotall else _not_newline
            case "^" | "$":
                return Condition(c)
            case "\\":
                return self._escaped()
            case "*" | "+" | "?":
                raise self._fault(f"`{c}` has nothing to repeat")
            case _:
                return self._folded(c.__eq__)

    def _group(self) -> Part:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise self._fault(f"groups nested more than {DEPTH_MAX} deep")
        if self._peek() == "?":
            self._group_kind()
        inner = self._alternatives()
        if self._peek() != ")":
            raise self._fault("`(` without its `)`")
        self.at += 1
        self.depth -= 1
        return inner

    def _group_kind(self) -> None:
        rest = self.text[self.at :]
        if rest.startswith("?:"):
            self.at += 2
            return
        name = rest[2:] if rest.startswith("?P<") else rest[1:]
        closing = name.find(">")
        if name.startswith("<") and closing > 1 and name[1:closing].isidentifier():
            self.at += len(rest) - len(name) + closing + 1
            return
        if rest.startswith(("?=", "?!", "?<=", "?<!")):
            raise self._fault("look-around is not supported", "it has no linear-time matching; use two `matches`")
        raise self._fault("this kind of group is not supported", "flags (`(?i)`) stand at the very start")

    def _escaped(self) -> Part:
        c = self._next("a pattern ends in a lone backslash")
        if c in _CLASSES:
            return _CLASSES[c]
        if c in "bBAZz":
            return Condition("Z" if c == "z" else c)
        return self._folded(self._character(c).__eq__)

    def _character(self, c: str) -> str:
        """The character that an escape stands for, in or out of a class."""
        if c in _SPECIAL:
            return _SPECIAL[c]
        if c in "xu":
            size = 2 if c == "x" else 4
            digits = self.text[self.at : self.at + size]
            if len(digits) < size or any(d not in "0123456789abcdefABCDEF" for d in digits):
                raise self._fault(f"`\\{c}` needs {size} hexadecimal digits")
            self.at += size
            return chr(int(digits, 16))
        if c.isdigit():
            raise self._fault("back-references are not supported", "they have no linear-time matching")
        if c.isascii() and c.isalpha():
            raise self._fault(f"unknown escape `\\{c}`")
        return c

    def _class(self) -> Predicate:
        negated = self._peek() == "^"
        self.at += negated
        singles: set[str] = set()
        tests: list[Predicate] = []
        first = True
        while first or self._peek() != "]":
            first = False
            low = self._class_part()
            if self._peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                high = self._class_part()
                if not (isinstance(low, str) and isinstance(high, str)) or low > high:
                    raise self._fault("a range in `[…]` that does not go upwards")
                tests.append(_between(low, high))
            elif isinstance(low, str):
                singles.add(low)
            else:
                tests.append(low)
        self.at += 1
        return _one_of(frozenset(singles), tuple(tests), negated, self.fold)

    def _class_part(self) -> str | Predicate:
        c = self._next("`[` without its `]`")
        if c != "\\":
            return c
        c = self._next("a pattern ends in a lone backslash")
        if c == "b":
            return "\b"
        return _CLASSES[c] if c in _CLASSES else self._character(c)

    def _quantifier(self) -> tuple[int, int | None]:
        c = self._peek()
        if c in ("*", "+", "?") and c:
            self.at += 1
            low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[c]
        elif c == "{" and (counts := self._counts()) is not None:
            low, high = counts
        else:
            return 1, 1
        if self._peek() == "?":
            self.at += 1  # lazy: the same answer to "does it match"
        if self._peek() in ("*", "+", "?") and self._peek():
            raise self._fault("two repetitions in a row")
        return low, high

    def _counts(self) -> tuple[int, int | None] | None:
        end = self.text.find("}", self.at)
        low, comma, high = self.text[self.at + 1 : max(end, 0)].partition(",")
        if end < 0 or not (low or high) or not (low + high).isdecimal() or not (low + high).isascii():
            return None
        if len(low) > 4 or len(high) > 4:
            raise self._fault("a repetition of more than 9,999")
        least = int(low or 0)
        most = least if not comma else int(high) if high else None
        if most is not None and most < least:
            raise self._fault("a repetition whose end is before its start")
        self.at = end + 1
        return least, most

    def _folded(self, test: Predicate) -> Predicate:
        if not self.fold:
            return test
        return lambda c: test(c) or test(c.lower()) or test(c.upper())

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _next(self, missing: str = "the pattern ends too early") -> str:
        if self.at >= len(self.text):
            raise self._fault(missing)
        self.at += 1
        return self.text[self.at - 1]

    def _fault(self, message: str, help: str | None = None) -> Fault:
        return Fault(f"pattern, character {max(self.at, 1)}: {message}", help)


def _anything(c: str) -> bool:
    return True


def _not_newline(c: str) -> bool:
    return c != "\n"


def _between(low: str, high: str) -> Predicate:
    return lambda c: low <= c <= high


def _one_of(singles: frozenset[str], tests: tuple[Predicate, ...], negated: bool, fold: bool) -> Predicate:
    def found(c: str) -> bool:
        return c in singles or any(test(c) for test in tests)

    if not negated:
        return found
    if fold:
        # Folding belongs inside the negation: `[^a]` under `(?i)` excludes `A` as well.
        return lambda c: not (found(c) or found(c.lower()) or found(c.upper()))
    return lambda c: not found(c)
