"""WF406: a type that is not written as types are, or a default that does not fit its own type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from orchestrator.core.expressions import TypeFormError, can_check, field_schema, type_schema
from orchestrator.spec.compile_references import Path
from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF406"
NAME = "type-form"
SUMMARY = "A type is not written as types are."
SEVERITY: Final = "error"
EXPLANATION = page(
    """A type is a text such as `string`, `number 0..10`, `support | sales | spam`, `map(integer)`, `optional string -- what it is
    for`; a list of one type, `[string]`; a map of names to types, `{title: string, tags: [string]}`; or a JSON Schema. In
    `inputs` and in a form a map is always a schema: `{type: string, default: hello}`. A default must fit its type.""",
    bad="inputs: {count: int, unit: {type: m | km, default: mile}}\ntasks: {a: {run: echo}}",
    good="inputs: {count: integer, unit: {type: m | km, default: km}}\ntasks: {a: {run: echo}}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for name, said in _map(context.data.get("inputs")):
        yield from _field(context, said, ("inputs", name))
    for site in context.sites:
        task = context.said(site)
        if task.get("output") is not None:
            yield from _read(context, task["output"], (*site.path, "output"))
        if isinstance(task.get("output_schema"), dict):
            yield from _schema(context, task["output_schema"], (*site.path, "output_schema"))
        for name, said in _map(task.get("form")) if site.verb.name == "ask" else ():
            yield from _field(context, said, (*site.path, "form", name))


def _map(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _read(context: RuleContext, said: Any, path: Path) -> Iterator[Diagnostic]:
    try:
        type_schema(said)
    except TypeFormError as error:
        yield _finding(context, path, error)


def _field(context: RuleContext, said: Any, path: Path) -> Iterator[Diagnostic]:
    try:
        field_schema(said)
    except TypeFormError as error:
        yield _finding(context, path, error)


def _schema(context: RuleContext, schema: dict[str, Any], path: Path) -> Iterator[Diagnostic]:
    """A JSON Schema of the user's own: only one with words we do not check ourselves is worth importing a validator for."""
    if can_check(schema):
        return
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = (*path, *error.absolute_path)
        yield context.finding(CODE, SEVERITY, f"this is no JSON Schema: {error.message}", context.value(where))


def _finding(context: RuleContext, path: Path, error: TypeFormError) -> Diagnostic:
    where = (*path, *error.path)
    span = context.part(where, error.start, error.end)
    return context.finding(CODE, SEVERITY, error.message, span, help=error.help)
