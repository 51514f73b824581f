"""WF409: a schedule or trigger that does not give the inputs which the workflow needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page
from orchestrator.spec.rules._types import schema_of

CODE = "WF409"
NAME = "trigger-inputs"
SUMMARY = "A schedule or trigger does not fit the inputs of the workflow."
SEVERITY: Final = "error"
EXPLANATION = page(
    """A run that a schedule or trigger starts gets its inputs from there: every input without `default` or `optional` must be
    given, and no other names.""",
    bad="inputs: {goal: string}\nschedules:\n  - {cron: '0 8 * * *'}\ntasks: {a: {run: 'echo ${{ inputs.goal }}'}}",
    good="inputs: {goal: string}\nschedules:\n  - {cron: '0 8 * * *', inputs: {goal: tidy}}\ntasks: {a: {run: 'echo ${{ inputs.goal }}'}}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    declared = context.data.get("inputs")
    inputs: dict[str, Any] = declared if isinstance(declared, dict) else {}
    for section in ("schedules", "wake_on"):
        entries = context.data.get(section)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict):
                yield from _entry(context, inputs, entry, (section, index))


def _entry(
    context: RuleContext, inputs: dict[str, Any], entry: dict[str, Any], path: tuple[str | int, ...]
) -> Iterator[Diagnostic]:
    given = entry.get("inputs") or {}
    for name in given:
        if name not in inputs:
            yield context.finding(
                CODE, SEVERITY, f"the workflow has no input `{name}`", context.key((*path, "inputs", name)),
                help=context.did_you_mean(name, inputs),
            )  # fmt: skip
    missing = [name for name, said in inputs.items() if name not in given and _needed(said)]
    if missing:
        words = ", ".join(f"`{name}`" for name in missing)
        span = context.key((*path, "inputs")) if given else context.key(path)
        label = context.label(("inputs", missing[0]), "declared here, without a default")
        yield context.finding(
            CODE, SEVERITY, f"the run would start without its input{'s' if len(missing) > 1 else ''} {words}", span,
            labels=(label,), help=f"add `inputs: {{{missing[0]}: …}}`, or give it a default",
        )  # fmt: skip


def _needed(said: Any) -> bool:
    schema = schema_of(said, field=True)
    return "default" not in schema and not schema.get("optional", False)
