"""A tree made ready to run: each node becomes a function of the context, so that evaluation is plain calls.

Every operation that can refuse is wrapped with its place. `default` and `is defined` also see a value as missing that could
not be computed because a part of it is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from orchestrator.core.expressions import operators
from orchestrator.core.expressions.faults import ExpressionError, Fault, MissingValueError
from orchestrator.core.expressions.functions import FILTERS, FUNCTIONS, product
from orchestrator.core.expressions.nodes import (
    Attr,
    Call,
    Chain,
    Compare,
    Cond,
    Const,
    Filter,
    Item,
    ListOf,
    Logic,
    MapOf,
    Name,
    Node,
    Slice,
    Test,
    Unary,
)
from orchestrator.core.expressions.values import JSON, MISSING, PLAIN, Context, item, kind, settled

Run = Callable[[Context], JSON]

_NO_LOCALS: Final[frozenset[str]] = frozenset()


class Compiler:
    """Compiles the expressions of one text; `bound` are the names of the loops around."""

    def __init__(self, text: str, bound: frozenset[str] = _NO_LOCALS) -> None:
        self.text = text
        self.bound = bound

    def compile(self, node: Node) -> Run:
        """A function that gives a plain value or MISSING."""
        match node:
            case Const(value=value):
                return lambda c: value
            case Name() | Attr() | Item():
                return _settling(self._path(node))
            case Filter():
                return self._filter(node)
            case Compare():
                return self._compare(node)
            case Logic(op=op, operands=operands):
                runs = [self.compile(operand) for operand in operands]
                return _all(runs) if op == "and" else _any(runs)
            case Chain():
                return self._chain(node)
            case Unary():
                return self._unary(node)
            case Cond():
                return self._cond(node)
            case Test():
                return self._test(node)
            case ListOf():
                return self._list(node)
            case MapOf():
                return self._map(node)
            case Slice():
                return self._slice(node)
            case Call():
                return self._call(node)
            case _:
                raise AssertionError(f"{type(node).__name__} is not an expression")

    def missing(self, node: Node) -> MissingValueError:
        source = self.text[node.start : node.end]
        shown = source if len(source) <= 60 else f"{source[:57]}…"
        return MissingValueError(
            f"`{shown}` is missing", node.start, node.end, "give another value with `| default(…)`"
        )

    def needed(self, node: Node) -> Run:
        """As `compile`, but a missing value is an error here."""
        run = self.compile(node)
        if isinstance(node, Const):
            return run

        def give(c: Context) -> JSON:
            value = run(c)
            if value is MISSING:
                raise self.missing(node)
            return value

        return give

    def _path(self, node: Node) -> Run:
        """The value at the end of a path; a lazy map of the caller's may come back as it is."""
        keys: list[str | int] = []
        while isinstance(node, Attr):
            keys.append(node.name)
            node = node.target
        keys.reverse()
        if isinstance(node, Name) and node.name not in self.bound:
            return _global_path(node.name, tuple(keys))
        if isinstance(node, Name):
            return _local_path(node.name, tuple(keys))
        if isinstance(node, Item):
            target, key = self._path(node.target), self.compile(node.key)
            start: Run = lambda c: item(target(c), key(c))  # noqa: E731
        else:
            start = self.compile(node)
        return _followed(start, tuple(keys)) if keys else start

    def _filter(self, node: Filter) -> Run:
        if node.name == "default":
            return self._default(node)
        signature = FILTERS[node.name]
        target, apply, start, end = self.needed(node.target), signature.run, node.name_start, node.end
        args = self._args(node.args, signature.params)
        if not args:

            def run_alone(c: Context) -> JSON:
                value = target(c)
                try:
                    return apply(c, value)
                except Fault as fault:
                    raise fault.at(start, end) from None

            return run_alone

        def run(c: Context) -> JSON:
            value = target(c)
            given = [arg(c) for arg in args]
            try:
                return apply(c, value, *given)
            except Fault as fault:
                raise fault.at(start, end) from None

        return run

    def _args(self, args: tuple[Node | None, ...], params: tuple[tuple[str, JSON], ...]) -> list[Run]:
        return [
            (lambda c, default=default: default) if arg is None else self.needed(arg)  # type: ignore[misc]
            for arg, (_, default) in zip(args, params, strict=True)
        ]

    def _default(self, node: Filter) -> Run:
        target = self.compile(node.target)
        assert node.args[0] is not None
        other = self.compile(node.args[0])
        if isinstance(node.target, Name | Attr):

            def run_path(c: Context) -> JSON:
                value = target(c)
                return other(c) if value is MISSING or value is None else value

            return run_path

        def run(c: Context) -> JSON:
            try:
                value = target(c)
            except MissingValueError:
                value = MISSING
            return other(c) if value is MISSING or value is None else value

        return run

    def _test(self, node: Test) -> Run:
        target, negated = self.compile(node.target), node.negated
        if node.name == "none":
            return lambda c: (target(c) is None) is not negated

        def run(c: Context) -> bool:
            try:
                return (target(c) is not MISSING) is not negated
            except MissingValueError:
                return negated

        return run

    def _compare(self, node: Compare) -> Run:
        first = self.compile(node.first)
        start, end = node.start, node.end
        if len(node.rest) == 1:
            op, right = node.rest[0]
            other, compare = self.compile(right), operators.COMPARISONS[op]

            def run_one(c: Context) -> bool:
                try:
                    return compare(c, first(c), other(c))  # type: ignore[no-any-return]
                except Fault as fault:
                    raise fault.at(start, end) from None

            return run_one
        rest = [(operators.COMPARISONS[op], self.compile(right)) for op, right in node.rest]

        def run(c: Context) -> bool:
            left = first(c)
            try:
                for compare, other in rest:
                    right = other(c)
                    if not compare(c, left, right):
                        return False
                    left = right
            except Fault as fault:
                raise fault.at(start, end) from None
            return True

        return run

    def _chain(self, node: Chain) -> Run:
        first, start = self.needed(node.first), node.start
        rest = [(operators.ARITHMETIC[op], self.needed(right), right.end) for op, right in node.rest]

        def run(c: Context) -> JSON:
            value = first(c)
            for compute, other, end in rest:
                try:
                    value = compute(c, value, other(c))
                except Fault as fault:
                    raise fault.at(start, end) from None
            return value

        return run

    def _unary(self, node: Unary) -> Run:
        operand = self.compile(node.operand)
        if node.op == "not":
            return lambda c: not operand(c)
        operand = self.needed(node.operand)
        compute = operators.negate if node.op == "-" else operators.plus

        def run(c: Context) -> JSON:
            try:
                return compute(operand(c))
            except Fault as fault:
                raise fault.at(node.start, node.end) from None

        return run

    def _cond(self, node: Cond) -> Run:
        then, test = self.compile(node.then), self.compile(node.test)
        if node.other is None:
            return lambda c: then(c) if test(c) else MISSING
        other = self.compile(node.other)
        return lambda c: then(c) if test(c) else other(c)

    def _list(self, node: ListOf) -> Run:
        items = [self.needed(part) for part in node.items]
        return lambda c: [part(c) for part in items]

    def _map(self, node: MapOf) -> Run:
        pairs = [(self._key(key), self.needed(value)) for key, value in node.pairs]
        return lambda c: {key(c): value(c) for key, value in pairs}

    def _key(self, node: Node) -> Run:
        run = self.needed(node)

        def give(c: Context) -> str:
            key = run(c)
            if type(key) is not str:
                raise ExpressionError(f"a map's keys are text, not {kind(key)}", node.start, node.end)
            return key

        return give

    def _slice(self, node: Slice) -> Run:
        target = self.compile(node.target)
        bounds = [(lambda c: None) if part is None else self.needed(part) for part in (node.low, node.high, node.step)]

        def run(c: Context) -> JSON:
            value = target(c)
            low, high, step = [bound(c) for bound in bounds]
            for bound in (low, high, step):
                if bound is not None and type(bound) is not int:
                    raise ExpressionError(f"a slice takes whole numbers, not {kind(bound)}", node.start, node.end)
            if step == 0:
                raise ExpressionError("the step of a slice is 0", node.start, node.end)
            if type(value) is not list and type(value) is not str:
                return MISSING
            c.work(len(value) >> 3)
            return value[low:high:step]

        return _placed(run, node)

    def _call(self, node: Call) -> Run:
        if node.name == "product":
            lists = [(name, self.needed(value)) for name, value in node.named]
            return _placed(lambda c: product(c, {name: value(c) for name, value in lists}), node)
        signature = FUNCTIONS[node.name]
        args, apply = self._args(node.args, signature.params), signature.run
        return _placed(lambda c: apply(c, *[arg(c) for arg in args]), node)


