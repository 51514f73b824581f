"""From sites to the Plan's scopes: `foreach`, `loop` and groups become nested nodes (see `core/plan.py`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.plan import Need, Node, Scope
from orchestrator.spec import compile_values
from orchestrator.spec.compile_references import uses_of_expression

if TYPE_CHECKING:
    from orchestrator.spec.compile_graph import ScopeSite, Site

_ROUND = frozenset({"previous", "round"})
_digest_bytes = msgspec.msgpack.Encoder(order="sorted").encode

Fields = Callable[["Site"], dict[str, Any]]
"""Makes a task's `fields`."""


class NodeBuilder:
    """Builds all scopes of one plan."""

    def __init__(
        self,
        fields: Fields,
        env: Callable[[Site], dict[str, str]],
        schema: Callable[[Site], dict[str, Any] | None],
        line: Callable[[Site], int],
        behind: Callable[[Site, dict[str, Any]], Any],
    ) -> None:
        self._fields = fields
        self._env = env
        self._schema = schema
        self._line = line
        self._behind = behind
        """What a task's result depends on besides its own fields: the agent's settings, the called plan."""
        self._scopes: list[Scope | None] = []

    @property
    def scopes(self) -> tuple[Scope, ...]:
        return tuple(scope for scope in self._scopes if scope is not None)

    def add(self, site_scope: ScopeSite, parent: int | None) -> int:
        """Build the plan scope of a map of tasks, and all inside it; returns its number."""
        number = self._reserve()
        nodes = tuple(self._outer(site, number) for site in site_scope.sites.values())
        outputs = site_scope.owner.task.get("outputs") if site_scope.owner is not None else None
        self._scopes[number] = Scope(nodes=nodes, outputs=outputs, parent=parent)
        return number

    def _reserve(self) -> int:
        self._scopes.append(None)
        return len(self._scopes) - 1

    def _outer(self, site: Site, scope: int) -> Node:
        wrappers: list[str] = [word for word in ("foreach", "loop") if word in site.task]
        return self._layer(site, wrappers, scope, site.scope.depth, outermost=True)

    def _layer(self, site: Site, wrappers: list[str], scope: int, depth: int, *, outermost: bool) -> Node:
        task = site.task
        said: dict[str, Any] = {
            "id": site.id,
            "needs": _needs(site, depth),
            "inner": not outermost,
            "line": self._line(site),
        }
        if outermost:
            said["on_error"] = task.get("on_error", "fail")
            said["description"] = task.get("description") or ""
        if "when" in task and _when_level(site) == len(wrappers):
            said["when"] = compile_values.expression(task["when"])
        if task.get("budget") is not None and _budget_level(site) == len(wrappers):
            said["budget"] = compile_values.budget(task["budget"])
        if wrappers:
            return self._wrapper(site, wrappers, scope, depth, said)
        return self._verb(site, scope, said)

    def _wrapper(self, site: Site, wrappers: list[str], scope: int, depth: int, said: dict[str, Any]) -> Node:
        number = self._reserve()
        inner = self._layer(site, wrappers[1:], number, depth + 1, outermost=False)
        self._scopes[number] = Scope(nodes=(inner,), parent=scope)
        said |= {"scope": number, "slot": False, "effect": "pure"}
        if wrappers[0] == "foreach":
            said |= {"verb": "each", "each": compile_values.each(site.task)}
            said["total_budget"] = compile_values.budget(site.task.get("total_budget"))
            own: Any = said["each"]
        else:
            said |= {"verb": "loop", "loop": compile_values.loop(site.task["loop"])}
            own = said["loop"]
        return Node(**said, digest=_digest(said["verb"], own, said.get("when"), inner.digest))

    def _verb(self, site: Site, scope: int, said: dict[str, Any]) -> Node:
        task, verb = site.task, site.verb
        fields = self._fields(site)
        said |= {
            "verb": verb.name,
            "fields": fields,
            "slot": verb.slot,
            "output": self._schema(site),
            "timeout": compile_values.seconds(task.get("timeout")),
            "effect": task.get("effect") or verb.effect_of(task),
            "cache": compile_values.cache(task.get("cache")),
        }
        if task.get("retry"):
            said["retry"] = compile_values.retry(task["retry"])
        behind: Any
        if site.inner is not None:
            said["verb"] = "group"
            number = said["scope"] = self.add(site.inner, scope)
            built = self._scopes[number]
            assert built is not None
            behind = [built.outputs, [[node.id, node.digest] for node in built.nodes]]
        else:
            said["env"] = self._env(site)
            said["cwd"] = task.get("cwd", ".")
            behind = [said["env"], said["cwd"], self._behind(site, fields)]
        return Node(
            **said, digest=_digest(said["verb"], fields, said.get("when"), said["output"], said["effect"], behind)
        )


def _needs(site: Site, depth: int) -> tuple[Need, ...]:
    if not site.needs:
        return ()
    found = [(depth - other.scope.depth, other.index, kind) for other, kind in site.needs.items()]
    found.sort()
    return tuple(Need(index, kind, up) for up, index, kind in found)


def _when_level(site: Site) -> int:
    """Where `when` is decided, as the number of wrappers inside that node: once (all of them), per item, per round."""
    wrappers = site.wrappers
    if not wrappers:
        return 0
    when = site.task["when"]
    names = {use.name for use in uses_of_expression(when) if not use.about} if isinstance(when, str) else set()
    if "loop" in site.task and names & _ROUND:
        return 0
    if "foreach" in site.task and (site.alias in names or "index" in names):
        return wrappers - 1
    return wrappers


def _budget_level(site: Site) -> int:
    """A budget is for the task, or for each item of it, with all rounds."""
    return site.wrappers - ("foreach" in site.task)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(_digest_bytes(parts)).hexdigest()[:32]
