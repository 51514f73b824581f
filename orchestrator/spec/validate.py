"""Everything that is wrong with a workflow, or worth saying about it."""

from __future__ import annotations

import os

from orchestrator.spec.diagnostics import Diagnostic, DiagnosticsError, has_errors, in_order
from orchestrator.spec.load import Workflow, load_workflow


def validate(workflow: Workflow | str | os.PathLike[str]) -> list[Diagnostic]:
    """All findings, in the order of the file: reading, shape, and, where the shape is right, the rules.

    Never raises for what a file says. Raises NotFoundError if there is no such file. Looking never executes.
    """
    if not isinstance(workflow, Workflow):
        try:
            workflow = load_workflow(workflow)
        except DiagnosticsError as error:
            return error.diagnostics
    return in_order(workflow.document.diagnostics)
