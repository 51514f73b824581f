"""WF404: `inputs.x`, `env.X` or `secrets.X` that the file does not declare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.core.expressions import UnknownFieldError
from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page
from orchestrator.spec.rules._problems import problems
from orchestrator.spec.rules.no_such_field import is_declared_name

CODE = "WF404"
NAME = "unknown-input"
SUMMARY = "An input, variable or secret is not declared."
SEVERITY: Final = "error"
EXPLANATION = page(
    """`inputs.x` is declared under `inputs`, `env.X` under `env` (of the file or the task), `secrets.X` under `secrets`. Variables
    of your own shell are not visible to expressions: declare what a workflow needs, so that it runs elsewhere too. A shell
    script may use `$X` for what its environment holds.""",
    bad="inputs: {topic: string}\ntasks:\n  say: {run: 'echo ${{ inputs.topik }}'}",
    good="inputs: {topic: string}\ntasks:\n  say: {run: 'echo ${{ inputs.topic }}'}",
)
_NOUNS: Final = {"inputs": "input", "env": "variable", "secrets": "secret"}


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for problem in problems(context):
        reference = problem.reference
        if not isinstance(problem.error, UnknownFieldError) or reference is None or not is_declared_name(problem):
            continue
        name, section = str(reference.path[0]), reference.root
        declared = context.data.get(section)
        known = [str(one) for one in declared] if isinstance(declared, dict | list) else []
        form = f"[{name}]" if section == "secrets" else f"{{{name}: …}}"
        yield context.finding(
            CODE, SEVERITY, f"unknown {_NOUNS[section]} `{name}`",
            context.part(problem.text.path, problem.error.start, problem.error.end),
            help=context.did_you_mean(name, known) or f"declare it: `{section}: {form}`",
        )  # fmt: skip
