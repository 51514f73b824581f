"""WF302: tasks that wait for each other, or for themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.spec.compile_cycles import cycles
from orchestrator.spec.compile_graph import Site
from orchestrator.spec.compile_references import Path
from orchestrator.spec.diagnostics import Diagnostic, Label, Span
from orchestrator.spec.rules._context import RuleContext, Text
from orchestrator.spec.rules._page import page

CODE = "WF302"
NAME = "cycle"
SUMMARY = "Tasks wait for each other, so none of them can start."
SEVERITY: Final = "error"
EXPLANATION = page(
    """A task waits for every task that its texts refer to, and for those in `after`. The finding shows the way round, and each
    place that makes a task wait. Take one of them away.

    To do something again and again, use `loop`: inside it, `previous` is the value of the round before.""",
    bad="tasks:\n  draft: {set: '${{ review }}'}\n  review: {set: '${{ draft }}'}",
    good="""
    tasks:
      rounds:
        loop: {max: 3}
        tasks:
          draft: {set: '${{ previous.review | default("") }}'}
          review: {set: '${{ draft }}'}
    """,
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    yield from cycles(context.analysis, context.document)
    for site in context.sites:
        yield from _after_itself(context, site)
    for text in context.texts:
        yield from _itself(context, text)


def _after_itself(context: RuleContext, site: Site) -> Iterator[Diagnostic]:
    after = context.said(site).get("after")
    for position, name in enumerate([after] if isinstance(after, str) else after or ()):
        path: Path = (*site.path, "after") if isinstance(after, str) else (*site.path, "after", position)
        if (found := _self_or_around(site, name)) is not None:
            yield _alone(context, site, found, context.value(path))


def _itself(context: RuleContext, text: Text) -> Iterator[Diagnostic]:
    site = text.site
    if site is None:
        return
    for reference in text.references:
        about = reference.root == "tasks" and bool(reference.path)
        name = str(reference.path[0]) if about else reference.root
        if text.field == "until" and name == site.id:
            continue
        if site.inner is not None and text.field == "outputs" and name in site.inner.sites:
            continue
        found = _self_or_around(site, name)
        if found is not None and not (name == site.alias and not about):
            yield _alone(context, site, found, context.part(text.path, reference.start, reference.end))


def _self_or_around(site: Site, name: str) -> Site | None:
    at: Site | None = site
    while at is not None:
        if at.id == name:
            return at
        at = at.scope.owner
    return None


def _alone(context: RuleContext, site: Site, found: Site, span: Span) -> Diagnostic:
    message, labels = f"task `{site.id}` waits for itself", list[Label]()
    if found is not site:
        message = f"task `{site.id}` waits for `{found.id}`, which it is part of"
        labels.append(Label(context.key(found.path), "it is over only when its tasks are"))
    help = (
        "the value of the round before is `previous`"
        if _looped(site)
        else "refer to another task, or use a `loop` with `previous`"
    )
    return context.finding(CODE, SEVERITY, message, span, labels=tuple(labels), help=help)


def _looped(site: Site | None) -> bool:
    while site is not None:
        if "loop" in site.task:
            return True
        site = site.scope.owner
    return False
