"""Values of expressions: JSON, and MISSING where there is none. How they print, what they count, what bounds them.

Bounds: whole numbers stay within -2^63 … 2^64-1 (what the journal can hold), other numbers are finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from orchestrator.core.expressions.faults import Absent, Fault, TooMuch

JSON = Any
"""None, bool, int, float, str, list of JSON, dict of str to JSON."""

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**64 - 1


class Missing:
    """The type of MISSING: what a path gives that leads nowhere. Falsy, equal only to itself, never inside a list or map."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()

SCALARS: Final = frozenset({str, int, bool, float, type(None), Missing})
PLAIN: Final = SCALARS | {list, dict}


class Limits(msgspec.Struct, frozen=True):
    """What one evaluation may take. Time is bounded because steps and sizes are."""

    steps: int = 4_000_000
    """Elements looked at, operations in the rounds of `{% for %}`, and characters of text by the 64."""
    size: int = 32 * 1024 * 1024
    """Characters of text (and JSON) made on the way, all together."""
    items: int = 100_000
    """Elements that one `range` or `product` may make."""


class Context:
    """One evaluation: where names are looked up, what `now` is, and what may still be spent."""

    __slots__ = ("get", "limits", "locals", "now", "size", "steps")

    def __init__(self, get: Callable[[str, JSON], JSON], now: float, limits: Limits) -> None:
        self.get = get
        self.now = now
        self.limits = limits
        self.steps = limits.steps
        self.size = limits.size
        self.locals: dict[str, JSON] = {}

    def work(self, steps: int) -> None:
        self.steps -= steps
        if self.steps < 0:
            raise TooMuch(f"more than {self.limits.steps:,} steps")

    def grow(self, characters: int) -> None:
        """Account for text that is about to be made, before it is made."""
        self.size -= characters
        if self.size < 0:
            raise TooMuch(f"more than {self.limits.size:,} characters of text")
        self.work(characters >> 6)


def kind(value: JSON) -> str:
    """A value's kind as people say it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case Missing():
            return "missing"
        case _:
            return "a map"


def number(value: JSON) -> JSON:
    """`value`, if it is a number that a value may be."""
    if type(value) is int:
        if INT_MIN <= value <= INT_MAX:
            return value
        raise TooMuch("a whole number beyond 64 bits", "use `| float` for numbers this large")
    if math.isfinite(value):
        return value
    raise TooMuch("a number beyond what JSON can hold")


def measure(value: JSON, context: Context) -> int:
    """About how many characters a list or map takes as JSON, each use of a shared part counted; stops at the limit."""
    total = 0
    stack = [value]
    limit = context.size
    while stack:
        item = stack.pop()
        if type(item) is str:
            total += len(item) + 3
        elif type(item) is list:
            total += 2 + len(item)
            stack.extend(item)
        elif type(item) is dict:
            total += 2
            for key, part in item.items():
                total += len(key) + 4
                stack.append(part)
        else:
            total += 4
        if total > limit:
            raise TooMuch(f"a value of more than {context.limits.size:,} characters")
    return total


def weight(value: JSON) -> int:
    """About how long it takes to walk or compare a value, in steps: its elements, and its text by the 64 characters."""
    if type(value) is str:
        return len(value) >> 6
    if type(value) is not list and type(value) is not dict:
        return 0
    total = 0
    waiting: list[JSON] = [value]
    while waiting:
        part: JSON = waiting.pop()
        if type(part) is str:
            total += len(part) >> 6
        elif type(part) is list:
            total += len(part)
            waiting.extend(part)
        elif type(part) is dict:
            total += len(part)
            waiting.extend(part.values())
    return total


def to_json(value: JSON, context: Context) -> str:
    if type(value) is list or type(value) is dict:
        context.grow(measure(value, context))
    elif isinstance(value, str):
        context.grow(len(value))
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        raise Fault("text with half of a surrogate pair: not valid Unicode") from None


def to_text(value: JSON, context: Context) -> str:
    """A value inside longer text: text as it is, all else as JSON. MISSING is refused."""
    match value:
        case str():
            return value
        case True:
            return "true"
        case False:
            return "false"
        case None:
            return "null"
        case int() | float():
            return str(value)
        case Missing():
            raise Absent("a missing value cannot be put into text", "give another with `| default(…)`")
        case _:
            return to_json(settled(value), context)


def settled(value: JSON) -> JSON:
    """A plain value: a lazy map that a caller put in scope is read out, all else is as it was."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, Mapping):
        return {key: settled(value[key]) for key in value}
    return value


def item(value: JSON, key: JSON) -> JSON:
    """`value[key]`, or MISSING; never an error and never a Python attribute."""
    if type(value) is dict:
        return value.get(key, MISSING) if type(key) is str else MISSING
    if type(key) is int and (type(value) is list or type(value) is str):
        return value[key] if -len(value) <= key < len(value) else MISSING
    if type(key) is str and isinstance(value, Mapping):
        return value.get(key, MISSING)
    return MISSING
