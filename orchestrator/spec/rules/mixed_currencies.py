"""WF705: amounts of more than one currency in one run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from orchestrator.core.units import UnitError, parse_money
from orchestrator.spec.compile_references import Path
from orchestrator.spec.diagnostics import Diagnostic, Label
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF705"
NAME = "mixed-currencies"
SUMMARY = "Budgets of one run name different currencies."
SEVERITY: Final = "error"
EXPLANATION = page(
    """A budget inside another is carved from it, so all of them are of one currency: nobody converts money here.""",
    bad="budget: {cost: $5.00}\ntasks:\n  a: {run: ./x.sh, budget: {cost: 2.00 EUR}}",
    good="budget: {cost: 5.00 EUR}\ntasks:\n  a: {run: ./x.sh, budget: {cost: 2.00 EUR}}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    first: tuple[str, Path] | None = None
    for value, path in _amounts(context):
        try:
            currency = parse_money(value).currency
        except UnitError:
            continue
        if first is None:
            first = currency, path
        elif currency != first[0]:
            yield context.finding(
                CODE, SEVERITY, f"a run has one currency, and this is {currency}", context.value(path),
                labels=(Label(context.value(first[1]), f"this is {first[0]}"),), help="write all amounts in one currency",
            )  # fmt: skip


def _amounts(context: RuleContext) -> Iterator[tuple[Any, Path]]:
    places: list[Path] = [("budget",)]
    places += [("agents", name, "budget") for name in context.data.get("agents") or ()]
    places += [(*site.path, key) for site in context.sites for key in ("budget", "total_budget")]
    for path in places:
        budget: Any = context.data
        for part in path:
            budget = budget.get(part) if isinstance(budget, dict) else None
        for key in ("cost", "cost_per_day"):
            if isinstance(budget, dict) and budget.get(key) is not None:
                yield budget[key], (*path, key)
