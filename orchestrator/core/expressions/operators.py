"""What `+ - * / // % ~`, comparisons and `in` do. As in Jinja where both are numbers, text or lists; else refused.

Every operation checks the size of its result before it makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from orchestrator.core.expressions.faults import Absent, Fault
from orchestrator.core.expressions.values import JSON, MISSING, Context, kind, number, to_text, weight

Operation = Callable[[Context, JSON, JSON], JSON]

_NUMBERS: Final = frozenset({int, float})


def add(context: Context, a: JSON, b: JSON) -> JSON:
    ta, tb = type(a), type(b)
    if ta in _NUMBERS and tb in _NUMBERS:
        return number(a + b)
    if ta is str and tb is str:
        context.grow(len(a) + len(b))
        return a + b
    if ta is list and tb is list:
        context.work(len(a) + len(b))
        return a + b
    help = "join text and other values with `~`" if ta is str or tb is str else None
    raise _refused("+", a, b, help)


def subtract(context: Context, a: JSON, b: JSON) -> JSON:
    if type(a) in _NUMBERS and type(b) in _NUMBERS:
        return number(a - b)
    raise _refused("-", a, b)


def multiply(context: Context, a: JSON, b: JSON) -> JSON:
    ta, tb = type(a), type(b)
    if ta in _NUMBERS and tb in _NUMBERS:
        return number(a * b)
    if ta is int and (tb is str or tb is list):
        a, b, ta, tb = b, a, tb, ta
    if tb is int and ta is str:
        context.grow(len(a) * max(b, 0))
        return a * b
    if tb is int and ta is list:
        context.work(len(a) * max(b, 0))
        return a * b
    raise _refused("*", a, b)


def divide(context: Context, a: JSON, b: JSON) -> JSON:
    return _quotient("/", a, b, lambda x, y: x / y)


def divide_whole(context: Context, a: JSON, b: JSON) -> JSON:
    return _quotient("//", a, b, lambda x, y: x // y)


def modulo(context: Context, a: JSON, b: JSON) -> JSON:
    if type(a) is str:
        raise Fault("`%` does not format text", "use `~` or `${{ }}` inside the text")
    return _quotient("%", a, b, lambda x, y: x % y)


def _quotient(op: str, a: JSON, b: JSON, compute: Callable[[Any, Any], JSON]) -> JSON:
    if type(a) not in _NUMBERS or type(b) not in _NUMBERS:
        raise _refused(op, a, b)
    if b == 0:
        raise Fault("division by zero")
    return number(compute(a, b))


def concat(context: Context, a: JSON, b: JSON) -> JSON:
    left, right = to_text(a, context), to_text(b, context)
    context.grow(len(left) + len(right))
    return left + right


ARITHMETIC: Final[dict[str, Operation]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "//": divide_whole,
    "%": modulo,
    "~": concat,
}


def negate(value: JSON) -> JSON:
    if type(value) in _NUMBERS:
        return number(-value)
    raise _single("-", value)


def plus(value: JSON) -> JSON:
    if type(value) in _NUMBERS:
        return value
    raise _single("+", value)


_LARGE: Final = frozenset({str, list, dict})


def equal(context: Context, a: JSON, b: JSON) -> bool:
    if type(a) in _LARGE and type(a) is type(b) and a is not b:
        # Values of different length are told apart at once.
        context.work(weight(a) if len(a) == len(b) else 0)
    return bool(a == b)


def unequal(context: Context, a: JSON, b: JSON) -> bool:
    return not equal(context, a, b)


def _ordered(context: Context, op: str, a: JSON, b: JSON) -> None:
    ta, tb = type(a), type(b)
    if ta is str:
        context.work(len(a) >> 6)
    if not ((ta in _NUMBERS and tb in _NUMBERS) or (ta is str and tb is str)):
        raise _refused(op, a, b, "only two numbers or two texts have an order")


def less(context: Context, a: JSON, b: JSON) -> bool:
    _ordered(context, "<", a, b)
    return bool(a < b)


def less_equal(context: Context, a: JSON, b: JSON) -> bool:
    _ordered(context, "<=", a, b)
    return bool(a <= b)


def greater(context: Context, a: JSON, b: JSON) -> bool:
    _ordered(context, ">", a, b)
    return bool(a > b)


def greater_equal(context: Context, a: JSON, b: JSON) -> bool:
    _ordered(context, ">=", a, b)
    return bool(a >= b)


def contains(context: Context, a: JSON, b: JSON) -> bool:
    """`a in b`: an element of a list, a part of a text, a key of a map."""
    match b:
        case list():
            context.work((len(b) >> 3) + weight(a) * len(b))
            return a is not MISSING and a in b
        case str() if type(a) is str:
            context.work(len(b) >> 6)
            return a in b
        case dict() if type(a) is str:
            return a in b
    if a is MISSING and b is not MISSING:
        return False
    raise _refused("in", a, b)


def lacks(context: Context, a: JSON, b: JSON) -> bool:
    return not contains(context, a, b)


COMPARISONS: Final[dict[str, Operation]] = {
    "==": equal,
    "!=": unequal,
    "<": less,
    "<=": less_equal,
    ">": greater,
    ">=": greater_equal,
    "in": contains,
    "not in": lacks,
}


def _refused(op: str, a: JSON, b: JSON, help: str | None = None) -> Fault:
    if a is MISSING or b is MISSING:
        side = "left" if a is MISSING else "right"
        return Absent(f"the {side} side of `{op}` is missing", "give another value with `| default(…)`")
    return Fault(f"`{op}` does not take {kind(a)} and {kind(b)}", help)


def _single(op: str, value: JSON) -> Fault:
    return Fault(f"`{op}` does not take {kind(value)}")
