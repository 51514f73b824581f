"""The expression language: parsed to a small tree with positions, typed before a run, evaluated over JSON only."""

from orchestrator.core.expressions.faults import (
    ExpressionError,
    LimitError,
    MissingValueError,
    TypeFormError,
)
from orchestrator.core.expressions.functions import RESERVED_NAMES
from orchestrator.core.expressions.references import Reference
from orchestrator.core.expressions.rendering import (
    Expression,
    Template,
    evaluate,
    parse_expression,
    parse_template,
    references,
    render,
    render_tree,
    tree_texts,
)
from orchestrator.core.expressions.suggestions import did_you_mean, suggestions
from orchestrator.core.expressions.templates import has_marks
from orchestrator.core.expressions.values import JSON, MISSING, Limits, Missing

__all__ = [
    "JSON",
    "MISSING",
    "RESERVED_NAMES",
    "Expression",
    "ExpressionError",
    "LimitError",
    "Limits",
    "Missing",
    "MissingValueError",
    "Reference",
    "Template",
    "TypeFormError",
    "did_you_mean",
    "evaluate",
    "has_marks",
    "parse_expression",
    "parse_template",
    "references",
    "render",
    "render_tree",
    "suggestions",
    "tree_texts",
]
