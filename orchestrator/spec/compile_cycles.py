"""Tasks that wait for each other: ordered by counters, which is fast; only a cycle is worth importing networkx for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.spec.diagnostics import Diagnostic, Label, Span

if TYPE_CHECKING:
    from orchestrator.spec.compile_graph import Analysis, ScopeSite, Site
    from orchestrator.spec.loader import Document

LABELS_MAX = 6
"""Edges of a long cycle that are shown; the message names all of it up to this many tasks."""


class Ordered(NamedTuple):
    done: list[Site]
    """Sites in an order in which everything comes after what it needs."""
    left: list[Site]
    """Sites on cycles, and what waits for them."""


def ordered(scope: ScopeSite) -> Ordered:
    sites = list(scope.sites.values())
    waiting = [0] * len(sites)
    followers: list[list[int]] = [[] for _ in sites]
    for site in sites:
        for other in site.needs:
            if other.scope is scope:
                waiting[site.index] += 1
                followers[other.index].append(site.index)
    done = [site for site in sites if not waiting[site.index]]
    for site in done:  # it grows while it is read
        for follower in followers[site.index]:
            waiting[follower] -= 1
            if not waiting[follower]:
                done.append(sites[follower])
    return Ordered(done, [site for site in sites if waiting[site.index]])


def cycles(analysis: Analysis, document: Document) -> Iterator[Diagnostic]:
    """One finding for each group of tasks that wait for each other, with a shortest way round."""
    for scope in analysis.scopes:
        left = ordered(scope).left
        if left:
            for circle in _circles(left):
                yield _explain(circle, document)


def _circles(left: list[Site]) -> Iterator[list[Site]]:
    import networkx as nx

    graph: nx.DiGraph[int] = nx.DiGraph()
    inside = {site.index: site for site in left}
    for site in left:
        for other in site.needs:
            if other.index in inside and other.scope is site.scope:
                graph.add_edge(site.index, other.index)
    for component in sorted(nx.strongly_connected_components(graph), key=min):
        if len(component) > 1:
            first = min(component)
            part = graph.subgraph(component)
            back = min(
                (nx.shortest_path(part, follower, first) for follower in part.successors(first)),
                key=lambda path: len(path),
            )
            yield [inside[index] for index in (first, *back)]


def _explain(circle: list[Site], document: Document) -> Diagnostic:
    """`circle` begins and ends with the same task; each waits for the next."""
    names = [f"`{site.id}`" for site in circle]
    shown = names if len(names) <= LABELS_MAX else [*names[:LABELS_MAX], "…", names[-1]]
    ends = [
        (_span(site, other, document), f"`{site.id}` waits for `{other.id}` here")
        for site, other in itertools.pairwise(circle)
    ]
    return Diagnostic(
        code="WF302",
        severity="error",
        message=f"these tasks wait for each other: {' → '.join(shown)}",
        file=document.file,
        span=ends[0][0],
        label=ends[0][1],
        labels=tuple(Label(span, text) for span, text in ends[1:LABELS_MAX]),
        help="use `previous` in a `loop` for what comes from the round before"
        if len(circle) > 2
        else "take one of the two references away",
    )


def _span(site: Site, other: Site, document: Document) -> Span:
    reason = site.reasons[other]
    if reason.length:
        return document.position_in(reason.path, reason.start, reason.length)
    return document.value_span(reason.path) if reason.path != site.path else document.key_span(site.path)
