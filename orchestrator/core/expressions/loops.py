"""Templates made ready to run: each part becomes a function that gives text; `{% for %}` and `{% if %}` call theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from orchestrator.core.expressions.closures import Compiler
from orchestrator.core.expressions.faults import ExpressionError, Fault
from orchestrator.core.expressions.nodes import For, If, Node, Output, Text, children
from orchestrator.core.expressions.values import JSON, Context, kind, to_text

Piece = Callable[[Context], JSON]

_UNSET: Final = object()


class TemplateCompiler:
    def __init__(self, text: str, bound: frozenset[str] = frozenset()) -> None:
        self.text = text
        self.bound = bound
        self.expressions = Compiler(text, bound)

    def whole(self, node: Node) -> Piece:
        """The value of a text that is one whole expression."""
        return self.expressions.needed(node)

    def text_of(self, parts: tuple[Node, ...]) -> Callable[[Context], str]:
        pieces = [part.text if isinstance(part, Text) else self._piece(part) for part in parts]
        if len(pieces) == 1 and isinstance(pieces[0], str):
            constant = pieces[0]
            return lambda c: constant

        def run(c: Context) -> str:
            texts = [piece if type(piece) is str else piece(c) for piece in pieces]  # type: ignore[operator]
            joined = "".join(texts)
            size = c.size = c.size - len(joined)
            if size < 0:
                raise self._too_long(c, parts)
            return joined

        return run

    def _too_long(self, c: Context, parts: tuple[Node, ...]) -> ExpressionError:
        try:
            c.grow(0)
        except Fault as fault:
            return fault.at(parts[0].start, parts[-1].end)
        raise AssertionError("called only when the size is used up")

    def _piece(self, part: Node) -> Callable[[Context], str]:
        match part:
            case Output(expression=expression):
                return self._output(expression)
            case If():
                return self._if(part)
            case For():
                return self._for(part)
            case _:
                raise AssertionError(f"{type(part).__name__} is not a part of a template")

    def _output(self, node: Node) -> Callable[[Context], str]:
        value_of, start, end = self.expressions.needed(node), node.start, node.end

        def run(c: Context) -> str:
            value = value_of(c)
            if type(value) is str:
                return value
            try:
                return to_text(value, c)
            except Fault as fault:
                raise fault.at(start, end) from None

        return run

    def _if(self, node: If) -> Callable[[Context], str]:
        branches = [(self.expressions.compile(b.test), self.text_of(b.body)) for b in node.branches]
        otherwise = self.text_of(node.otherwise)

        def run(c: Context) -> str:
            for test, body in branches:
                if test(c):
                    return body(c)
            return otherwise(c)

        return run

    def _for(self, node: For) -> Callable[[Context], str]:
        source = self.expressions.needed(node.source)
        in_condition = Compiler(self.text, self.bound | {*node.names})
        condition = None if node.condition is None else in_condition.compile(node.condition)
        body = TemplateCompiler(self.text, self.bound | {*node.names, "loop"}).text_of(node.body)
        otherwise = self.text_of(node.otherwise)
        names = (*node.names, "loop")
        cost = 1 + _operations((*node.body, *(() if node.condition is None else (node.condition,))))

        def run(c: Context) -> str:
            elements = _elements(source(c), node)
            saved = [c.locals.get(name, _UNSET) for name in names]
            try:
                _spend(c, node, cost * len(elements))
                if condition is not None:
                    elements = [e for e in elements if _bind(c, node, e) and condition(c)]
                texts = [_round(c, node, body, elements, i) for i in range(len(elements))]
            finally:
                for name, value in zip(names, saved, strict=True):
                    c.locals.pop(name, None)
                    if value is not _UNSET:
                        c.locals[name] = value
            return "".join(texts) if texts else otherwise(c)

        return run


def _round(c: Context, node: For, body: Callable[[Context], str], elements: list[JSON], index: int) -> str:
    _bind(c, node, elements[index])
    count = len(elements)
    c.locals["loop"] = {
        "index": index + 1, "index0": index, "revindex": count - index, "revindex0": count - index - 1,
        "first": index == 0, "last": index == count - 1, "length": count,
    }  # fmt: skip
    return body(c)


def _elements(value: JSON, node: For) -> list[JSON]:
    if type(value) is list:
        return value
    if type(value) is dict:
        return list(value)
    source = node.source
    raise ExpressionError(f"`for` goes over a list or map, not {kind(value)}", source.start, source.end)


def _operations(parts: tuple[Node, ...]) -> int:
    """How many operations a round does at most; loops inside count their own rounds."""
    count = 0
    waiting = list(parts)
    while waiting:
        part = waiting.pop()
        count += 1
        if isinstance(part, For):
            waiting += [part.source, *part.otherwise]
        else:
            waiting += children(part)
    return count


def _spend(c: Context, node: For, steps: int) -> None:
    try:
        c.work(steps)
    except Fault as fault:
        raise fault.at(node.source.start, node.source.end) from None


def _bind(c: Context, node: For, element: JSON) -> bool:
    names = node.names
    if len(names) == 1:
        c.locals[names[0]] = element
        return True
    if type(element) is not list or len(element) != len(names):
        what = f"a list of {len(element)}" if type(element) is list else kind(element)
        help = "`| items` gives the pairs of a map" if type(element) is str else None
        start, end = node.source.start, node.source.end
        raise ExpressionError(f"`for` needs {len(names)} values for its names, the element is {what}", start, end, help)
    c.locals.update(zip(names, element, strict=True))
    return True
