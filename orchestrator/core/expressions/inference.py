"""Types before a run: what an expression gives, and what in it is certain to go wrong. What is not known is never reported.

Names have JSON Schemas (`{}` for "anything"); the answer is a JSON Schema too. Problems are ExpressionErrors with places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from orchestrator.core.expressions.faults import (
    ExpressionError,
    Fault,
    UnknownFieldError,
    UnknownNameError,
    WrongTypeError,
)
from orchestrator.core.expressions.filter_shapes import FILTER_SHAPES, check_argument
from orchestrator.core.expressions.functions import FILTERS
from orchestrator.core.expressions.nodes import (
    Attr,
    Call,
    Chain,
    Compare,
    Cond,
    Const,
    Filter,
    For,
    If,
    Item,
    ListOf,
    Logic,
    MapOf,
    Name,
    Node,
    Output,
    Slice,
    Test,
    Unary,
    children,
)
from orchestrator.core.expressions.rendering import Expression, Template
from orchestrator.core.expressions.shapes import (
    ANY,
    BOOLEAN,
    INTEGER,
    NUMBER,
    TEXT,
    Shape,
    allowed_values,
    elements,
    field,
    field_names,
    kinds,
    known,
    may_be,
    misfit,
    nouns,
    of_value,
    union,
)
from orchestrator.core.expressions.suggestions import did_you_mean

TypeEnv = Mapping[str, Shape]
"""What each name may be: a JSON Schema; a name that is not here is unknown."""

_LIST: Final[Shape] = {"type": "array"}
_LOOP: Final[Shape] = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("index", "index0", "revindex", "revindex0", "length"), INTEGER),
        **dict.fromkeys(("first", "last"), BOOLEAN),
    },
    "additionalProperties": False,
}


class Inference(msgspec.Struct, frozen=True):
    schema: Shape
    """What the value fits; `{}` if nothing is known."""
    problems: tuple[ExpressionError, ...]
    """UnknownNameError, UnknownFieldError and WrongTypeError, in the order met."""


def infer(read: Expression | Template, env: TypeEnv) -> Inference:
    """The type of an expression or template, and everything in it that cannot work."""
    inferrer = _Inferrer(env)
    if isinstance(read, Expression):
        shape = inferrer.of(read.node)
    elif read.whole is not None:
        shape = inferrer.of(read.whole)
    else:
        inferrer.parts(read.parts)
        shape = TEXT
    return Inference(shape, tuple(inferrer.problems))


class _Inferrer:
    def __init__(self, env: TypeEnv) -> None:
        self.env: dict[str, Shape] | TypeEnv = env
        self.bound: dict[str, Shape] = {}
        self.problems: list[ExpressionError] = []

    def parts(self, parts: tuple[Node, ...]) -> None:
        for part in parts:
            match part:
                case Output(expression=expression):
                    self.of(expression)
                case If(branches=branches, otherwise=otherwise):
                    for branch in branches:
                        self.of(branch.test)
                        self.parts(branch.body)
                    self.parts(otherwise)
                case For():
                    self._for(part)

    def _for(self, node: For) -> None:
        source = self.of(node.source)
        if not kinds(source) & {"array", "object"}:
            self._wrong(f"`for` goes over a list or map, not {nouns(source)}", node.source)
        element = elements(source)
        before = dict(self.bound)
        names = {node.names[0]: element} if len(node.names) == 1 else {name: elements(element) for name in node.names}
        self.bound.update(names)
        if node.condition is not None:
            self.of(node.condition)
        self.bound["loop"] = _LOOP
        self.parts(node.body)
        self.bound = before
        self.parts(node.otherwise)

    def of(self, node: Node) -> Shape:
        match node:
            case Const(value=value):
                return of_value(value)
            case Name():
                return self._name(node)
            case Attr():
                return self._field(self.of(node.target), node.name, node)
            case Item():
                return self._item(node)
            case Slice():
                return self._slice(node)
            case Filter():
                return self._filter(node)
            case Compare():
                return self._compare(node)
            case Chain():
                return self._chain(node)
            case Logic(operands=operands):
                return union([self.of(operand) for operand in operands])
            case Cond(then=then, test=test, other=other):
                self.of(test)
                return union([self.of(then), ANY if other is None else self.of(other)])
            case _:
                return self._others(node)

    def _others(self, node: Node) -> Shape:
        match node:
            case ListOf(items=items):
                return {"type": "array", "items": union([self.of(part) for part in items])}
            case MapOf():
                return self._map(node)
            case Unary(op=op, operand=operand):
                shape = self.of(operand)
                if op != "not" and "number" not in kinds(shape):
                    self._wrong(f"`{op}` does not take {nouns(shape)}", node)
                return BOOLEAN if op == "not" else NUMBER
            case Test(target=target):
                self.of(target)
                return BOOLEAN
            case Call():
                return self._call(node)
        raise AssertionError(f"{type(node).__name__} is not an expression")

    def _name(self, node: Name) -> Shape:
        if node.name in self.bound:
            return self.bound[node.name]
        shape = self.env.get(node.name)
        if shape is None:
            help = did_you_mean(node.name, [*self.env, *self.bound])
            self.problems.append(UnknownNameError(f"unknown name `{node.name}`", node.start, node.end, help))
            return ANY
        return shape if isinstance(shape, Mapping) else ANY

    def _field(self, target: Shape, name: str | int, node: Node) -> Shape:
        if isinstance(name, int):
            return self._element(target, node)
        start = node.end - len(name)
        if "object" not in kinds(target):
            if kinds(target) - {"null"}:
                help = "one element: `[0]`, or `| first`; of each element: `| map(attribute=…)`"
                message = f"{nouns(target)} has no field `{name}`"
                self._add(UnknownFieldError(message, start, node.end, help if "array" in kinds(target) else None))
            return ANY
        part = field(target, name)
        if part is None:
            names = field_names(target)
            near = did_you_mean(name, names) or (f"the fields are {', '.join(names[:12])}" if names else None)
            self._add(UnknownFieldError(f"no field `{name}`", start, node.end, near))
            return ANY
        return part

    def _element(self, target: Shape, node: Node) -> Shape:
        if not kinds(target) & {"array", "string", "null"}:
            self._wrong(f"{nouns(target)} has no elements by number", node)
            return ANY
        return TEXT if kinds(target) == {"string"} else elements(target) if "array" in kinds(target) else ANY

    def _item(self, node: Item) -> Shape:
        target, key = self.of(node.target), self.of(node.key)
        if isinstance(node.key, Const) and isinstance(node.key.value, str) and "object" in kinds(target):
            part = field(target, node.key.value)
            if part is None:
                help = did_you_mean(node.key.value, field_names(target))
                self._add(UnknownFieldError(f"no field `{node.key.value}`", node.key.start, node.key.end, help))
                return ANY
            return part
        if kinds(key) == {"number"}:
            return self._element(target, node)
        if kinds(key) == {"string"} and not kinds(target) & {"object", "null"}:
            self._wrong(f"{nouns(target)} has no element by name", node)
        elif not kinds(key) & {"string", "number"}:
            self._wrong(f"a key is text or a whole number, not {nouns(key)}", node.key)
        others = target.get("additionalProperties")
        return others if isinstance(others, Mapping) and not target.get("properties") else ANY

    def _slice(self, node: Slice) -> Shape:
        target, *bounds = [self.of(part) for part in children(node)]
        if not kinds(target) & {"array", "string", "null"}:
            self._wrong(f"{nouns(target)} cannot be sliced", node)
            return ANY
        for bound, shape in zip(children(node)[1:], bounds, strict=True):
            if not kinds(shape) & {"number", "null"}:
                self._wrong(f"a slice takes whole numbers, not {nouns(shape)}", bound)
        return target if kinds(target) in ({"array"}, {"string"}) and "const" not in target else ANY

    def _map(self, node: MapOf) -> Shape:
        properties: dict[str, Any] = {}
        closed = True
        for key, value in node.pairs:
            named = self.of(key)
            shape = self.of(value)
            if isinstance(key, Const) and isinstance(key.value, str):
                properties[key.value] = shape
                continue
            closed = False
            if "string" not in kinds(named):
                self._wrong(f"a map's keys are text, not {nouns(named)}", key)
        if not closed:
            return {"type": "object"}
        return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}

    def _filter(self, node: Filter) -> Shape:
        target = self.of(node.target)
        args = [None if arg is None else self.of(arg) for arg in node.args]
        shape = FILTER_SHAPES[node.name]
        if not kinds(target) & shape.takes:
            wanted = nouns({"type": sorted(shape.takes)})
            self._add(
                WrongTypeError(
                    f"`{node.name}` takes {wanted}, not {nouns(target)}",
                    node.name_start,
                    node.name_start + len(node.name),
                )
            )
            return shape.gives(ANY, [ANY] * len(args))
        try:
            for (name, default), arg in zip(FILTERS[node.name].params, args, strict=True):
                if arg is not None:
                    check_argument(node.name, name, default, arg)
            return shape.gives(target, args)
        except Fault as fault:
            self._add(WrongTypeError(fault.message, node.name_start, node.end, fault.help))
            return ANY

    def _call(self, node: Call) -> Shape:
        if node.name == "product":
            shapes = {name: self.of(value) for name, value in node.named}
            for (_, value), shape in zip(node.named, shapes.values(), strict=True):
                if "array" not in kinds(shape):
                    self._wrong(f"`product` takes lists, not {nouns(shape)}", value)
            properties = {name: elements(shape) for name, shape in shapes.items()}
            item = {
                "type": "object",
                "properties": properties,
                "required": [*properties],
                "additionalProperties": False,
            }
            return {"type": "array", "items": item}
        wanted = "string" if node.name == "now" else "number"
        for arg in children(node):
            shape = self.of(arg)
            if wanted not in kinds(shape):
                self._wrong(f"`{node.name}` takes {nouns({'type': wanted})}, not {nouns(shape)}", arg)
        if node.name == "now":
            return {"type": "string", "format": "date-time"}
        return {"type": "array", "items": INTEGER}

    def _chain(self, node: Chain) -> Shape:
        shape = self.of(node.first)
        for op, right in node.rest:
            shape = self._arithmetic(op, shape, self.of(right), node.start, right.end)
        return shape

    def _arithmetic(self, op: str, left: Shape, right: Shape, start: int, end: int) -> Shape:
        if op == "~":
            return TEXT
        takes = {"number"} if op not in ("+", "*") else {"number", "string", "array"}
        a, b = kinds(left) & takes, kinds(right) & takes
        fits = bool(a and b) and "number" in a | b if op == "*" else bool(a & b)
        if not fits:
            help = "join text and other values with `~`" if op == "+" and "string" in a | b else None
            self._add(WrongTypeError(f"`{op}` does not take {nouns(left)} and {nouns(right)}", start, end, help))
            return ANY
        whole = left.get("type") == right.get("type") == "integer" and op != "/"
        if op == "*":
            return (INTEGER if whole else NUMBER) if a == b == {"number"} else ANY
        # One known side decides: only two of a kind can be added.
        return (
            {"number": INTEGER if whole else NUMBER, "string": TEXT, "array": _LIST}[min(a & b)]
            if len(a & b) == 1
            else ANY
        )

    def _compare(self, node: Compare) -> Shape:
        left, left_node = self.of(node.first), node.first
        for op, right_node in node.rest:
            right = self.of(right_node)
            if op in ("in", "not in"):
                self._membership(left, right, left_node, right_node)
            elif op in ("==", "!="):
                self._equality(op, left, right, left_node, right_node)
            elif not kinds(left) & kinds(right) & {"number", "string"}:
                message = f"`{op}` does not take {nouns(left)} and {nouns(right)}"
                self._add(WrongTypeError(message, left_node.start, right_node.end))
            left, left_node = right, right_node
        return BOOLEAN

    def _equality(self, op: str, left: Shape, right: Shape, a: Node, b: Node) -> None:
        if not kinds(left) & kinds(right) and "null" not in kinds(left) | kinds(right):
            outcome = "never" if op == "==" else "always"
            message = f"{nouns(left)} and {nouns(right)} are {outcome} {'equal' if op == '==' else 'different'}"
            self._add(WrongTypeError(message, a.start, b.end))
            return
        self._listed(left, right, a, b)

    def _listed(self, left: Shape, right: Shape, a: Node, b: Node) -> None:
        """A constant that is compared with something whose values are listed must be one of them."""
        for constant, other, place in ((right, left, b), (left, right, a)):
            if (
                "const" in constant
                and constant["const"] is not None
                and "const" not in other
                and not may_be(other, constant["const"])
            ):
                values = allowed_values(other) or []
                texts = [value for value in values if isinstance(value, str)]
                value = constant["const"]
                near = did_you_mean(value, texts) if isinstance(value, str) else None
                shown = ", ".join(f"`{each}`" for each in texts[:8])
                self._add(
                    WrongTypeError(f"it is never {value!r}", place.start, place.end, near or f"it is one of {shown}")
                )
                return

    def _membership(self, left: Shape, right: Shape, a: Node, b: Node) -> None:
        if not kinds(right) & {"array", "string", "object"}:
            self._wrong(f"`in` looks into a list, text or map, not {nouns(right)}", b)
        elif kinds(right) == {"array"}:
            element = elements(right)
            if not kinds(left) & kinds(element) and known(left):
                self._wrong(f"{nouns(left)} is never in a list of {nouns(element)}", a)
            elif "const" in left:
                self._listed(left, element, a, b)
            elif isinstance(b, ListOf):
                for item in b.items:
                    self._listed(left, self.of(item) if isinstance(item, Const) else ANY, a, item)
        elif not kinds(right) & {"array"} and "string" not in kinds(left):
            self._wrong(f"{nouns(left)} is never in {nouns(right)}", a)

    def _wrong(self, message: str, node: Node) -> None:
        self._add(WrongTypeError(message, node.start, node.end))

    def _add(self, problem: ExpressionError) -> None:
        self.problems.append(problem)


def fits(given: Shape, wanted: Shape) -> str | None:
    """Why a value of type `given` can never fit `wanted`; None if it may."""
    return misfit(given, wanted)
