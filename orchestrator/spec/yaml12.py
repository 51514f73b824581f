"""What a plain scalar means: the YAML 1.2 core schema, decided here and not by PyYAML's 1.1 resolver.

So `on`, `no`, `12:30` and `2024-01-31` are texts, `0777` is the number 777 and `1.10` the number 1.1; the author's own text
stays at hand for places that want a text (`Document.raw`).
"""

from __future__ import annotations

import re
from typing import Final

Scalar = str | int | float | bool | None

INTEGER_BITS_MAX: Final = 64
"""JSON has no limit, but what reads our JSON and msgpack has."""

_WORDS: Final[dict[str, bool | None]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_FIRST: Final = frozenset("0123456789+-.tTfFnN~")
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_NOT_JSON: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_DIGITS_MAX: Final = 400
"""No number of 64 bits is longer; Python refuses to read 4,300 digits, and slows down long before."""


class UnfitNumberError(ValueError):
    """A number that JSON, or 64 bits, cannot hold."""


def resolve_plain(text: str) -> Scalar:
    """The value of a plain scalar; raises UnfitNumberError for `.inf`, `.nan` and numbers out of range."""
    if text and text[0] not in _FIRST:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return _fitting(text, 10)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise UnfitNumberError(text)
        return value
    if _BASED.fullmatch(text):
        return _fitting(text[2:], 8 if text[1] == "o" else 16)
    if _NOT_JSON.fullmatch(text):
        raise UnfitNumberError(text)
    return text


def _fitting(digits: str, base: int) -> int:
    value = int(digits, base) if len(digits) <= _DIGITS_MAX else 1 << INTEGER_BITS_MAX
    if not -(1 << (INTEGER_BITS_MAX - 1)) <= value < 1 << INTEGER_BITS_MAX:
        raise UnfitNumberError(digits)
    return value
