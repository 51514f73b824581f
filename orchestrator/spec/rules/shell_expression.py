"""WF405: an expression in shell text where no value can be handed over safely."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.core.expressions import ExpressionError, parse_template
from orchestrator.spec.compile_graph import Site
from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page
from orchestrator.spec.shell_text import problems, variable_for

CODE = "WF405"
NAME = "shell-expression"
SUMMARY = "An expression in shell text has no safe place."
SEVERITY: Final = "error"
EXPLANATION = page(
    """A value never becomes part of a script: it is handed over in a variable, and the script gets `"$NAME"` in its place. So
    spaces, quotes and `$(…)` in a value are only characters. That works in a word and inside double quotes. Inside single
    quotes, `${…}`, arithmetic, `eval` or `bash -c "…"` the shell would either not look, or read the value as code. Hand the value
    over yourself there, with `env:`.""",
    bad="inputs: {name: string}\ntasks:\n  a: {run: \"jq '.[] | select(.name == ${{ inputs.name }})' people.json\"}",
    good="""
    inputs: {name: string}
    tasks:
      a:
        env: {NAME: '${{ inputs.name }}'}
        run: jq --arg name "$NAME" '.[] | select(.name == $name)' people.json
    """,
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for site in context.sites:
        text = context.said(site).get("run") if site.verb.name == "run" else None
        if not isinstance(text, str) or ("${{" not in text and "{%" not in text):
            continue
        found = _python(text) if site.task.get("shell") == "python" else problems(text)
        for error in found:
            yield _finding(context, site, error)


def _finding(context: RuleContext, site: Site, error: ExpressionError) -> Diagnostic:
    path = (*site.path, "run")
    return context.finding(CODE, SEVERITY, error.message, context.part(path, error.start, error.end), help=error.help)


def _python(text: str) -> list[ExpressionError]:
    """A Python script has no place for a variable's value but `os.environ`."""
    try:
        template = parse_template(text)
    except ExpressionError as error:
        return [error]
    found = []
    for part in template.parts:
        source = text[part.start : part.end]
        if source.startswith(("${{", "{%")):
            name = variable_for(source[3:-2])
            help = f"hand it over: `env: {{{name}: '{source}'}}`, and read `os.environ[\"{name}\"]`"
            found.append(ExpressionError("an expression inside a Python script", part.start, part.end, help))
    return found
