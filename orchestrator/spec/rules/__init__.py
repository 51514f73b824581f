"""The rules of the validator: one file each, found by itself, never listed.

A rule's file defines

    CODE = "WF302"                 for ever; never used for anything else
    NAME = "cycle"                 the file's name, with hyphens
    SUMMARY = "…"                  one line: what is wrong
    EXPLANATION = "…"              Markdown for `whisper-flow explain CODE`: what, why, a bad example, a good one
    SEVERITY = "error"             the usual one
    def check(context: RuleContext) -> Iterator[Diagnostic]

Codes that the loader and the shape checks give are explained in `_loader_codes.py` and `_shape_codes.py`. To look never
executes: a rule reads the context and nothing else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from orchestrator.errors import NotFoundError
from orchestrator.registry import names
from orchestrator.spec.diagnostics import Diagnostic, Severity
from orchestrator.spec.suggest import did_you_mean

if TYPE_CHECKING:
    from orchestrator.spec.rules._context import RuleContext

Check = Callable[["RuleContext"], Iterator[Diagnostic]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A code and what is known about it; `check` is None for what the loader or the shape checks find."""

    code: str
    name: str
    summary: str
    explanation: str
    severity: Severity = "error"
    check: Check | None = None


@functools.cache
def all_rules() -> dict[str, Rule]:
    """Every code with its rule, in order of the codes. Imports all of them."""
    from orchestrator.spec.rules import _loader_codes, _shape_codes

    found = [*_loader_codes.RULES, *_shape_codes.RULES, *(_from_file(name) for name in names(__name__))]
    rules = {rule.code: rule for rule in sorted(found, key=lambda one: one.code)}
    assert len(rules) == len(found), "two rules share a code"
    return rules


def _from_file(name: str) -> Rule:
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    return Rule(module.CODE, module.NAME, module.SUMMARY, module.EXPLANATION, module.SEVERITY, module.check)


def find(code: str) -> Rule | None:
    return all_rules().get(code.upper())


def explain(code: str) -> str:
    """The Markdown page of a code (or of a rule's name); NotFoundError with near ones if there is none."""
    rules = all_rules()
    by_name = {rule.name: rule for rule in rules.values()}
    rule = rules.get(code.upper()) or by_name.get(code.lower())
    if rule is None:
        raise NotFoundError(f"there is no rule `{code}`", help=did_you_mean(code.upper(), [*rules, *by_name]))
    return f"# {rule.code} {rule.name} ({rule.severity})\n\n{rule.summary}\n\n{rule.explanation.strip()}\n"
