"""Units people write: durations, byte sizes, counts and money. A number without its unit is refused, with the likely one.

All functions take what YAML gave (text or number) and raise UnitError, whose offsets are in that text.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from orchestrator.errors import WhisperFlowError

DURATION_PATTERN: Final = r"^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+$"
BYTES_PATTERN: Final = r"^\d+(?:\.\d+)?(?:B|[kKMGT]i?B)$"
COUNT_PATTERN: Final = r"^\d+(?:\.\d+)?[kM]?$"
MONEY_PATTERN: Final = r"^(?:[$€£]\d+(?:\.\d+)?|\d+(?:\.\d+)? ?[A-Z]{3})$"
"""For JSON Schemas: what these functions accept (ISO 8601 durations aside)."""

SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_ORDER: Final = ("w", "d", "h", "m", "s", "ms")
_BYTES: Final = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KiB": 2**10, "kiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_COUNTS: Final = {"": 1, "k": 10**3, "M": 10**6}
_SIGNS: Final = {"$": "USD", "€": "EUR", "£": "GBP"}

DURATION_MAX: Final = 100 * 366 * 86_400.0
_LENGTH_MAX: Final = 60

_PART = re.compile(r"(\d+(?:\.\d+)?)([a-zA-Zµ]*)")
_ISO = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SIZED = re.compile(r"(\d+(?:\.\d+)?) ?([a-zA-Z]*)")
_SIGNED_MONEY = re.compile(r"([$€£]) ?(\d+(?:\.\d+)?)")
_NAMED_MONEY = re.compile(r"(\d+(?:\.\d+)?) ?([A-Z]{3})")
_LONG_UNITS: Final = {
    "milli": "ms", "msec": "ms", "sec": "s", "min": "m", "hour": "h", "hr": "h", "day": "d", "week": "w", "wk": "w",
}  # fmt: skip


class UnitError(WhisperFlowError):
    """What was written is no duration, size, count or amount; `start` and `end` are offsets in it, end exclusive."""

    def __init__(self, message: str, start: int, end: int, help: str | None = None) -> None:
        super().__init__(message, help=help)
        self.start = start
        self.end = end


class Money(msgspec.Struct, frozen=True):
    amount: float
    currency: str
    """Three capital letters, ISO 4217."""


def parse_duration(value: Any) -> float:
    """Seconds of `90s`, `5m`, `1h30m`, `500ms`, `2d` (a day is 24 hours) or ISO 8601 (`PT90S`)."""
    text = _text(value, "a duration", _with_time_unit)
    if text[:1] == "P" and (iso := _ISO.fullmatch(text)) and any(iso.groups()) and text[-1] != "T":
        counts = [float(part or 0) for part in iso.groups()]
        return _bounded(sum(n * SECONDS[u] for n, u in zip(counts, ("w", "d", "h", "m", "s"), strict=True)), text)
    seconds, at, last = 0.0, 0, -1
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            raise UnitError(f"`{text}` is not a duration", 0, len(text), _shorter(text))
        unit = part.group(2)
        if not unit:
            raise UnitError(f"`{text}` is not a duration", 0, len(text), _shorter(text))
        if unit not in SECONDS:
            raise UnitError(f"`{unit}` is not a unit of time", part.start(2), part.end(2), _shorter(text))
        if _ORDER.index(unit) <= last:
            raise UnitError(f"`{text}` does not go from large to small", 0, len(text), "for example `1h30m`")
        last = _ORDER.index(unit)
        seconds += float(part.group(1)) * SECONDS[unit]
        at = part.end()
    return _bounded(seconds, text)


def parse_bytes(value: Any) -> int:
    """Bytes of `10MiB`, `64KiB` (powers of 1024), `10MB`, `5kB` (powers of 1000), `512B`."""
    text = _text(value, "a size", _with_byte_unit)
    found = _SIZED.fullmatch(text)
    if found is None or found.group(2) not in _BYTES:
        unit = found.group(2) if found else ""
        near = {name.lower(): name for name in _BYTES if name not in ("KB", "kiB")} | {
            "m": "MiB",
            "k": "KiB",
            "g": "GiB",
        }
        better = near.get(unit.lower())
        help = f"did you mean `{found.group(1)}{better}`?" if found and better else "for example `10MiB`"
        where = found.span(2) if found and unit else (0, len(text))
        raise UnitError(f"`{text}` is not a size in bytes", *where, help)
    return _times(found.group(1), _BYTES[found.group(2)])[0]


def parse_count(value: Any) -> int:
    """A whole number: `4`, `400k`, `1.5M`; also a bare number of YAML."""
    if type(value) is int and value >= 0:
        return value
    text = _text(value, "a count", _whole)
    found = _SIZED.fullmatch(text)
    if found is None or found.group(2) not in _COUNTS or " " in text:
        lower = {"K": "k", "m": "M"}.get(found.group(2)) if found else None
        help = f"did you mean `{found.group(1)}{lower}`?" if found and lower else "for example `400k` or `1.5M`"
        raise UnitError(f"`{text}` is not a count", 0, len(text), help)
    count, rest = _times(found.group(1), _COUNTS[found.group(2)])
    if rest:
        raise UnitError(f"`{text}` is not a whole number", 0, len(text))
    return count


def _whole(number: str) -> str:
    return "write it out" if "e" in number else f"did you mean `{number.partition('.')[0]}`?"


def parse_money(value: Any) -> Money:
    """`$2.00`, `€5`, `2.00 EUR`."""
    text = _text(value, "an amount of money", lambda number: f"did you mean `${number}` or `{number} EUR`?")
    if found := _SIGNED_MONEY.fullmatch(text):
        return Money(float(found.group(2)), _SIGNS[found.group(1)])
    if found := _NAMED_MONEY.fullmatch(text):
        return Money(float(found.group(1)), found.group(2))
    raise UnitError(f"`{text}` is not an amount of money", 0, len(text), "for example `$2.00` or `2.00 EUR`")


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back, to the millisecond: 5400 → `1h30m`."""
    left = round(seconds * 1000)
    if left < 0:
        raise ValueError("a duration is not negative")
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        size = round(SECONDS[unit] * 1000)
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _times(decimal: str, factor: int) -> tuple[int, int]:
    """The whole part of a decimal times a factor, and what is left of it, exactly."""
    whole, _, fraction = decimal.partition(".")
    return divmod(int(whole + fraction) * factor, int("1" + "0" * len(fraction)))


