"""All rules over one workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.spec.diagnostics import Diagnostic

if TYPE_CHECKING:
    from orchestrator.spec.load import Workflow


def run_rules(workflow: Workflow) -> list[Diagnostic]:
    """Every finding of every rule, in no promised order.

    Of a file whose shape is not right only the errors in the parts that are: what seems unused may be used in the rest.
    """
    from orchestrator.spec.rules import all_rules
    from orchestrator.spec.rules._context import RuleContext

    if workflow.has_shape:
        context = RuleContext(workflow)
    else:
        from orchestrator.spec.rules._repair import repaired

        found_view = repaired(workflow)
        if found_view is None:
            return []
        context = RuleContext(found_view[0], partial=True, lost=found_view[1])
    checks = [rule.check for rule in all_rules().values() if rule.check is not None]
    found = [one for check in checks for one in check(context)]
    return [one for one in found if one.severity == "error"] if context.partial else found
