"""WF601: a cron expression that cannot be read, or that never comes true."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.spec.cron import CronError, check_cron
from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._clocks import clocks
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF601"
NAME = "cron-expression"
SUMMARY = "A cron expression cannot be read, or can never come true."
SEVERITY: Final = "error"
EXPLANATION = page(
    """Five fields: minute, hour, day of the month, month, day of the week (0 or 7 is Sunday). With six, the first is the second.
    A field is `*`, a number or name, a range `1-5`, steps `*/15`, or a list of these. `@hourly`, `@daily`, `@weekly`,
    `@monthly` and `@yearly` are known. If both days are given, one of them is enough. A date that no year has, such as the
    30th of February, would never come.""",
    bad="schedules:\n  - {cron: '0 8 30 2 *'}\ntasks: {a: {run: ./report.sh}}",
    good="schedules:\n  - {cron: '0 8 28 2 *'}\ntasks: {a: {run: ./report.sh}}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for clock, path in clocks(context):
        said = clock.get("cron")
        if isinstance(said, str) and "${{" not in said:
            try:
                check_cron(said)
            except CronError as error:
                span = context.part((*path, "cron"), error.start, error.end)
                yield context.finding(CODE, SEVERITY, error.message, span, help=error.help)