def _text(value: Any, noun: str, likely: Any) -> str:
    """What was written, if it is text with more to it than a number."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise UnitError(f"not {noun}", 0, len(str(value)), None)
    text = str(value).strip()
    if not text or len(text) > _LENGTH_MAX:
        raise UnitError(f"not {noun}", 0, len(text))
    if _NUMBER.fullmatch(text) and noun != "a count":
        raise UnitError(f"{noun} needs its unit", 0, len(text), likely(text))
    if text.startswith("-"):
        raise UnitError(f"{noun} is not negative", 0, len(text))
    if noun == "a count" and isinstance(value, float):
        raise UnitError("a count is a whole number", 0, len(text), likely(text))
    return text


def _with_time_unit(number: str) -> str:
    # A thousand and more is what other tools count in milliseconds.
    unit = "ms" if float(number) >= 1000 and float(number) % 100 == 0 else "s"
    return f"did you mean `{number}{unit}`?"


def _with_byte_unit(number: str) -> str:
    return f"did you mean `{number}{'B' if float(number) >= 1024 else 'MiB'}`?"


def _bounded(seconds: float, text: str) -> float:
    if seconds > DURATION_MAX:
        raise UnitError(f"`{text}` is more than a hundred years", 0, len(text))
    return seconds


def _shorter(text: str) -> str:
    """The help for `30 seconds`, `5 min`, `1h 30m`: the same in our units, if it can be guessed."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]+)", text)
    written = []
    for count, unit in parts:
        short = (
            unit if unit in SECONDS else next((u for w, u in _LONG_UNITS.items() if unit.lower().startswith(w)), None)
        )
        short = short or (unit.lower() if unit.lower() in SECONDS else None)
        if short is None:
            return "units are ms, s, m, h, d, w: for example `1h30m`"
        written.append(f"{count}{short}")
    return f"did you mean `{''.join(written)}`?" if written else "for example `90s`, `5m` or `1h30m`"
