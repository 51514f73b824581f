"""WF603: `at` that is no date and time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._clocks import clocks
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF603"
NAME = "instant-text"
SUMMARY = "`at` is not a date and time."
SEVERITY: Final = "error"
EXPLANATION = page(
    """`at` is a date and time as ISO 8601 writes it: `2030-01-31T09:00`, in the time zone of the entry or of the workflow, or with
    an offset of its own, `2030-01-31T09:00+01:00`. In a `wait` task it may be an expression.""",
    bad="schedules:\n  - {at: tomorrow at nine}\ntasks: {a: {run: ./report.sh}}",
    good="schedules:\n  - {at: 2030-01-31T09:00}\ntasks: {a: {run: ./report.sh}}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for clock, path in clocks(context):
        said = clock.get("at")
        if isinstance(said, str) and "${{" not in said and not _is_instant(said):
            yield context.finding(
                CODE,
                SEVERITY,
                f"`{said}` is not a date and time",
                context.value((*path, "at")),
                help="for example `2030-01-31T09:00`",
            )


def _is_instant(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return "T" in text or " " in text
