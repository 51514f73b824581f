"""WF402: an operation, a filter or a place that does not take this type of value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.core.expressions import WrongTypeError, can_check, check_value, fits
from orchestrator.core.expressions.shapes import Shape, kinds, nouns
from orchestrator.spec.compile_graph import Site
from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._context import RuleContext, Text
from orchestrator.spec.rules._page import page
from orchestrator.spec.rules._problems import problems
from orchestrator.spec.rules._types import called, schema_of, types_of

CODE = "WF402"
NAME = "wrong-type"
SUMMARY = "A value cannot be of the type that is wanted."
SEVERITY: Final = "error"
EXPLANATION = page(
    """Types are known from inputs, from `output`, from forms, and from what the verb gives; they are followed through
    expressions, tasks and called workflows. The finding appears only where the types can never fit. `foreach` goes over a list
    or a map. A condition that can never be true, such as a comparison with a word that is not among the allowed ones, is
    found as well.""",
    bad="inputs: {team: support | sales}\ntasks:\n  a: {when: inputs.team == 'suport', run: ./support.sh}",
    good="inputs: {team: support | sales}\ntasks:\n  a: {when: inputs.team == 'support', run: ./support.sh}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for text, error, _ in problems(context):
        if isinstance(error, WrongTypeError):
            span = context.part(text.path, error.start, error.end)
            yield context.finding(CODE, SEVERITY, error.message, span, help=error.help)
    for site in context.sites:
        yield from _foreach(context, site)
        if site.verb.name == "workflow":
            yield from _call(context, site)
        elif site.verb.name == "set":
            yield from _set(context, site)


def _foreach(context: RuleContext, site: Site) -> Iterator[Diagnostic]:
    said = context.said(site).get("foreach")
    if not isinstance(said, str):
        return
    shape = types_of(context).source(site)
    if not kinds(shape) & {"array", "object"}:
        path = (*site.path, "foreach")
        yield context.finding(
            CODE, SEVERITY, f"`foreach` goes over a list or map, and this is {nouns(shape)}", context.value(path),
            help="`| lines` and `| split(',')` make a list of a text" if "string" in kinds(shape) else None,
        )  # fmt: skip


def _call(context: RuleContext, site: Site) -> Iterator[Diagnostic]:
    """What expressions give to the inputs of a called workflow; literal values are checked with the call."""
    child = called(context.workflow, site)
    given = context.said(site).get("inputs")
    declared = child.data.get("inputs") if child is not None else None
    if not isinstance(given, dict) or not isinstance(declared, dict):
        return
    for name, value in given.items():
        if name in declared and isinstance(value, str) and "${{" in value:
            path = (*site.path, "inputs", name)
            shape = types_of(context).of_text(Text(path, value, False, site, "inputs"))
            why = fits(shape, schema_of(declared[name], field=True))
            if why is not None:
                yield context.finding(
                    CODE, SEVERITY, f"the input `{name}` does not take this: {why}", context.value(path)
                )


def _set(context: RuleContext, site: Site) -> Iterator[Diagnostic]:
    """A `set` that says what it gives: the value must be that."""
    said = context.said(site)
    if said.get("output") is None:
        return
    wanted = schema_of(said["output"])
    path = (*site.path, "set")
    why = _misfit(types_of(context).of_tree(said.get("set"), path, site, "set"), wanted, said.get("set"))
    if why is not None:
        yield context.finding(
            CODE, SEVERITY, f"the value of `{site.id}` is not what its `output` says: {why}", context.value(path),
            labels=(context.label((*site.path, "output"), "the type"),),
        )  # fmt: skip


def _misfit(shape: Shape, wanted: Shape, value: object) -> str | None:
    literal = not isinstance(value, str) or "${{" not in value
    if literal and not isinstance(value, dict | list) and can_check(dict(wanted)):
        found = check_value(dict(wanted), value)
        return str(found[0]) if found else None
    return fits(shape, wanted)
