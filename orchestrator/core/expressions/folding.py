"""What is constant in an expression is computed when it is read, so that an impossible constant is an error of the text."""

from __future__ import annotations

from typing import Final

from orchestrator.core.expressions.closures import Compiler
from orchestrator.core.expressions.nodes import Const, Node
from orchestrator.core.expressions.values import MISSING, Context, Limits

_TEXT_MAX: Final = 256
"""Longer constants are made again at each run rather than kept."""


class Folder:
    """Computes constant nodes of one text; stops when that has cost as much as one evaluation may."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._limits = Limits()
        self._steps_left = self._limits.steps

    def fold(self, node: Node) -> Node:
        """The node's value as a constant, or the node itself where that is a list, map or long text. Raises ExpressionError."""
        if self._steps_left <= 0:
            return node
        context = Context(lambda name, missing: missing, 0.0, self._limits)
        value = Compiler(self._text).compile(node)(context)
        self._steps_left -= 1 + self._limits.steps - context.steps
        if value is MISSING or type(value) in (list, dict) or (type(value) is str and len(value) > _TEXT_MAX):
            return node
        return Const(node.start, node.end, value)
