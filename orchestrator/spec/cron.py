"""Cron expressions: what is written, checked field by field. Five fields, or six with the second first.

Only the text is judged here; when something fires is computed where schedules run.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from orchestrator.errors import WhisperFlowError

SHORT: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTH_NAMES: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS: Final = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAYS: Final = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_MONTH_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class CronError(WhisperFlowError):
    """The expression cannot be read or never comes true; `start` and `end` are offsets in it, end exclusive."""

    def __init__(self, message: str, start: int, end: int, help: str | None = None) -> None:
        super().__init__(message, help=help)
        self.start = start
        self.end = end


class _Field(NamedTuple):
    noun: str
    low: int
    high: int
    names: dict[str, int]


_FIELDS: Final = (
    _Field("second", 0, 59, {}),
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of the month", 1, 31, {}),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, _DAYS),
)


class Cron(NamedTuple):
    """The values of each field; a day field that was `*` is None, because two restricted days are joined by "or"."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int] | None
    months: frozenset[int]
    weekdays: frozenset[int] | None
    """0 is Sunday."""


def check_cron(text: str) -> Cron:
    """Read an expression; raises CronError, also for one that can never come true."""
    words = [(found.group(), found.start()) for found in re.finditer(r"\S+", text)]
    if text.strip().startswith("@"):
        return _short(text.strip().lower(), text)
    if len(words) not in (5, 6):
        help = "minute, hour, day of the month, month, day of the week; with six, the second comes first"
        raise CronError(f"a cron expression has 5 or 6 fields, not {len(words)}", 0, max(len(text), 1), help)
    fields = _FIELDS[-len(words) :]
    read = [_values(word, start, field) for (word, start), field in zip(words, fields, strict=True)]
    if len(read) == 5:
        read.insert(0, frozenset({0}))
    seconds, minutes, hours, days, months, weekdays = read
    day_word, weekday_word = words[-3][0], words[-1][0]
    cron = Cron(
        seconds, minutes, hours,
        None if day_word in ("*", "?") else days,
        months,
        None if weekday_word in ("*", "?") else frozenset(day % 7 for day in weekdays),
    )  # fmt: skip
    if cron.days is not None and cron.weekdays is None:
        longest = max(_MONTH_DAYS[month - 1] for month in months)
        if min(cron.days) > longest:
            start, last = words[-3][1], words[-2]
            raise CronError(
                f"this never comes: {_which(months)} has at most {longest} days", start, last[1] + len(last[0])
            )
    return cron


def _short(word: str, text: str) -> Cron:
    if word not in SHORT:
        from orchestrator.spec.suggest import did_you_mean

        help = did_you_mean(word, SHORT) or f"known are {', '.join(SHORT)}"
        raise CronError(f"unknown cron word `{text.strip()}`", 0, len(text), help)
    return check_cron(SHORT[word])


def _which(months: frozenset[int]) -> str:
    names = {number: name.capitalize() for name, number in _MONTHS.items()}
    return " or ".join(names[month] for month in sorted(months)[:3])


def _values(word: str, start: int, field: _Field) -> frozenset[int]:
    found: set[int] = set()
    at = start
    for part in word.split(","):
        found |= _part(part, at, field)
        at += len(part) + 1
    return frozenset(found)


def _part(part: str, start: int, field: _Field) -> set[int]:
    base, slash, step_word = part.partition("/")
    step = 1
    if slash:
        if not step_word.isdecimal() or not 1 <= int(step_word[:6]) <= field.high:
            at = start + len(base) + 1
            raise CronError(f"`{step_word}` is no step for the {field.noun}", at, max(start + len(part), at + 1))
        step = int(step_word)
    if base in ("*", "?"):
        return set(range(field.low, field.high + 1, step))
    low_word, dash, high_word = base.partition("-")
    low = _number(low_word, start, field)
    high = _number(high_word, start + len(low_word) + 1, field) if dash else (field.high if slash else low)
    if high < low:
        raise CronError(
            f"`{base}` goes backwards",
            start,
            start + len(base),
            f"write `{low_word}-{field.high},{field.low}-{high_word}`",
        )
    return set(range(low, high + 1, step))


def _number(word: str, start: int, field: _Field) -> int:
    value = field.names.get(word.lower()[:3]) if word[:1].isalpha() else None
    if value is None and word.isascii() and word.isdecimal() and len(word) <= 4:
        value = int(word)
    if value is None or not field.low <= value <= field.high:
        names = f" or {'–'.join([next(iter(field.names)), list(field.names)[-1]])}" if field.names else ""
        message = f"`{word}` is no {field.noun}" if word else f"the {field.noun} is missing"
        raise CronError(message, start, start + max(len(word), 1), f"{field.low}–{field.high}{names}")
    return value
