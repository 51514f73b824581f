"""Tokens to a tree, by precedence: `or`, `and`, `not`, comparisons, `+ -`, `~`, `* / // %`, signs, filters and tests, `.` and `[]`.

Nesting is bounded, so neither this parser nor anything that walks its trees can run out of stack. What is constant is
computed once here, so that it fails here.
"""

from __future__ import annotations

from typing import Final, NoReturn

from orchestrator.core.expressions.cursor import Cursor
from orchestrator.core.expressions.faults import ExpressionError, Fault
from orchestrator.core.expressions.folding import Folder
from orchestrator.core.expressions.functions import FILTERS, FUNCTIONS, KEYWORDS, OTHER_NAMES, TESTS
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
    children,
)
from orchestrator.core.expressions.signatures import Signature
from orchestrator.core.expressions.suggestions import did_you_mean
from orchestrator.core.expressions.tokens import END, NAME, OP, STRING, VALUE, Token
from orchestrator.core.expressions.values import JSON, kind

NESTING_MAX: Final = 32
HEIGHT_MAX: Final = 120

_CONSTANTS: Final[dict[str, JSON]] = {
    "true": True, "True": True, "false": False, "False": False, "none": None, "None": None, "null": None,
}  # fmt: skip
_OR, _AND, _NOT, _COMPARE, _SUM, _CONCAT, _PRODUCT, _SIGN = range(1, 9)
_LEVELS: Final = {
    "or": _OR, "and": _AND, "==": _COMPARE, "!=": _COMPARE, "<": _COMPARE, "<=": _COMPARE, ">": _COMPARE,
    ">=": _COMPARE, "in": _COMPARE, "not": _COMPARE, "+": _SUM, "-": _SUM, "~": _CONCAT,
    "*": _PRODUCT, "/": _PRODUCT, "//": _PRODUCT, "%": _PRODUCT,
}  # fmt: skip


