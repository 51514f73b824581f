"""A plan as people think of it: tasks inside tasks, with what each waits for. Every picture is made from this."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.plan import SOFT, Node, Plan, command_of

FOLD_MIN = 13
"""So many tasks that do the same between the same neighbours are drawn as one."""
REDUCE_MAX = 3000
"""Scopes with more tasks are drawn with all their edges."""


@dataclass(slots=True, eq=False)
class Item:
    """A task as it is drawn: `foreach`, `loop` and the verb are one."""

    id: str
    path: str
    """Ids from the top, with dots: `build.rounds.code`."""
    verb: str
    """The verb as the file says it; `tasks` for a group."""
    label: str
    """What it does, short: `agent writer`, `for each job of plan.jobs`."""
    needs: dict[Item, int] = field(default_factory=dict)
    """Items of the same scope it waits for → SOFT, ORDER or VALUE."""
    inner: list[Item] = field(default_factory=list)
    status: str = ""
    count: int = 1
    """More than 1: it stands for so many tasks."""
    node: Node | None = None


@dataclass(slots=True)
class Picture:
    plan: Plan
    tasks: list[Item]
    on_failure: list[Item]
    on_finally: list[Item]


def picture(plan: Plan, status: Mapping[str, str] | None = None, *, fold: bool = True, reduce: bool = True) -> Picture:
    """Everything a drawing needs. `status`: path (or id) of a task → its word. `fold` draws wide fan-outs as one task, `reduce`
    leaves out edges that follow from others."""
    words = _by_path(status or {})

    def items(scope: int | None) -> list[Item]:
        return [] if scope is None else _scope(plan, scope, "", words, fold, reduce)

    return Picture(plan, items(0), items(plan.on_failure), items(plan.on_finally))


_GRAVEST = (
    "failed", "unknown", "running", "sleeping", "blocked", "warned", "ready", "waiting", "cancelled", "succeeded", "skipped",
)  # fmt: skip
_INSTANCE = re.compile(r"\[[^\]]*\]|#\d+")


def _by_path(status: Mapping[str, str]) -> dict[str, str]:
    """Words of instances (`build[a].rounds#2.code`) gathered for the task they are instances of: the gravest one."""
    made = {name: word for name, word in status.items() if "[" not in name and "#" not in name}
    gathered: dict[str, str] = {}
    for name, word in status.items():
        path = _INSTANCE.sub("", name)
        if path not in made:
            before = gathered.get(path)
            gathered[path] = word if before is None else min(before, word, key=_rank)
    return gathered | made


def _rank(word: str) -> int:
    return _GRAVEST.index(word) if word in _GRAVEST else len(_GRAVEST)


def _scope(plan: Plan, number: int, above: str, words: Mapping[str, str], fold: bool, reduce: bool) -> list[Item]:
    nodes = plan.scopes[number].nodes
    items = [_item(plan, node, above, words, fold, reduce) for node in nodes]
    for item, node in zip(items, nodes, strict=True):
        for need in node.needs:
            if not need.up:
                before = item.needs.get(items[need.index], SOFT)
                item.needs[items[need.index]] = max(before, need.kind)
    if reduce and 2 < len(items) <= REDUCE_MAX:
        _reduce(items)
    return _folded(items) if fold and len(items) >= FOLD_MIN else items


def _item(plan: Plan, node: Node, above: str, words: Mapping[str, str], fold: bool, reduce: bool) -> Item:
    path = f"{above}{node.id}"
    parts: list[str] = []
    at = node
    while at.each is not None or at.loop is not None:
        parts.append(_each_words(at) if at.each is not None else _loop_words(at))
        assert at.scope is not None
        at = plan.scopes[at.scope].nodes[0]
    verb = "tasks" if at.verb == "group" else at.verb
    what = _verb_words(at)
    if what:
        parts.append(what)
    inner = (
        _scope(plan, at.scope, f"{path}.", words, fold, reduce) if at.verb == "group" and at.scope is not None else []
    )
    status = words.get(path) or words.get(node.id) or ""
    return Item(node.id, path, verb, ", ".join(parts), inner=inner, status=status, node=node)


def _each_words(node: Node) -> str:
    each = node.each
    assert each is not None
    if isinstance(each.source, str):
        return f"for each {each.alias} of {_short(each.source)}"
    return f"for each of {len(each.source)}"


def _loop_words(node: Node) -> str:
    loop = node.loop
    assert loop is not None
    words = []
    if loop.until is not None:
        words.append(f"until {_short(loop.until)}")
    if loop.times is not None:
        words.append(f"{loop.times} times")
    elif loop.max is not None:
        words.append(f"at most {loop.max} times")
    elif loop.within is not None:
        words.append(f"for {loop.within:g} s")
    return "repeat " + ", ".join(words)


def _verb_words(node: Node) -> str:
    fields: dict[str, Any] = node.fields
    match node.verb:
        case "group":
            return ""
        case "agent":
            return f"agent {_short(fields['agent'])}"
        case "http":
            return f"http {fields['method']} {_short(str(fields['url']))}"
        case "workflow":
            return f"workflow {fields['path']}"
        case "python":
            return f"python {fields['call']}"
        case "end":
            return f"end {fields['status']}"
        case "run":
            return f"run {_short(command_of(fields))}"
        case "wait" if isinstance(fields.get("for"), int | float):
            return f"wait {fields['for']:g} s"
    return node.verb


def _short(text: str, most: int = 40) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _reduce(items: list[Item]) -> None:
    """Leave out an edge where another way leads to the same task: the picture says the same with fewer lines."""
    import networkx as nx

    graph: nx.DiGraph[int] = nx.DiGraph()
    index = {item: number for number, item in enumerate(items)}
    graph.add_nodes_from(range(len(items)))
    graph.add_edges_from((index[other], index[item]) for item in items for other in item.needs)
    kept = nx.transitive_reduction(graph)
    for number, item in enumerate(items):
        item.needs = {other: kind for other, kind in item.needs.items() if kept.has_edge(index[other], number)}


def _folded(items: list[Item]) -> list[Item]:
    """Many tasks with the same verb between the same neighbours become one that stands for them."""
    followers: dict[Item, list[Item]] = {item: [] for item in items}
    for item in items:
        for other in item.needs:
            followers[other].append(item)
    alike: dict[Any, list[Item]] = {}
    for item in items:
        between = (frozenset(map(id, item.needs)), frozenset(map(id, followers[item])))
        alike.setdefault((*between, item.verb, item.status, bool(item.inner)), []).append(item)
    instead: dict[Item, Item] = {}
    for group in alike.values():
        if len(group) >= FOLD_MIN:
            first, last = group[0], group[-1]
            one = Item(
                f"{first.id} … {last.id}", first.path, first.verb, f"{len(group)} × {first.verb}", status=first.status
            )
            one.needs, one.count = first.needs, len(group)
            instead.update(dict.fromkeys(group, one))
    if not instead:
        return items
    made = list(dict.fromkeys(instead.get(item, item) for item in items))
    for item in made:
        item.needs = {instead.get(other, other): kind for other, kind in item.needs.items()}
    return made


def in_order(items: list[Item]) -> list[Item]:
    """Everything after what it needs; otherwise as the file has it."""
    position = {item: number for number, item in enumerate(items)}
    waiting = {item: len(item.needs) for item in items}
    followers: dict[Item, list[Item]] = {item: [] for item in items}
    for item in items:
        for other in item.needs:
            followers[other].append(item)
    import heapq

    ready = [position[item] for item in items if not waiting[item]]
    heapq.heapify(ready)
    made = []
    while ready:
        item = items[heapq.heappop(ready)]
        made.append(item)
        for follower in followers[item]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(ready, position[follower])
    return made
