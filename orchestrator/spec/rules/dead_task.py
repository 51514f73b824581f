"""WF303: a task that can never run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from orchestrator.core.expressions import ExpressionError, evaluate, parse_expression, references
from orchestrator.core.plan import SOFT, VALUE
from orchestrator.spec.compile_graph import Site
from orchestrator.spec.diagnostics import Diagnostic, Label, Span
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF303"
NAME = "dead-task"
SUMMARY = "A task can never run."
SEVERITY: Final = "warning"
EXPLANATION = page(
    """Its `when` is always false, its `foreach` is an empty list, it uses the value of a task that can never run, or it waits
    for an `end` task without `when`: that one ends the run, and the rest is cancelled.

    To switch a task off for a while, `when: false` is fine; a comment says why:
    `# wf: ignore[WF303] switched off until the server is back`.""",
    bad="tasks:\n  stop: {end: succeeded}\n  tidy: {after: stop, run: ./tidy.sh}",
    good="tasks:\n  stop: {when: inputs.dry_run, end: succeeded}\n  tidy: {after: stop, run: ./tidy.sh}\ninputs: {dry_run: boolean}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    dead: dict[Site, str] = {}
    for site in context.sites:
        said = context.said(site)
        if "when" in said and _constant(said["when"]) is False:
            dead[site] = "its `when` is always false"
            yield _finding(context, site, "its `when` is always false", context.value((*site.path, "when")), ())
        elif said.get("foreach") in ([], {}):
            dead[site] = "it has no items"
            yield _finding(context, site, "its `foreach` is empty", context.value((*site.path, "foreach")), ())
    ends = [site for site in context.sites if site.verb.name == "end" and _certain(context, site)]
    yield from _spread(context, dead, ends)


def _constant(when: Any) -> bool | None:
    """The value of a condition that names nothing, as true or false; None if it is not known."""
    if not isinstance(when, str):
        return bool(when)
    try:
        parsed = parse_expression(when)
        return None if references(parsed) or "now" in when else bool(evaluate(parsed, {}))
    except ExpressionError:
        return None


def _certain(context: RuleContext, site: Site) -> bool:
    """An `end` that will be reached if nothing fails."""
    said = context.said(site)
    if "when" in said or "foreach" in said or site.scope is not context.analysis.main:
        return False
    return not any(kind == VALUE for kind in site.needs.values())


def _spread(context: RuleContext, dead: dict[Site, str], ends: list[Site]) -> Iterator[Diagnostic]:
    """From tasks that cannot run to those that need them, until nothing changes."""
    needed_by: dict[Site, list[Site]] = {}
    for site in context.sites:
        for other in site.needs:
            needed_by.setdefault(other, []).append(site)
    todo = [*dead, *ends]
    while todo:
        gone = todo.pop()
        for site in needed_by.get(gone, ()):
            kind, ended = site.needs[gone], gone in ends
            if site.scope is not gone.scope or site in dead or kind == SOFT or (kind != VALUE and not ended):
                continue
            dead[site] = gone.id
            todo.append(site)
            reason = site.reasons[gone]
            span = context.part(reason.path, reason.start, reason.start + reason.length)
            why = (
                f"`{gone.id}` ends the run before it"
                if ended
                else f"it needs the value of `{gone.id}`, which never runs"
            )
            yield _finding(
                context, site, why, span, (Label(context.key(gone.path), "ends the run" if ended else "never runs"),)
            )


def _finding(context: RuleContext, site: Site, why: str, span: Span, labels: tuple[Label, ...]) -> Diagnostic:
    return context.finding(CODE, SEVERITY, f"task `{site.id}` can never run: {why}", span, labels=labels)
