"""Who depends on whom, as the file says it: tasks, the scopes they stand in, and the edges between them.

A *site* is a task of the file; a *scope* is the map of tasks it stands in. An edge leads from a site to another site of the same
scope or of an enclosing one. A mention from an inner scope makes the enclosing task of the mentioned one's scope wait as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.core.plan import ORDER, SOFT, VALUE
from orchestrator.spec.compile_references import Path, Use, uses_in_task
from orchestrator.spec.merge import merged
from orchestrator.spec.verbs import verb_of

if TYPE_CHECKING:
    from orchestrator.spec.load import Workflow
    from orchestrator.spec.verbs._verb import Verb


_INHERITED = ("env", "cwd")


@dataclass(slots=True, eq=False)
class Reason:
    """Why there is an edge: where the file mentions the other task."""

    path: Path
    """From the top of the file to the text."""
    start: int
    length: int
    """Where in the text; length 0: the whole value."""


@dataclass(slots=True, eq=False)
class Site:
    """A task of the file."""

    id: str
    path: Path
    """From the top of the file."""
    task: dict[str, Any]
    """Its fields, with those of enclosing groups and defaults merged in."""
    near: dict[str, Any]
    """The same without the defaults."""
    verb: Verb
    scope: ScopeSite
    index: int
    needs: dict[Site, int] = field(default_factory=dict)
    """Sites of the same or an enclosing scope → SOFT, ORDER or VALUE, the strongest that was found."""
    reasons: dict[Site, Reason] = field(default_factory=dict)
    """For each need the first place that made it."""
    inner: ScopeSite | None = None
    """The scope of a group."""

    @property
    def wrappers(self) -> int:
        """How many plan scopes `foreach` and `loop` put around the verb."""
        return ("foreach" in self.task) + ("loop" in self.task)

    @property
    def alias(self) -> str | None:
        """What an item is called; None without `foreach`."""
        return self.task.get("as", "item") if "foreach" in self.task else None

    def need(self, other: Site, kind: int, reason: Reason) -> None:
        before = self.needs.get(other)
        if before is None:
            self.needs[other] = kind
            self.reasons[other] = reason
        elif kind > before:
            self.needs[other] = kind


@dataclass(slots=True, eq=False)
class ScopeSite:
    """One map of tasks: `tasks`, `finally`, `on_failure`, or the inside of a group."""

    path: Path
    parent: ScopeSite | None
    owner: Site | None
    depth: int
    """How many scopes of the *plan* enclose it."""
    sites: dict[str, Site] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Analysis:
    scopes: list[ScopeSite] = field(default_factory=list)
    """Enclosing scopes before the ones inside them."""
    main: ScopeSite | None = None
    on_failure: ScopeSite | None = None
    on_finally: ScopeSite | None = None

    def sites(self) -> Iterator[Site]:
        for scope in self.scopes:
            yield from scope.sites.values()


def analyse(workflow: Workflow) -> Analysis:
    """Find every task and every edge. The file's shape must be right; names that mean nothing make no edge."""
    analysis = Analysis()
    data = workflow.data
    defaults = {kind: fields for kind, fields in workflow.defaults.items() if kind != "agents"}
    analysis.main = _scope(analysis, data.get("tasks") or {}, ("tasks",), None, None, 0, defaults)
    warn = {"tasks": merged({"on_error": "warn"}, defaults.get("tasks", {}))}
    for name in ("on_failure", "finally"):
        if data.get(name):
            scope = _scope(analysis, data[name], (name,), analysis.main, None, 1, {**defaults, **warn})
            if name == "finally":
                analysis.on_finally = scope
            else:
                analysis.on_failure = scope
    for scope in analysis.scopes:
        _connect(scope, _listed(scope, data))
    return analysis


