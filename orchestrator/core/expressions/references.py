"""Which names an expression uses: every one, whether or not it would be reached, with its path and place."""

from __future__ import annotations

import msgspec

from orchestrator.core.expressions.nodes import Attr, Branch, Const, Filter, For, If, Item, Name, Node, Test, children

_SETTLED_FACTS = frozenset({"status", "reason", "error"})


class Reference(msgspec.Struct, frozen=True):
    """A name with as much of its path as is written out: `fetch.items[0].id` → root `fetch`, path ("items", 0, "id").

    Joined with dots, root and path are an expression again.
    """

    root: str
    path: tuple[str | int, ...]
    start: int
    end: int
    """Offsets of root and path in the text, end exclusive."""
    soft: bool
    """Under `default` or `is defined`, or `tasks.X.status|reason|error`: the value may be missing."""
    open: bool = False
    """A computed key follows, so any part below `path` may be used."""


def collect(nodes: tuple[Node, ...]) -> tuple[Reference, ...]:
    """In the order of the text; names of `{% for %}` are not references inside it."""
    found: list[Reference] = []
    for node in nodes:
        _walk(node, False, frozenset(), found)
    return tuple(found)


def static_path(node: Node) -> tuple[str, tuple[str | int, ...], Node | None] | None:
    """Root name, keys, and the computed key where the written path ends; None if it does not start at a name."""
    links: list[Attr | Item] = []
    while isinstance(node, Attr | Item):
        links.append(node)
        node = node.target
    if not isinstance(node, Name):
        return None
    keys: list[str | int] = []
    for link in reversed(links):
        if isinstance(link, Attr):
            keys.append(link.name)
        elif isinstance(link.key, Const) and _plain_key(link.key.value):
            keys.append(link.key.value)
        else:
            return node.name, tuple(keys), link
    return node.name, tuple(keys), None


def _plain_key(key: object) -> bool:
    """Whether `.key` says the same as `[key]`."""
    return key.isidentifier() if isinstance(key, str) else type(key) is int and key >= 0


def _walk(node: Node, soft: bool, bound: frozenset[str], found: list[Reference]) -> None:
    match node:
        case Name() | Attr() | Item():
            _path(node, soft, bound, found)
        case Filter(name="default"):
            for part in children(node):
                _walk(part, True, bound, found)
        case Test(name="defined", target=target):
            _walk(target, True, bound, found)
        case For():
            _loop(node, soft, bound, found)
        case If(branches=branches, otherwise=otherwise):
            for part in (*branches, *otherwise):
                _walk(part, soft, bound, found)
        case Branch(test=test, body=body):
            for part in (test, *body):
                _walk(part, soft, bound, found)
        case _:
            for part in children(node):
                _walk(part, soft, bound, found)


def _loop(node: For, soft: bool, bound: frozenset[str], found: list[Reference]) -> None:
    _walk(node.source, soft, bound, found)
    inside = bound | {*node.names, "loop"}
    if node.condition is not None:
        _walk(node.condition, soft, bound | {*node.names}, found)
    for part in node.body:
        _walk(part, soft, inside, found)
    for part in node.otherwise:
        _walk(part, soft, bound, found)


def _path(node: Node, soft: bool, bound: frozenset[str], found: list[Reference]) -> None:
    static = static_path(node)
    if static is None:
        for part in children(node):
            _walk(part, soft, bound, found)
        return
    name, keys, stopped = static
    if name not in bound:
        fact = name == "tasks" and len(keys) >= 2 and keys[1] in _SETTLED_FACTS
        end = _written_end(node, len(keys))
        found.append(Reference(name, keys, node.start, end, soft or fact, stopped is not None))
    while isinstance(node, Attr | Item):
        if isinstance(node, Item):
            _walk(node.key, soft, bound, found)
        node = node.target


def _written_end(node: Node, keys: int) -> int:
    """The end of the part of a path that has `keys` keys."""
    ends: list[int] = []
    while isinstance(node, Attr | Item):
        ends.append(node.end)
        node = node.target
    return [node.end, *reversed(ends)][keys]
