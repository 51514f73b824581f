"""Dates in expressions: `now(tz)` and the filter `date(format, tz, plus)`. English names, no locale, zones by IANA name."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from orchestrator.core.expressions.faults import Fault
from orchestrator.core.expressions.values import JSON, kind
from orchestrator.core.units import UnitError, parse_duration

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")  # fmt: skip  # noqa: E501

_DIRECTIVES: Final[dict[str, Callable[[datetime], str]]] = {
    "Y": lambda t: f"{t.year:04}",
    "y": lambda t: f"{t.year % 100:02}",
    "m": lambda t: f"{t.month:02}",
    "d": lambda t: f"{t.day:02}",
    "e": lambda t: f"{t.day:2}",
    "H": lambda t: f"{t.hour:02}",
    "I": lambda t: f"{(t.hour - 1) % 12 + 1:02}",
    "M": lambda t: f"{t.minute:02}",
    "S": lambda t: f"{t.second:02}",
    "f": lambda t: f"{t.microsecond:06}",
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "j": lambda t: f"{t.timetuple().tm_yday:03}",
    "a": lambda t: _DAYS[t.weekday()][:3],
    "A": lambda t: _DAYS[t.weekday()],
    "b": lambda t: _MONTHS[t.month - 1][:3],
    "B": lambda t: _MONTHS[t.month - 1],
    "u": lambda t: str(t.isoweekday()),
    "w": lambda t: str(t.isoweekday() % 7),
    "G": lambda t: f"{t.isocalendar().year:04}",
    "V": lambda t: f"{t.isocalendar().week:02}",
    "F": lambda t: f"{t.year:04}-{t.month:02}-{t.day:02}",
    "T": lambda t: f"{t.hour:02}:{t.minute:02}:{t.second:02}",
    "R": lambda t: f"{t.hour:02}:{t.minute:02}",
    "s": lambda t: str(int(t.timestamp() // 1)),
    "z": lambda t: t.strftime("%z")[:5],
    "Z": lambda t: t.tzname() or "",
    "%": lambda t: "%",
}
_DIRECTIVE = re.compile("%(.?)", re.DOTALL)
_PLUS = re.compile(r"\s*([+-]?)\s*(.*?)\s*", re.DOTALL)
_DAYS_PART = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(.*)", re.DOTALL)


def now_text(now: float, tz: JSON) -> str:
    """The instant in ISO 8601 with whole seconds and the zone's offset."""
    return _from_seconds(now).astimezone(zone(tz)).isoformat(timespec="seconds")


def format_date(value: JSON, pattern: JSON, tz: JSON, plus: JSON) -> str:
    """`value` is seconds since 1970 or ISO 8601 text; days and weeks of `plus` are calendar days in the zone."""
    if not isinstance(pattern, str):
        raise Fault(f"the format of `date` is text, not {kind(pattern)}", "for example '%Y-%m-%d'")
    moment = instant(value)
    if tz is not None:
        moment = moment.astimezone(zone(tz))
    if plus is not None:
        moment = _moved(moment, plus)

    def replaced(found: re.Match[str]) -> str:
        directive = _DIRECTIVES.get(found.group(1))
        if directive is None:
            raise Fault(f"`{found.group(0)}` is not a part of a date format", "the parts are listed under `date`")
        return directive(moment)

    return _DIRECTIVE.sub(replaced, pattern)


def instant(value: JSON) -> datetime:
    """A moment with its zone; text without an offset is UTC, a date alone its midnight."""
    if type(value) is int or type(value) is float:
        return _from_seconds(value)
    if not isinstance(value, str):
        raise Fault(f"`date` takes text or seconds, not {kind(value)}")
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        raise Fault(f"{value[:40]!r} is not a date", "dates are ISO 8601: 2025-06-30 or 2025-06-30T08:00:00Z") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _from_seconds(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise Fault(f"{seconds} seconds since 1970 is no date", "milliseconds? divide by 1000") from None


def zone(name: JSON) -> tzinfo:
    if not isinstance(name, str):
        raise Fault(f"a time zone is text, not {kind(name)}", "for example 'Europe/Rome'")
    return _zone(name)


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    if name.upper() in ("UTC", "Z"):
        return UTC
    from zoneinfo import ZoneInfo  # only where a zone other than UTC is named

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise Fault(f"unknown time zone {name[:40]!r}", "zones have names such as 'Europe/Rome' or 'UTC'") from None


def _moved(moment: datetime, plus: JSON) -> datetime:
    if not isinstance(plus, str):
        raise Fault(f"`plus` is a duration such as '1d' or '-2h', not {kind(plus)}")
    sign_text, amount = _PLUS.fullmatch(plus).groups()  # type: ignore[union-attr]
    sign = -1 if sign_text == "-" else 1
    weeks, days, rest = _DAYS_PART.fullmatch(amount).groups()  # type: ignore[union-attr]
    try:
        if weeks or days:
            local = moment.replace(tzinfo=None) + sign * timedelta(weeks=int(weeks or 0), days=int(days or 0))
            moment = local.replace(tzinfo=moment.tzinfo)
        if rest or not (weeks or days):
            # Hours and less are real time: through UTC, so that a change of clocks in between does not count.
            moved = moment.astimezone(UTC) + sign * timedelta(seconds=parse_duration(rest))
            moment = moved.astimezone(moment.tzinfo)
    except UnitError as error:
        raise Fault(f"`plus`: {error.message}", error.help) from None
    except (OverflowError, ValueError):
        raise Fault("the date is out of the calendar's years 1 to 9999") from None
    return moment
