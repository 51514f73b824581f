"""WF306: two tasks go on with one conversation, and nothing says which is first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.spec.compile_graph import Site
from orchestrator.spec.diagnostics import Diagnostic, Label
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._graph import in_common_scope, leads_to
from orchestrator.spec.rules._page import page

CODE = "WF306"
NAME = "unordered-session"
SUMMARY = "Two tasks of one conversation may run at the same time."
SEVERITY: Final = "error"
EXPLANATION = page(
    """Tasks with the same `session` go on with one conversation. A conversation has one order, so the tasks need one too:
    by a reference, or by `after`. The items of a `foreach` run side by side: put something of the item into the name, or set
    `max_parallel: 1`.""",
    bad="""
    agents: {w: {model: openai/gpt-5-mini}}
    tasks:
      a: {agent: w, session: talk, prompt: Name a colour}
      b: {agent: w, session: talk, prompt: Name another}
    """,
    good="""
    agents: {w: {model: openai/gpt-5-mini}}
    tasks:
      a: {agent: w, session: talk, prompt: Name a colour}
      b: {agent: w, session: talk, after: a, prompt: Name another}
    """,
)

PAIRS_MAX: Final = 30


def check(context: RuleContext) -> Iterator[Diagnostic]:
    by_session: dict[str, list[Site]] = {}
    for site in context.sites:
        session = site.task.get("session")
        if site.verb.name == "agent" and isinstance(session, str):
            by_session.setdefault(session, []).append(site)
            yield from _items(context, site)
    for session, sites in by_session.items():
        yield from _pairs(context, session, sites)


def _pairs(context: RuleContext, session: str, sites: list[Site]) -> Iterator[Diagnostic]:
    for position, later in enumerate(sites):
        # All pairs of a few; of very many only neighbours in the file, so that a long conversation costs no minutes.
        for earlier in sites[:position] if len(sites) <= PAIRS_MAX else sites[position - 1 : position]:
            if in_common_scope(earlier, later) is None or leads_to(earlier, later) or leads_to(later, earlier):
                continue
            yield context.finding(
                CODE, SEVERITY, f"`{earlier.id}` and `{later.id}` share the session `{session}`, and neither waits for the other",
                context.value((*later.path, "session")), label="the same conversation",
                labels=(Label(context.value((*earlier.path, "session")), "and here"),), help=f"add `after: {earlier.id}`",
            )  # fmt: skip
            break


def _items(context: RuleContext, site: Site) -> Iterator[Diagnostic]:
    """A `foreach` whose items all use one session at the same time."""
    names = {
        reference.root for text in context.texts_of(site) if text.field == "session" for reference in text.references
    }
    at: Site | None = site
    while at is not None:
        if at.alias is not None and at.task.get("max_parallel", 8) != 1 and not names & {at.alias, "index"}:
            yield context.finding(
                CODE, SEVERITY, f"all items of `{at.id}` share the session of `{site.id}`",
                context.value((*site.path, "session")), labels=(Label(context.key((*at.path, "foreach")), "items run side by side"),),
                help=f"put `${{{{ index }}}}` or something of `{at.alias}` into the name, or set `max_parallel: 1`",
            )  # fmt: skip
        at = at.scope.owner
