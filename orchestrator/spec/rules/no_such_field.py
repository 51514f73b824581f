"""WF403: a field that a value is known not to have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from orchestrator.core.expressions import UnknownFieldError
from orchestrator.spec.compile_graph import Site
from orchestrator.spec.diagnostics import Diagnostic, Label
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page
from orchestrator.spec.rules._problems import Problem, problems

CODE = "WF403"
NAME = "no-such-field"
SUMMARY = "A value has no such field."
SEVERITY: Final = "error"
EXPLANATION = page(
    """What fields a value has is known from `output`, a form, the keys of a `set`, the tasks or `outputs` of a group, the outputs
    of a called workflow. An agent without `output` gives text, which has no fields. The value of a `foreach` is a list:
    `build[0].branch` is one element's field, `build | map(attribute="branch")` all of them; `build.ok` and `build.failed` say
    how the items ended.""",
    bad="""
    agents: {w: {model: openai/gpt-5-mini}}
    tasks:
      rate: {agent: w, prompt: Rate this, output: {points: number 0..10}}
      say: {set: '${{ rate.score }}'}
    """,
    good="""
    agents: {w: {model: openai/gpt-5-mini}}
    tasks:
      rate: {agent: w, prompt: Rate this, output: {points: number 0..10}}
      say: {set: '${{ rate.points }}'}
    """,
)
_FIRST_KEY: Final = re.compile(r"\w+\s*(?:\.\s*\w+|\[\s*(?:'[^']*'|\"[^\"]*\"))")
ROOTS_ELSEWHERE: Final = frozenset({"inputs", "env", "secrets"})


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for problem in problems(context):
        if isinstance(problem.error, UnknownFieldError) and not is_declared_name(problem):
            yield _finding(context, problem)


def is_declared_name(problem: Problem) -> bool:
    """`inputs.x`: not a field of a value, but a name that is not declared."""
    reference = problem.reference
    if reference is None or reference.root not in ROOTS_ELSEWHERE or not reference.path:
        return False
    return _FIRST_KEY.fullmatch(problem.text.text, reference.start, problem.error.end) is not None


def _finding(context: RuleContext, problem: Problem) -> Diagnostic:
    text, error, reference = problem
    found = context.meaning(text, reference.root) if reference is not None else False
    labels: tuple[Label, ...] = ()
    help = error.help
    message = error.message
    if isinstance(found, Site):
        message = f"{message} in the value of `{found.id}`" if message.startswith("no field") else message
        typed = next((key for key in ("output", "output_schema", "form", "outputs", "set") if key in found.task), None)
        if "foreach" in found.task and error.message.startswith("no field"):
            labels = (Label(context.key((*found.path, "foreach")), "so its value is a list or map of results"),)
            help = "`.ok` and `.failed` say how the items ended; `| map(attribute=…)` takes a field of each"
        elif typed is not None:
            labels = (Label(context.key((*found.path, typed)), "its type"),)
        elif found.verb.name == "agent":
            labels = (Label(context.key(found.path), "this agent task gives text"),)
            help = "declare what it gives: `output: {name: type}`"
    return context.finding(
        CODE, SEVERITY, message, context.part(text.path, error.start, error.end), labels=labels, help=help
    )
