"""WF401: an expression that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF401"
NAME = "expression-syntax"
SUMMARY = "An expression cannot be read, or uses what the language does not have."
SEVERITY: Final = "error"
EXPLANATION = page(
    """Expressions are written as in Jinja: names and paths, `+ - * / // % ~`, comparisons, `and or not`, `in`,
    `is [not] defined|none`, `x if c else y`, literals, slices, filters after `|`, and the functions `range`, `product` and
    `now`. There are no other calls, no attributes of Python, and limits on steps and sizes.

    `when`, `until`, `foreach`, `key` and `item_after` hold only an expression and are written bare; elsewhere it stands in
    `${{ }}`. A literal `${{` is written `$${{`.""",
    bad="tasks:\n  a: {when: inputs.go && inputs.now, run: make}\ninputs: {go: boolean, now: boolean}",
    good="tasks:\n  a: {when: inputs.go and inputs.now, run: make}\ninputs: {go: boolean, now: boolean}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for text in context.texts:
        if text.field == "run" and text.site is not None and len(text.path) == len(text.site.path) + 1:
            continue  # shell text: its own rule reads it
        error = text.error
        if error is not None:
            span = context.part(text.path, error.start, error.end)
            yield context.finding(CODE, SEVERITY, error.message, span, help=error.help)
