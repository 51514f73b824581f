"""WF410: `{{ x }}` where `${{ x }}` was meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from orchestrator.spec.compile_references import STATIC, Path
from orchestrator.spec.diagnostics import Diagnostic, Edit
from orchestrator.spec.rules._context import RuleContext, Text
from orchestrator.spec.rules._page import page

CODE = "WF410"
NAME = "missing-dollar"
SUMMARY = "`{{ x }}` is text; an expression is written `${{ x }}`."
SEVERITY: Final = "warning"
EXPLANATION = page(
    """Double braces without the `$` pass through as they are, because other tools use them in prompts and scripts. Here they begin
    with a name that means something in this place, so an expression was probably meant. `--fix` adds the `$`.""",
    bad="inputs: {name: string}\nagents: {w: {model: openai/gpt-5}}\ntasks:\n  a: {agent: w, prompt: 'Greet {{ inputs.name }}'}",
    good="inputs: {name: string}\nagents: {w: {model: openai/gpt-5}}\ntasks:\n  a: {agent: w, prompt: 'Greet ${{ inputs.name }}'}",
)
_BRACES: Final = re.compile(r"(?<!\$)\{\{\s*([A-Za-z_]\w*)\s*(?=[.|\[}])[^{}]*\}\}")


def check(context: RuleContext) -> Iterator[Diagnostic]:
    if "{{" not in context.document.text.replace("${{", ""):
        return
    for site in context.sites:
        for field, value in context.said(site).items():
            if field not in STATIC and field not in site.verb.verbatim:
                for path, text in _texts(value, (*site.path, field)):
                    yield from _text(context, Text(path, text, False, site, field))


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        if "{{" in value:
            yield path, value
    elif isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(one, (*path, key))


def _text(context: RuleContext, text: Text) -> Iterator[Diagnostic]:
    for found in _BRACES.finditer(text.text):
        # In a script braces mostly belong to another program, unless they name an input.
        if context.meaning(text, found.group(1)) is False or (text.field == "run" and found.group(1) != "inputs"):
            continue
        span = context.part(text.path, *found.span())
        yield context.finding(
            CODE, SEVERITY, f"`{found.group()}` is text, not an expression", span, help=f"write `${found.group()}`",
            fix=(Edit(span._replace(end_line=span.line, end_column=span.column), "$"),) if _exact(context, text) else None,
        )  # fmt: skip


def _exact(context: RuleContext, text: Text) -> bool:
    """Whether places inside the text are known for sure, and an expression may stand there."""
    return text.field != "run" and context.document.position_in(
        text.path, len(text.text) - 1
    ) != context.document.value_span(text.path)