def _placed(run: Run, node: Node) -> Run:
    def give(c: Context) -> JSON:
        try:
            return run(c)
        except Fault as fault:
            raise fault.at(node.start, node.end) from None

    return give


def _all(runs: list[Run]) -> Run:
    def run(c: Context) -> JSON:
        value: JSON = True
        for part in runs:
            value = part(c)
            if not value:
                return value
        return value

    return run


def _any(runs: list[Run]) -> Run:
    def run(c: Context) -> JSON:
        value: JSON = False
        for part in runs:
            value = part(c)
            if value:
                return value
        return value

    return run


ITEM_FACTS: Final = ("ok", "failed")
"""What a foreach's list is asked for besides its items: `build.ok`. A resolver may answer the name `build.ok` itself."""


def _global_path(name: str, keys: tuple[str | int, ...]) -> Run:
    if not keys:
        return lambda c: c.get(name, MISSING)
    if keys[0] in ITEM_FACTS:
        return _item_facts(f"{name}.{keys[0]}", _plain_path(name, keys), keys[1:])
    return _plain_path(name, keys)


def _item_facts(dotted: str, otherwise: Run, keys: tuple[str | int, ...]) -> Run:
    def run(c: Context) -> JSON:
        value = c.get(dotted, MISSING)
        if value is MISSING:
            return otherwise(c)
        for key in keys:
            value = item(value, key)
        return value

    return run


def _plain_path(name: str, keys: tuple[str | int, ...]) -> Run:
    if len(keys) == 1 and type(keys[0]) is str:
        key = keys[0]

        def run_one(c: Context) -> JSON:
            value = c.get(name, MISSING)
            return value.get(key, MISSING) if type(value) is dict else item(value, key)

        return run_one

    def run(c: Context) -> JSON:
        value = c.get(name, MISSING)
        for key in keys:
            value = value.get(key, MISSING) if type(value) is dict else item(value, key)
        return value

    return run


def _local_path(name: str, keys: tuple[str | int, ...]) -> Run:
    def run(c: Context) -> JSON:
        value = c.locals[name]
        for key in keys:
            value = item(value, key)
        return value

    return run


def _followed(start: Run, keys: tuple[str | int, ...]) -> Run:
    def run(c: Context) -> JSON:
        value = start(c)
        for key in keys:
            value = item(value, key)
        return value

    return run


def _settling(run: Run) -> Run:
    def give(c: Context) -> JSON:
        value = run(c)
        if type(value) in PLAIN or not isinstance(value, Mapping):
            return value
        return settled(value)

    return give