def _scope(
    analysis: Analysis,
    tasks: dict[str, Any],
    path: Path,
    parent: ScopeSite | None,
    owner: Site | None,
    depth: int,
    defaults: dict[str, dict[str, Any]],
) -> ScopeSite:
    scope = ScopeSite(path, parent, owner, depth)
    analysis.scopes.append(scope)
    # What a group says about `env` and `cwd` holds for the tasks in it, nearer than the file's defaults.
    inherited: dict[str, Any] = {}
    if owner is not None:
        inherited = {name: owner.near[name] for name in _INHERITED if name in owner.near}
    for index, (name, said) in enumerate(tasks.items()):
        verb = verb_of(said)
        near = merged(inherited, said) if inherited else said
        task = with_defaults(near, verb, defaults) if defaults else near
        site = scope.sites[name] = Site(name, (*path, name), task, near, verb, scope, index)
        if verb.name == "tasks":
            site.inner = _scope(
                analysis, said["tasks"], (*site.path, "tasks"), scope, site, depth + 1 + site.wrappers, defaults
            )
    return scope


def with_defaults(said: dict[str, Any], verb: Verb, defaults: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A task with what it does not say itself: first the defaults of its verb, then those of all tasks."""
    far = dict(defaults.get("tasks", ()))
    if verb.name != "tasks":
        far = merged(far, defaults.get(verb.name, {}))
    if "foreach" not in said:
        for name in ("max_parallel", "on_item_error", "total_budget"):
            far.pop(name, None)
    if "cache" not in verb.model.model_fields:
        far.pop("cache", None)
    return merged(far, said)


def _listed(scope: ScopeSite, data: dict[str, Any]) -> bool:
    if scope.owner is not None:
        return bool(scope.owner.task.get("order") == "listed")
    return scope.path == ("tasks",) and data.get("order") == "listed"


def _connect(scope: ScopeSite, listed: bool) -> None:
    before: Site | None = None
    for site in scope.sites.values():
        after = site.task.get("after")
        if after is not None:
            _connect_after(site, after)
        for path, use in uses_in_task(site.task, site.verb.verbatim):
            _connect_use(site, path, use)
        if listed and before is not None:
            site.need(before, ORDER, Reason(site.path, 0, 0))
        before = site


def _connect_after(site: Site, after: str | list[str]) -> None:
    for position, name in enumerate([after] if isinstance(after, str) else after):
        found = find(site, name)
        if found is not None:
            path = (*site.path, "after") if isinstance(after, str) else (*site.path, "after", position)
            edge(site, found, ORDER, Reason(path, 0, 0))


def _connect_use(site: Site, path: Path, use: Use) -> None:
    name = use.name
    if site.inner is not None and name in site.inner.sites:
        return  # `until` and `outputs` of a group look inside
    if not use.about and _is_alias(site, name):
        return
    found = find(site, name)
    if found is not None:
        edge(site, found, use.kind, Reason((*site.path, *path), use.start, use.end - use.start))


def _is_alias(site: Site, name: str) -> bool:
    at: Site | None = site
    while at is not None:
        if at.alias == name:
            return True
        at = at.scope.owner
    return False


def find(site: Site, name: str) -> Site | None:
    """The task that a name means there: in its own scope first, then outwards. None for itself and for what encloses it."""
    scope: ScopeSite | None = site.scope
    while scope is not None:
        found = scope.sites.get(name)
        if found is not None:
            return None if found is site or _encloses(found, site) else found
        scope = scope.parent
    return None


def _encloses(outer: Site, inner: Site) -> bool:
    at = inner.scope.owner
    while at is not None:
        if at is outer:
            return True
        at = at.scope.owner
    return False


def edge(site: Site, target: Site, kind: int, reason: Reason) -> None:
    """Note a need; from an inner scope, the enclosing task in the target's scope waits for it too."""
    site.need(target, kind, reason)
    if target.scope is site.scope:
        return
    at: Site | None = site
    while at is not None and at.scope is not target.scope:
        at = at.scope.owner
    if at is not None:
        at.need(target, SOFT if kind == SOFT else ORDER, reason)


__all__ = ["ORDER", "SOFT", "VALUE", "Analysis", "Reason", "ScopeSite", "Site", "analyse", "find", "with_defaults"]
