"""The tree of an expression and of a template: small frozen values with exact offsets, end exclusive."""

from __future__ import annotations

import msgspec

from orchestrator.core.expressions.values import JSON


class Node(msgspec.Struct, frozen=True, array_like=True):
    """Any expression; `start` and `end` are offsets in the text it was read from."""

    start: int
    end: int


class Const(Node, frozen=True):
    """A number, text, boolean or null."""

    value: JSON


class Name(Node, frozen=True):
    name: str


class Attr(Node, frozen=True):
    """`target.name`: item access only."""

    target: Node
    name: str | int


class Item(Node, frozen=True):
    """`target[key]`."""

    target: Node
    key: Node


class Slice(Node, frozen=True):
    """`target[low:high:step]`."""

    target: Node
    low: Node | None
    high: Node | None
    step: Node | None


class ListOf(Node, frozen=True):
    items: tuple[Node, ...]


class MapOf(Node, frozen=True):
    pairs: tuple[tuple[Node, Node], ...]


class Unary(Node, frozen=True):
    """`-x`, `+x`, `not x`."""

    op: str
    operand: Node


class Chain(Node, frozen=True):
    """Operators of one precedence, from left to right: `first op x op y …`."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


class Compare(Node, frozen=True):
    """`a < b <= c` means `a < b and b <= c`, with `b` evaluated once."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


class Logic(Node, frozen=True):
    """`and` or `or` over two operands or more; the value is that of the operand which decided."""

    op: str
    operands: tuple[Node, ...]


class Cond(Node, frozen=True):
    """`then if test else other`; without `else` the value may be missing."""

    then: Node
    test: Node
    other: Node | None


class Filter(Node, frozen=True):
    """`target | name(args)`; `args` stand in the order of the filter's parameters, None where not given."""

    target: Node
    name: str
    args: tuple[Node | None, ...]
    name_start: int


class Test(Node, frozen=True):
    """`target is [not] defined|none`."""

    target: Node
    name: str
    negated: bool


class Call(Node, frozen=True):
    """`range(…)`, `now(…)` (arguments in the order of the parameters) or `product(name=…)` (named only)."""

    name: str
    args: tuple[Node | None, ...]
    named: tuple[tuple[str, Node], ...]


class Text(Node, frozen=True):
    """Template text, `$${{` already undone."""

    text: str


class Output(Node, frozen=True):
    """`${{ expression }}`."""

    expression: Node


class Branch(Node, frozen=True):
    """One `{% if %}` or `{% elif %}` with what follows it."""

    test: Node
    body: tuple[Node, ...]


class If(Node, frozen=True):
    branches: tuple[Branch, ...]
    otherwise: tuple[Node, ...]


class For(Node, frozen=True):
    """`{% for names in source if condition %} body {% else %} otherwise {% endfor %}`."""

    names: tuple[str, ...]
    source: Node
    condition: Node | None
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


def children(node: Node) -> list[Node]:
    """A node's direct parts, in the order of the text."""
    match node:
        case Attr(target=target):
            return [target]
        case Item(target=target, key=key):
            return [target, key]
        case Slice(target=target, low=low, high=high, step=step):
            return [target, *(part for part in (low, high, step) if part is not None)]
        case ListOf(items=items):
            return list(items)
        case MapOf(pairs=pairs):
            return [part for pair in pairs for part in pair]
        case Unary(operand=operand):
            return [operand]
        case Chain(first=first, rest=rest) | Compare(first=first, rest=rest):
            return [first, *(part for _, part in rest)]
        case Logic(operands=operands):
            return list(operands)
        case Cond(then=then, test=test, other=other):
            return [then, test] if other is None else [then, test, other]
        case Filter(target=target, args=args):
            return [target, *(arg for arg in args if arg is not None)]
        case Test(target=target):
            return [target]
        case Call(args=args, named=named):
            return [*(arg for arg in args if arg is not None), *(arg for _, arg in named)]
        case Output(expression=expression):
            return [expression]
        case Branch(test=test, body=body):
            return [test, *body]
        case If(branches=branches, otherwise=otherwise):
            return [*branches, *otherwise]
        case For(source=source, condition=condition, body=body, otherwise=otherwise):
            return [source, *([] if condition is None else [condition]), *body, *otherwise]
        case _:
            return []
