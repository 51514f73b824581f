"""WF301: a name in an expression, or a task in `after`, that means nothing there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from orchestrator.core.expressions import Reference
from orchestrator.spec.compile_graph import Site, find
from orchestrator.spec.compile_references import Path
from orchestrator.spec.diagnostics import Diagnostic, Label, Span
from orchestrator.spec.rules._context import RuleContext, Text
from orchestrator.spec.rules._page import page

CODE = "WF301"
NAME = "unknown-name"
SUMMARY = "A name means nothing where it is used."
SEVERITY: Final = "error"
EXPLANATION = page(
    """In an expression a task's id is its value. Also known are `inputs`, `env`, `secrets`, `run` and `tasks`; inside a
    `foreach` the item (`item`, or what `as` says) and `index`; inside a `loop` `previous` and `round`; in triggers and `wait`
    entries what matched: `event`, `mail`, `file`. `after` names tasks of the same map or of one around it.

    A task inside a group is not visible from outside: the group's `outputs` hand values out.

    Text in an expression needs quotes: `status == 'ok'`.""",
    bad="tasks:\n  fetch: {run: curl -s https://example.org}\n  count: {run: wc -l, stdin: '${{ fetsh }}'}",
    good="tasks:\n  fetch: {run: curl -s https://example.org}\n  count: {run: wc -l, stdin: '${{ fetch }}'}",
)

_HYPHENED: Final = re.compile(r"[a-z_]\w*(?:-[a-z_]\w*)+")

_ONLY_IN: Final = {
    "item": "`item` means something inside a `foreach`",
    "index": "`index` means something inside a `foreach`",
    "previous": "`previous` means something inside a `loop`",
    "round": "`round` means something inside a `loop`",
    "event": "`event` means something in triggers and `wait` entries; tasks read `run.trigger` or their inputs",
    "mail": "`mail` means something in triggers and `wait` entries; tasks read `run.trigger` or their inputs",
    "file": "`file` means something in triggers and `wait` entries; tasks read `run.trigger` or their inputs",
}

_IS_VALUE: Final = "a task's own id is its value: write `ID`, and `tasks.ID.status` for what is known about it"
_OTHER_NAMES: Final = {
    "steps": _IS_VALUE,
    "needs": _IS_VALUE,
    "jobs": _IS_VALUE,
    "outputs": _IS_VALUE,
    "github": "what the run was given is in `inputs`, what is known about it in `run`",
    "params": "here it is called `inputs`",
    "vars": "here it is called `env`, or `inputs`",
    "loop": "inside a `foreach` there are `item` and `index`, inside a `loop` `round` and `previous`",
}
"""What other tools call things, for a person who comes from there."""


def check(context: RuleContext) -> Iterator[Diagnostic]:
    hints = _Hints(context)
    for site in context.sites:
        yield from _after(context, site, hints)
    for text in context.texts:
        for reference in text.references:
            yield from _reference(context, text, reference, hints)


def _after(context: RuleContext, site: Site, hints: _Hints) -> Iterator[Diagnostic]:
    after = context.said(site).get("after")
    for position, name in enumerate([after] if isinstance(after, str) else after or ()):
        path: Path = (*site.path, "after") if isinstance(after, str) else (*site.path, "after", position)
        if find(site, name) is None and not _itself(site, name) and name not in context.lost:
            yield hints.unknown(Text(site.path, "", False, site, "after"), name, context.value(path), "task")


def _reference(context: RuleContext, text: Text, reference: Reference, hints: _Hints) -> Iterator[Diagnostic]:
    about = reference.root == "tasks" and bool(reference.path)
    name = str(reference.path[0]) if about else reference.root
    found = context.meaning(text, name)
    if found is not False and not (about and found is True):
        return
    if name in context.lost or (text.site is not None and _itself(text.site, name)):
        return
    hyphened = None if about else _with_hyphens(context, text, reference)
    if hyphened is None:
        yield hints.unknown(text, name, _span(context, text, reference, about), "task" if about else "name")
    elif hyphened.start() == reference.start:  # the words after it are the same mistake
        yield context.finding(
            CODE,
            SEVERITY,
            f"unknown name `{name}`: the hyphen reads as minus",
            context.part(text.path, hyphened.start(), hyphened.end()),
            help=f"did you mean `{hyphened[0].replace('-', '_')}`?",
        )


def _with_hyphens(context: RuleContext, text: Text, reference: Reference) -> re.Match[str] | None:
    """The words with hyphens around a name that would be known with underscores."""
    for found in _HYPHENED.finditer(text.text):
        if found.start() <= reference.start < found.end():
            return found if context.meaning(text, found[0].replace("-", "_")) else None
    return None


def _span(context: RuleContext, text: Text, reference: Reference, about: bool) -> Span:
    written = text.text[reference.start : reference.end]
    if not about:
        return context.part(text.path, reference.start, reference.start + len(reference.root))
    start = reference.start + max(written.find(str(reference.path[0]), len("tasks")), 0)
    return context.part(text.path, start, start + len(str(reference.path[0])))


def _itself(site: Site, name: str) -> bool:
    """Itself or a task around it: that is a cycle, and said by that rule."""
    at: Site | None = site
    while at is not None:
        if at.id == name:
            return True
        at = at.scope.owner
    return False


class _Hints:
    """Makes the findings."""

    def __init__(self, context: RuleContext) -> None:
        self.context = context
        self.inside: dict[str, Site] | None = None

    def unknown(self, text: Text, name: str, span: Span, noun: str) -> Diagnostic:
        if self.inside is None:
            self.inside = {site.id: site for site in self.context.sites if site.scope.owner is not None}
        if name in self.inside:
            return _hidden(self.context, self.inside[name], span)
        alias = _alias(text.site) if name == "item" else None
        help = f"here it is called `{alias}`" if alias else _ONLY_IN.get(name)
        if help is None:
            help = self.context.did_you_mean(name, self.context.known(text)) or _OTHER_NAMES.get(name)
        return self.context.finding(CODE, SEVERITY, f"unknown {noun} `{name}`", span, help=help)


def _hidden(context: RuleContext, inside: Site, span: Span) -> Diagnostic:
    owner = inside.scope.owner
    assert owner is not None
    return context.finding(
        CODE,
        SEVERITY,
        f"task `{inside.id}` is inside `{owner.id}` and not visible here",
        span,
        labels=(Label(context.key(inside.path), f"it stands in `{owner.id}`"),),
        help=f"refer to `{owner.id}`, and hand the value out by its `outputs`",
    )


def _alias(site: Site | None) -> str | None:
    while site is not None:
        if site.alias is not None and site.alias != "item":
            return site.alias
        site = site.scope.owner
    return None
