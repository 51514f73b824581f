"""WF305: commands that start at the same time, because nothing orders them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.spec.compile_graph import ScopeSite, Site
from orchestrator.spec.diagnostics import Diagnostic, Label
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF305"
NAME = "unordered-commands"
SUMMARY = "Several commands start at the same time."
SEVERITY: Final = "info"
EXPLANATION = page(
    """The order of a file is not the order of a run: a task waits for those it refers to, and for those in `after`. Commands
    with neither start at once, side by side. That is right for checks that are independent, and wrong for steps that
    build on each other's files. `order: listed` runs the tasks one after the other as they are written.""",
    bad="tasks:\n  install: {run: npm ci}\n  test: {run: npm test}",
    good="order: listed\ntasks:\n  install: {run: npm ci}\n  test: {run: npm test}",
)
_LABELS_MAX: Final = 3


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for scope in context.analysis.scopes:
        loose = _loose(context, scope)
        if len(loose) < 2:
            continue
        first, *others = loose
        ids = [f"`{site.id}`" for site in loose]
        shown = (
            ", ".join(ids[:-1]) + f" and {ids[-1]}"
            if len(ids) <= 4
            else f"{', '.join(ids[:3])} and {len(ids) - 3} more"
        )
        yield context.finding(
            CODE, SEVERITY, f"{shown} start at the same time", context.key(first.path), label="waits for nothing",
            labels=tuple(Label(context.key(site.path), "nor does this") for site in others[:_LABELS_MAX]),
            help="if one needs what another does: `after: <id>`, or `order: listed` for all",
        )  # fmt: skip


def _loose(context: RuleContext, scope: ScopeSite) -> list[Site]:
    """Commands without an edge in either direction."""
    if scope.parent is not None and scope.owner is None:
        return []  # `finally` and `on_failure`: they do not depend on each other
    needed = {other for site in scope.sites.values() for other in site.needs}
    return [
        site
        for site in scope.sites.values()
        if site.verb.name == "run"
        and site not in needed
        and not any(one.scope is scope for one in site.needs)
        and "after" not in site.task
        and not _lost(context, site)
    ]


def _lost(context: RuleContext, site: Site) -> bool:
    """Whether it refers to something that is not there: then an edge was meant."""
    return any(context.meaning(text, one.root) is False for text in context.texts_of(site) for one in text.references)
