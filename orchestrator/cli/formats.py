"""How durations, instants, money and counts are written: the same everywhere, and times always with their zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

_SIGNS: Final = {"USD": "$", "EUR": "€", "GBP": "£"}


def duration(seconds: float | None) -> str:
    """`48ms`, `3.1s`, `2m 05s`, `1h 02m`, `3d 4h`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 0.0995:
        return f"{max(seconds, 0.0) * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def elapsed(seconds: float) -> str:
    """A running clock: `0:42`, `1:02:03`."""
    whole = int(max(seconds, 0.0))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def instant(at: float | None, *, now: float | None = None) -> str:
    """Local time with its zone, without the date if it is `now`'s: `14:03:07 +02:00`, `2026-07-01 14:03:07 +02:00`."""
    if at is None:
        return ""
    local = datetime.fromtimestamp(at, UTC).astimezone()
    zone = f"{local:%z}"
    zone = "UTC" if zone == "+0000" else f"{zone[:3]}:{zone[3:5]}"
    same_day = now is not None and datetime.fromtimestamp(now, UTC).astimezone().date() == local.date()
    return f"{local:%H:%M:%S} {zone}" if same_day else f"{local:%Y-%m-%d %H:%M:%S} {zone}"


def iso(at: float | None) -> str | None:
    """For programs: RFC 3339 in UTC with milliseconds."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def money(amount: float | None, currency: str = "USD") -> str:
    """`$0.031`, `$2.00`, `<$0.001`, `2.00 CHF`; empty for None, which means unknown or nothing paid."""
    if amount is None:
        return ""
    if "+" in currency:
        return f"cost in {currency.replace('+', ' and ')}"  # nobody adds those up
    sign = _SIGNS.get(currency, "")
    if 0 < amount < 0.0005:
        text, less = "0.001", "<"
    else:
        text, less = (f"{amount:.2f}" if amount >= 1 or round(amount * 1000) % 10 == 0 else f"{amount:.3f}"), ""
    return f"{less}{sign}{text}" if sign else f"{less}{text} {currency}"


def cost(amount: float | None, usage: dict[str, int] | None = None, currency: str = "USD") -> str:
    """`$0.031`, `$0.031 + 2 unknown`, `cost unknown`: what is known, and how many requests cost nobody knows how much."""
    unknown = (usage or {}).get("unpriced", 0)
    if not unknown:
        return money(amount, currency)
    return f"{money(amount, currency)} + {unknown} unknown" if amount else "cost unknown"


def tokens(usage: dict[str, int] | None) -> int:
    """Tokens in and out."""
    if not usage:
        return 0
    return usage.get("input_tokens", 0) + usage.get("output_tokens", 0)


def count(number: int) -> str:
    """`999`, `18.2k`, `1.3M`."""
    if number < 1000:
        return str(number)
    if number < 999_950:
        return f"{number / 1000:.1f}k"
    return f"{number / 1_000_000:.1f}M"


def size(number: int) -> str:
    """Bytes: `512 B`, `1.5 KiB`."""
    value, unit = float(number), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def value_text(value: Any, *, indent: int | None = None) -> str:
    """A JSON value as people read it: text as it is, the rest as JSON."""
    if isinstance(value, str):
        return value
    import json

    return json.dumps(value, ensure_ascii=False, indent=indent, default=str)


def short(run_id: str) -> str:
    """A run's id as people type it: the first digits of a random one are enough, any other is kept whole."""
    return run_id[:6] if len(run_id) == 12 and all(c in "0123456789abcdef" for c in run_id) else run_id
