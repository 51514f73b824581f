"""JSON that a model wrote: what our journal, our events and our checks cannot hold is refused or replaced here."""

from __future__ import annotations

import json
import math
from typing import Any, Final

JSON = Any

DEPTH_MAX: Final = 100
"""Of nested arrays and objects; every walker of values that comes after relies on it."""


def read_json(text: str) -> JSON:
    """The value, halves of characters in its texts replaced. Raises ValueError for what is no JSON, no number, or too deep."""
    return _checked(_decode(text))


def read_json_at(text: str, start: int) -> tuple[JSON, int]:
    """The value that begins at `start`, and where it ends. Raises ValueError."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return _checked(value), end


def sound(text: str) -> str:
    """Text that every encoder takes: halves of characters are joined where they belong together, else replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _decode(text: str) -> JSON:
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _checked(value: JSON, depth: int = 0) -> JSON:
    if isinstance(value, str):
        return sound(value)
    if not isinstance(value, dict | list):
        return value
    if depth == DEPTH_MAX:
        raise ValueError("it is nested too deeply")
    if isinstance(value, list):
        return [_checked(item, depth + 1) for item in value]
    return {sound(key): _checked(item, depth + 1) for key, item in value.items()}


def _refuse(word: str) -> JSON:
    raise ValueError(f"{word} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
