"""All rules over one workflow; what the file itself asks to be quiet about; what of a broken file can still be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.spec.diagnostics import Diagnostic

if TYPE_CHECKING:
    from orchestrator.spec.load import Workflow


def run_rules(workflow: Workflow) -> list[Diagnostic]:
    """Every finding of every rule, in no promised order. The file's shape must be right."""
    from orchestrator.spec.rules import all_rules
    from orchestrator.spec.rules._context import RuleContext

    context = RuleContext(workflow)
    return [found for rule in all_rules().values() if rule.check is not None for found in rule.check(context)]
