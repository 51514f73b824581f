"""What type inference says about every text of a workflow, found once for the rules that share it."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.core.expressions import ExpressionError, Reference, infer
from orchestrator.spec.rules._context import RuleContext, Text
from orchestrator.spec.rules._types import types_of


class Problem(NamedTuple):
    text: Text
    error: ExpressionError
    reference: Reference | None
    """The path that the error is about, if it stands in one."""


def problems(context: RuleContext) -> list[Problem]:
    found = context.kept.get("problems")
    if not isinstance(found, list):
        found = context.kept["problems"] = [problem for text in context.texts for problem in _of(context, text)]
    return found


def _of(context: RuleContext, text: Text) -> list[Problem]:
    if text.read is None:
        return []
    found = []
    for error in infer(text.read, types_of(context).env(text)).problems:
        around = (one for one in text.references if one.start <= error.start and error.end <= one.end)
        found.append(Problem(text, error, next(around, None)))
    return found
