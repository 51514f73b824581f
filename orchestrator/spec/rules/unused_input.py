"""WF330: an input that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF330"
NAME = "unused-input"
SUMMARY = "An input is declared and never used."
SEVERITY: Final = "warning"
EXPLANATION = page(
    """Whoever starts the workflow is asked for it, and it changes nothing. Use it as `${{ inputs.name }}`, or take it away.
    Scripts do not see inputs by themselves.""",
    bad="inputs: {topic: string}\ntasks:\n  say: {run: echo $topic}",
    good="inputs: {topic: string}\ntasks:\n  say: {run: 'echo ${{ inputs.topic }}'}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    declared = context.data.get("inputs")
    if not isinstance(declared, dict) or context.partial:
        return
    used: set[str] = set()
    for text in context.texts:
        if text.error is not None:
            return  # what cannot be read may use anything
        for reference in text.references:
            if reference.root == "inputs":
                if not reference.path:
                    return
                used.add(str(reference.path[0]))
    # A mistyped name is one mistake, not two: what it may have meant counts as used.
    used |= {near for name in used - set(declared) for near in context.near(name, declared)}
    for name in declared:
        if name not in used:
            yield context.finding(CODE, SEVERITY, f"input `{name}` is never used", context.key(("inputs", name)))
