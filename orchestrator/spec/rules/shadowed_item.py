"""WF307: `env` or `cwd` of a group mentions an item, and a task inside has items of the same name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.spec.compile_graph import Site
from orchestrator.spec.compile_references import texts_in, uses_of_template
from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF307"
NAME = "shadowed-item"
SUMMARY = "What a group says about its items would mean other items inside it."
SEVERITY: Final = "error"
EXPLANATION = page(
    """`env` and `cwd` of a group hold for every task in it, as if each said them itself. Where such a text mentions the group's
    item, and a task inside has a `foreach` with the same name for its items, the text would mean the inner items there. Give one
    of the two another name with `as`.""",
    bad="""
    tasks:
      each_os:
        foreach: ['linux', 'mac']
        env: {OS: '${{ item }}'}
        tasks:
          test: {foreach: ['3.11', '3.12'], run: ['./test.sh', '${{ item }}']}
    """,
    good="""
    tasks:
      each_os:
        foreach: ['linux', 'mac']
        as: os
        env: {OS: '${{ os }}'}
        tasks:
          test: {foreach: ['3.11', '3.12'], run: ['./test.sh', '${{ item }}']}
    """,
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for site in context.sites:
        if site.alias is not None and site.scope.owner is not None:
            yield from _shadowed(context, site, site.scope.owner)


def _shadowed(context: RuleContext, site: Site, group: Site | None) -> Iterator[Diagnostic]:
    while group is not None:
        said = context.said(group)
        for field in ("env", "cwd"):
            for path, text in texts_in(said.get(field), (*group.path, field)):
                use = next((one for one in uses_of_template(text) if one.name == site.alias and not one.about), None)
                if use is not None:
                    yield context.finding(
                        CODE, SEVERITY, f"`{site.alias}` means another item inside `{site.id}`",
                        context.part(path, use.start, use.end), label=f"an item of `{group.id}`",
                        labels=(context.label((*site.path, "foreach"), f"`{site.id}` has items of the same name"),),
                        help=f"name the items of one of them with `as`, for example `as: {group.id}_item`",
                    )  # fmt: skip
        group = group.scope.owner
