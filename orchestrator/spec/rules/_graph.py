"""Questions about the order of tasks."""

from __future__ import annotations

from orchestrator.spec.compile_graph import Site


def neighbours(site: Site) -> list[Site]:
    """The tasks of the same scope that a task waits for."""
    return [other for other in site.needs if other.scope is site.scope]


def leads_to(earlier: Site, later: Site) -> bool:
    """Whether `later` starts only when `earlier` is over, over any number of tasks of their common scope."""
    pair = in_common_scope(earlier, later)
    if pair is None:
        return False
    first, last = pair
    todo, seen = [last], {last}
    while todo:
        for other in neighbours(todo.pop()):
            if other is first:
                return True
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return False


def in_common_scope(a: Site, b: Site) -> tuple[Site, Site] | None:
    """The tasks of one scope that are, or enclose, the two; None if one encloses the other or they share no scope."""
    chain = {id(site.scope): site for site in _upwards(a)}
    for site in _upwards(b):
        other = chain.get(id(site.scope))
        if other is not None:
            return None if other is site else (other, site)
    return None


def _upwards(site: Site) -> list[Site]:
    chain = []
    at: Site | None = site
    while at is not None:
        chain.append(at)
        at = at.scope.owner
    return chain