class Parser(Cursor):
    """Reads expressions from one list of tokens; `folder` is given every node whose parts are all constant."""

    def __init__(self, text: str, tokens: list[Token], folder: Folder) -> None:
        super().__init__(text, tokens)
        self._folder = folder
        # Kept by identity, and kept alive: an id that is free again could be given to another node.
        self._constants: dict[int, Node] = {}
        self._nesting = 0
        self._links = 0

    def whole(self) -> Node:
        """One expression up to the end of the tokens."""
        if self.token.type == END:
            raise ExpressionError("the expression is empty", *self.place())
        node = self.expression()
        if self.token.type != END:
            self._trailing(node)
        return node

    def expression(self) -> Node:
        """Any expression, `x if c else y` included."""
        self._nesting += 1
        if self._nesting > NESTING_MAX:
            raise self._too_deep()
        node = self.operation(_OR)
        while self.is_word("if"):
            self.advance()
            test = self.operation(_OR)
            other = None
            if self.is_word("else"):
                self.advance()
                other = self.expression()
            node = Cond(node.start, (other or test).end, node, test, other)
        self._nesting -= 1
        if self._links > NESTING_MAX and self._nesting == 0:
            self._check_height(node)
        return node

    def operation(self, level: int) -> Node:
        """Operators of `level` and tighter."""
        left = self._not(level) if self.is_word("not") else self._signed()
        while (operator := self._operator()) and (found := _LEVELS[operator]) >= level:
            left = self._chain(left, found) if found >= _COMPARE else self._logic(left, operator, found)
        return left

    def _operator(self) -> str:
        type_, value, _, _ = self.token
        if (type_ is OP or type_ is NAME) and value in _LEVELS and (value != "not" or self._next_is_in()):
            return str(value)
        return ""

    def _next_is_in(self) -> bool:
        following = self.tokens[self.at + 1]
        return following.type == NAME and following.value == "in"

    def _not(self, level: int) -> Node:
        start = self.token.start
        if level > _NOT:
            raise ExpressionError("`not` cannot stand here", *self.place(), "put it in brackets: `(not x)`")
        self.advance()
        self._enter()
        operand = self.operation(_NOT)
        self._nesting -= 1
        return self._fold(Unary(start, operand.end, "not", operand), operand)

    def _logic(self, left: Node, operator: str, level: int) -> Node:
        operands = [left]
        while self.is_word(operator):
            self.advance()
            operands.append(self.operation(level + 1))
        return self._fold(Logic(left.start, operands[-1].end, operator, tuple(operands)), *operands)

    def _chain(self, left: Node, level: int) -> Node:
        rest: list[tuple[str, Node]] = []
        while (operator := self._operator()) and _LEVELS[operator] == level:
            self.advance()
            if operator == "not":
                self.advance()
                operator = "not in"
            rest.append((operator, self.operation(level + 1)))
        operands = [left, *(node for _, node in rest)]
        shape = Compare if level == _COMPARE else Chain
        return self._fold(shape(left.start, operands[-1].end, left, tuple(rest)), *operands)

    def _signed(self, filters: bool = True) -> Node:
        """A sign binds tighter than a filter after it: `-x | abs` is `(-x) | abs`."""
        if self.token.type is OP and self.token.value in ("-", "+"):
            sign = self.advance()
            self._enter()
            operand = self._signed(filters=False)
            self._nesting -= 1
            node = self._fold(Unary(sign.start, operand.end, sign.value, operand), operand)
        else:
            node = self._links_of(self._primary())
        return self._filtered(node) if filters else node

    def _primary(self) -> Node:
        type_, value, start, end = self.token
        if type_ is NAME:
            if value in KEYWORDS:
                return self._constant()
            self.advance()
            return self._call(value, start, end) if self.is_op("(") else Name(start, end, value)
        if type_ is VALUE:
            self.advance()
            return Const(start, end, value)
        if type_ is STRING:
            return self._string()
        if type_ is OP:
            match value:
                case "(":
                    return self._brackets()
                case "[":
                    return self._list()
                case "{":
                    return self._map()
        return self.unexpected()

    def _constant(self) -> Node:
        _, value, start, end = self.token
        if value not in _CONSTANTS:
            return self.unexpected()
        self.advance()
        return Const(start, end, _CONSTANTS[value])

    def _string(self) -> Node:
        """Texts side by side are one text."""
        first = self.advance()
        value, end = first.value, first.end
        while self.token.type is STRING:
            value, end = value + self.token.value, self.token.end
            self.advance()
        return Const(first.start, end, value)

    def _brackets(self) -> Node:
        """`(x)`, or `(a, b)`: a list."""
        start = self.advance().start
        items, comma = self._until(")")
        end = self.close(")", start)
        if len(items) == 1 and not comma:
            return items[0]
        return ListOf(start, end, tuple(items))

    def _list(self) -> Node:
        start = self.advance().start
        items, _ = self._until("]")
        return ListOf(start, self.close("]", start), tuple(items))

    def _until(self, closing: str) -> tuple[list[Node], bool]:
        """The expressions up to the closing bracket, and whether a comma stands before it."""
        items: list[Node] = []
        comma = False
        while not self.is_op(closing):
            items.append(self.expression())
            comma = self.take(",")
            if not comma:
                break
        return items, comma

    def _map(self) -> Node:
        start = self.advance().start
        pairs: list[tuple[Node, Node]] = []
        while not self.is_op("}"):
            key = self.expression()
            if isinstance(key, Const) and not isinstance(key.value, str):
                raise ExpressionError("a map's keys are text", key.start, key.end, "write it in quotes")
            self.expect(":", "between key and value")
            pairs.append((key, self.expression()))
            if not self.take(","):
                break
        return MapOf(start, self.close("}", start), tuple(pairs))

    def _links_of(self, node: Node) -> Node:
        """`.name`, `[key]`, `[a:b]`, as many as there are."""
        while self.token.type is OP:
            sign = self.token.value
            if sign == ".":
                node = self._field(node)
            elif sign == "[":
                node = self._subscript(node)
            elif sign == "(":
                self._not_callable(node)
            else:
                break
            self._links += 1
        return node

    def _field(self, node: Node) -> Node:
        self.advance()
        type_, value, _, end = self.token
        whole = type_ is VALUE and type(value) is int
        if type_ is not NAME and not whole:
            raise ExpressionError("a name is missing after `.`", *self.place(), "other keys: `x['the key']`")
        self.advance()
        if isinstance(node, Const | ListOf) and not (whole and not isinstance(node, Const)):
            what = "a list" if isinstance(node, ListOf) else kind(node.value)
            help = "filters stand after `|`"
            raise ExpressionError(f"{what} has no field `{value}`", end - len(str(value)), end, help)
        return Attr(node.start, end, node, value)

    def _subscript(self, node: Node) -> Node:
        start = self.advance().start
        parts: list[Node | None] = [None]
        while not self.is_op("]"):
            if self.take(":"):
                parts.append(None)
                continue
            if parts[-1] is not None:
                break
            parts[-1] = self.expression()
        end = self.close("]", start)
        if len(parts) == 1:
            if parts[0] is None:
                raise ExpressionError("an index is missing in `[]`", start, end)
            return self._fold(Item(node.start, end, node, parts[0]), node, parts[0])
        if len(parts) > 3:
            raise ExpressionError("a slice has at most three parts", start, end, "write `x[from:to:step]`")
        low, high, step = [*parts, None][:3]
        given = [part for part in parts if part is not None]
        return self._fold(Slice(node.start, end, node, low, high, step), node, *given)

    def _filtered(self, node: Node) -> Node:
        while True:
            if self.is_op("|"):
                node = self._filter(node)
            elif self.is_word("is"):
                node = self._test(node)
            else:
                return node
            self._links += 1

    def _filter(self, node: Node) -> Node:
        self.advance()
        type_, name, start, end = self.token
        if type_ is not NAME:
            raise ExpressionError("the name of a filter is missing after `|`", *self.place())
        signature = FILTERS.get(name)
        if signature is None:
            raise ExpressionError(f"unknown filter `{name}`", start, end, _instead(name, FILTERS, "filter"))
        self.advance()
        args, _, close = self._arguments(signature, start, end)
        if self.is_op(".") or self.is_op("["):
            rest = self.text[self.token.start : self.tokens[self.at + 1].end]
            help = f"put it in brackets: `({self.text[node.start : close]}){rest}`"
            raise ExpressionError(f"`{self.token.value}` cannot follow a filter", *self.place(), help)
        given = [arg for arg in args if arg is not None]
        return self._fold(Filter(node.start, close, node, name, args, start), node, *given)

    def _test(self, node: Node) -> Node:
        self.advance()
        negated = self.is_word("not")
        if negated:
            self.advance()
        type_, name, _, end = self.token
        if type_ is NAME and name in ("None", "null"):
            name = "none"
        if type_ is not NAME or name not in TESTS:
            shown = f"`is {name}`" if type_ is NAME else "this"
            word = did_you_mean(name, TESTS) if type_ is NAME else None
            raise ExpressionError(
                f"{shown} is not a test here", *self.place(), word or "the tests are `is defined` and `is none`"
            )
        self.advance()
        return self._fold(Test(node.start, end, node, name, negated), node)

    def _call(self, name: str, start: int, end: int) -> Node:
        signature = FUNCTIONS.get(name)
        if signature is None:
            help = f"write `x | {name}`" if name in FILTERS else _instead(name, FUNCTIONS, "function")
            raise ExpressionError(f"unknown function `{name}`", start, end, help)
        args, named, close = self._arguments(signature, start, end)
        node = Call(start, close, name, args, named)
        # `now` has no constant value, whatever its argument.
        return node if name == "now" else self._fold(node, *children(node))

    def _arguments(
        self, signature: Signature, start: int, end: int
    ) -> tuple[tuple[Node | None, ...], tuple[tuple[str, Node], ...], int]:
        """Arguments in the order of the parameters (or by name, where any name goes), and where they end."""
        positional: list[Node] = []
        named: list[tuple[str, Node]] = []
        if self.is_op("("):
            opening = self.advance().start
            while not self.is_op(")"):
                following = self.tokens[min(self.at + 1, len(self.tokens) - 1)]
                if self.token.type is NAME and following.type is OP and following.value == "=":
                    name = self.advance().value
                    self.advance()
                    named.append((name, self.expression()))
                elif named:
                    raise ExpressionError("arguments without a name come first", *self.place())
                else:
                    positional.append(self.expression())
                if not self.take(","):
                    break
            end = self.close(")", opening)
        try:
            if signature.open:
                return (), _only_named(signature, positional, named), end
            places = signature.bind(len(positional), [name for name, _ in named])
        except Fault as fault:
            raise fault.at(start, end) from None
        args: list[Node | None] = [None] * len(signature.params)
        for place, node in zip(places, [*positional, *(node for _, node in named)], strict=True):
            args[place] = node
        self._check_arguments(signature, args, start, end)
        return tuple(args), (), end

    def _check_arguments(self, signature: Signature, args: list[Node | None], start: int, end: int) -> None:
        if signature.check is None:
            return
        known = [arg.value if isinstance(arg, Const) else None for arg in args]
        first = next((arg for arg in args if isinstance(arg, Const)), None)
        try:
            signature.check(known)
        except Fault as fault:
            raise (fault.at(first.start, first.end) if first else fault.at(start, end)) from None

    def _fold(self, node: Node, *parts: Node) -> Node:
        for part in parts:
            if not self._is_constant(part):
                return node
        folded = self._folder.fold(node)
        self._constants[id(folded)] = folded
        return folded

    def _is_constant(self, node: Node) -> bool:
        if isinstance(node, Const) or id(node) in self._constants:
            return True
        return isinstance(node, ListOf | MapOf) and all(map(self._is_constant, children(node)))

    def _enter(self) -> None:
        self._nesting += 1
        if self._nesting > NESTING_MAX:
            raise self._too_deep()

    def _too_deep(self) -> ExpressionError:
        return ExpressionError(f"nested more than {NESTING_MAX} deep", *self.place(), "compute a part in a `set` task")

    def _check_height(self, root: Node) -> None:
        """Long runs of `.a.b.c` and `| f | g` make a tree high without nesting."""
        level, height = [root], 0
        while level:
            height += 1
            if height > HEIGHT_MAX:
                raise ExpressionError(f"more than {HEIGHT_MAX} steps after each other", root.start, root.end)
            level = [child for node in level for child in children(node)]
        self._links = 0

    def _not_callable(self, node: Node) -> NoReturn:
        help = "only filters and functions can be called"
        if isinstance(node, Attr):
            source = self.text[node.target.start : node.target.end]
            if str(node.name) in FILTERS:
                help = f"write `{source} | {node.name}`"
            raise ExpressionError("values have no methods", node.end - len(str(node.name)), node.end, help)
        raise ExpressionError("this cannot be called", *self.place(), help)

    def _trailing(self, node: Node) -> NoReturn:
        help = None
        if self.token.type == NAME and isinstance(node, Name):
            help = "a name has no spaces; join conditions with `and` or `or`"
        elif self.is_op(","):
            help = "a list is written `[a, b]`"
        self.unexpected(help or "")


def _only_named(
    signature: Signature, positional: list[Node], named: list[tuple[str, Node]]
) -> tuple[tuple[str, Node], ...]:
    names = [name for name, _ in named]
    if positional or not named:
        raise Fault(f"`{signature.name}` takes named lists", f"write `{signature.shape()}`")
    if len(set(names)) < len(names):
        raise Fault("a name is given twice")
    return tuple(named)


def _instead(name: str, known: dict[str, Signature], noun: str) -> str:
    near = OTHER_NAMES.get(name)
    if near in known:
        return f"did you mean `{known[near].shape()}`?"
    return did_you_mean(name, known) or f"the {noun}s are {', '.join(sorted(known))}"
