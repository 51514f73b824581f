"""The expression language: parsed to a small tree with positions, typed before a run, evaluated over JSON only."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from orchestrator.core.expressions.checking import Problem, can_check, check_value
from orchestrator.core.expressions.faults import (
    ExpressionError,
    LimitError,
    MissingValueError,
    TypeFormError,
    UnknownFieldError,
    UnknownNameError,
    WrongTypeError,
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

if TYPE_CHECKING:
    from orchestrator.core.expressions.inference import Inference, TypeEnv, fits, infer
    from orchestrator.core.expressions.type_text import Type
    from orchestrator.core.expressions.types import field_schema, parse_type, type_schema

# Types are read and inferred before a run, never in one: a run that has its plan does not import them.
_BEFORE_A_RUN: Final = {
    **dict.fromkeys(("Inference", "TypeEnv", "fits", "infer"), "inference"),
    **dict.fromkeys(("field_schema", "parse_type", "type_schema"), "types"),
    "Type": "type_text",
}

__all__ = [
    "JSON",
    "MISSING",
    "RESERVED_NAMES",
    "Expression",
    "ExpressionError",
    "Inference",
    "LimitError",
    "Limits",
    "Missing",
    "MissingValueError",
    "Problem",
    "Reference",
    "Template",
    "Type",
    "TypeEnv",
    "TypeFormError",
    "UnknownFieldError",
    "UnknownNameError",
    "WrongTypeError",
    "can_check",
    "check_value",
    "did_you_mean",
    "evaluate",
    "field_schema",
    "fits",
    "has_marks",
    "infer",
    "parse_expression",
    "parse_template",
    "parse_type",
    "references",
    "render",
    "render_tree",
    "suggestions",
    "tree_texts",
    "type_schema",
]


def __getattr__(name: str) -> Any:
    if name not in _BEFORE_A_RUN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_BEFORE_A_RUN[name]}"), name)
