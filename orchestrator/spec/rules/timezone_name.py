"""WF602: a time zone that does not exist."""

from __future__ import annotations

import functools
import zoneinfo
from collections.abc import Iterator
from typing import Final

from orchestrator.spec.compile_references import Path
from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._clocks import clocks
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF602"
NAME = "timezone-name"
SUMMARY = "A time zone does not exist."
SEVERITY: Final = "error"
EXPLANATION = page(
    """Zones have IANA names, such as `Europe/Rome`. Abbreviations such as `CET` or `PST` do not say when summer time begins;
    `UTC` is the default.""",
    bad="schedules:\n  - {cron: '0 8 * * *', timezone: Europe/Rom}\ntasks: {a: {run: ./report.sh}}",
    good="schedules:\n  - {cron: '0 8 * * *', timezone: Europe/Rome}\ntasks: {a: {run: ./report.sh}}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    places: list[tuple[object, Path]] = [(context.data.get("timezone"), ("timezone",))]
    places += [(clock.get("timezone"), (*path, "timezone")) for clock, path in clocks(context)]
    for said, path in places:
        if isinstance(said, str) and not _exists(said):
            city = _cities().get(said.replace(" ", "_").casefold())
            help = f"did you mean `{city}`?" if city else context.did_you_mean(said, list(_cities().values()))
            yield context.finding(
                CODE,
                SEVERITY,
                f"unknown time zone `{said}`",
                context.value(path),
                help=help or "for example `Europe/Rome`",
            )


@functools.cache
def _cities() -> dict[str, str]:
    """Last part of a zone's name → the name."""
    return {name.rsplit("/", 1)[-1].casefold(): name for name in sorted(zoneinfo.available_timezones()) if "/" in name}


@functools.cache
def _exists(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True
