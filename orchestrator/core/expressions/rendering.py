"""The front door: texts in, expressions and templates out, values from both.

Both are kept by text, so that a template of a running workflow is read once. Evaluating looks up only the names it meets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from orchestrator.core.expressions.closures import Compiler, Run
from orchestrator.core.expressions.faults import ExpressionError, Fault, LimitError
from orchestrator.core.expressions.folding import Folder
from orchestrator.core.expressions.loops import Piece, TemplateCompiler
from orchestrator.core.expressions.nodes import Attr, Const, Item, Name, Node, Output, Text
from orchestrator.core.expressions.parser import Parser
from orchestrator.core.expressions.references import Reference, collect
from orchestrator.core.expressions.templates import TemplateReader, has_marks
from orchestrator.core.expressions.tokens import tokenize
from orchestrator.core.expressions.values import JSON, Context, Limits, Missing, measure

Scope = Mapping[str, JSON] | Callable[[str], JSON]
"""Names to values. A callable is asked for each name when it is met and gives MISSING for one it does not know."""

_KEPT: Final = 16_384
DEFAULT_LIMITS: Final = Limits()


class Expression:
    """A bare expression that has been read; make it with `parse_expression`."""

    __slots__ = ("_plain", "_references", "_run", "node", "text")

    def __init__(self, text: str, node: Node) -> None:
        self.text = text
        self.node = node
        self._run: Run | None = None
        self._references: tuple[Reference, ...] | None = None
        self._plain = isinstance(node, Name | Attr | Item | Const)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def run(self, context: Context) -> JSON:
        run = self._run
        if run is None:
            run = self._run = Compiler(self.text).compile(self.node)
        value = run(context)
        if not self._plain and (type(value) is list or type(value) is dict):
            _bounded(value, context, self.node)
        return value

    def references(self) -> tuple[Reference, ...]:
        if self._references is None:
            self._references = collect((self.node,))
        return self._references


class Template:
    """Text that has been read for expressions and tags; make it with `parse_template`."""

    __slots__ = ("_piece", "_references", "parts", "text", "whole")

    def __init__(self, text: str, parts: tuple[Node, ...]) -> None:
        self.text = text
        self.parts = parts
        """Text, Output, If and For nodes, with offsets in `text`."""
        self.whole: Node | None = None
        """The expression, if the text is one whole `${{ }}` and nothing else: the value keeps its type."""
        if len(parts) == 1 and isinstance(parts[0], Output):
            self.whole = parts[0].expression
        self._piece: Piece | None = None
        self._references: tuple[Reference, ...] | None = None

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    @property
    def constant(self) -> bool:
        """Plain text: nothing to evaluate."""
        return all(isinstance(part, Text) for part in self.parts)

    def run(self, context: Context) -> JSON:
        piece = self._piece
        if piece is None:
            compiler = TemplateCompiler(self.text)
            piece = self._piece = compiler.whole(self.whole) if self.whole is not None else compiler.text_of(self.parts)
        value = piece(context)
        if type(value) is list or type(value) is dict:
            assert self.whole is not None
            if not isinstance(self.whole, Name | Attr | Item):
                _bounded(value, context, self.whole)
        return value

    def references(self) -> tuple[Reference, ...]:
        if self._references is None:
            self._references = collect(self.parts)
        return self._references


@lru_cache(maxsize=_KEPT)
def parse_expression(text: str) -> Expression:
    """Read a bare expression (`when`, `until`, `foreach`, `key`, `item_after`). Raises ExpressionError."""
    begin = len(text) - len(text.lstrip())
    if text.startswith("${{", begin):
        help = "write it bare" + (f": `{inner}`" if (inner := _inside(text)) else "")
        raise ExpressionError("this field holds an expression already, without `${{ }}`", begin, begin + 3, help)
    tokens, _ = tokenize(text)
    return Expression(text, Parser(text, tokens, Folder(text)).whole())


@lru_cache(maxsize=_KEPT)
def parse_template(text: str) -> Template:
    """Read a text field. Raises ExpressionError."""
    return Template(text, TemplateReader(text).parts())


def references(read: Expression | Template) -> tuple[Reference, ...]:
    """Every use of a name outside the expression, in the order of the text."""
    return read.references()


def evaluate(
    expression: Expression | str, scope: Scope, *, now: float = 0.0, limits: Limits = DEFAULT_LIMITS
) -> JSON | Missing:
    """The expression's value, or MISSING. `now` is in seconds since 1970: what `now()` means.

    Raises ExpressionError; MissingValueError and LimitError are kinds of it.
    """
    read = parse_expression(expression) if type(expression) is str else expression
    return _guarded(read, scope, now, limits)  # type: ignore[arg-type]


def render(template: Template | str, scope: Scope, *, now: float = 0.0, limits: Limits = DEFAULT_LIMITS) -> JSON:
    """The template's text, or the value itself if it is one whole `${{ }}`. Missing is a MissingValueError."""
    if type(template) is str:
        if not has_marks(template):
            return template
        template = parse_template(template)
    return _guarded(template, scope, now, limits)  # type: ignore[arg-type]


def render_tree(value: JSON, scope: Scope, *, now: float = 0.0, limits: Limits = DEFAULT_LIMITS) -> JSON:
    """`value` with every text in it rendered (keys are left alone); what has no template in it is not copied."""
    if type(value) is str:
        return render(value, scope, now=now, limits=limits) if has_marks(value) else value
    if type(value) is list:
        items = [render_tree(part, scope, now=now, limits=limits) for part in value]
        return value if all(a is b for a, b in zip(items, value, strict=True)) else items
    if type(value) is dict:
        parts = {key: render_tree(part, scope, now=now, limits=limits) for key, part in value.items()}
        return value if all(parts[key] is value[key] for key in value) else parts
    return value


def tree_texts(value: JSON, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], str]]:
    """The texts in a JSON tree that may hold templates, each with its path."""
    if isinstance(value, str):
        return [(path, value)] if has_marks(value) else []
    found: list[tuple[tuple[str | int, ...], str]] = []
    if isinstance(value, list):
        for index, part in enumerate(value):
            found.extend(tree_texts(part, (*path, index)))
    elif isinstance(value, dict):
        for key, part in value.items():
            found.extend(tree_texts(part, (*path, key)))
    return found


def _guarded(read: Expression | Template, scope: Scope, now: float, limits: Limits) -> JSON:
    get = scope.get if isinstance(scope, dict) else _lookup(scope)
    try:
        return read.run(Context(get, now, limits))
    except RecursionError:
        raise LimitError("the data is nested too deep", 0, len(read.text)) from None


def _lookup(scope: Scope) -> Callable[[str, JSON], JSON]:
    if isinstance(scope, Mapping):
        return scope.get
    ask = scope
    return lambda name, missing: ask(name)


def _bounded(value: JSON, context: Context, node: Node) -> None:
    """A list or map that was built here may use one part many times: what counts is its size written out."""
    try:
        context.size -= measure(value, context)
    except Fault as fault:
        raise fault.at(node.start, node.end) from None


def _inside(text: str) -> str:
    inner = text.strip()[3:]
    return inner[:-2].strip() if inner.endswith("}}") and "${{" not in inner else ""
