"""Everything that is wrong with a workflow, or worth saying about it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

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
    return in_order(_findings(workflow))


def _findings(workflow: Workflow) -> list[Diagnostic]:
    from orchestrator.spec.loader_suppress import suppress
    from orchestrator.spec.rules import all_rules

    reading = workflow.document.diagnostics
    around = [*workflow.config.diagnostics, *shape_of_config(workflow)]
    # What the file means depends on what it is merged with: a broken `config/` is repaired first.
    complete = workflow.has_shape and not has_errors(around)
    meaning = () if has_errors(around) else _meaning(workflow)
    found = [*reading, *_not_caused_by(reading, [*workflow.shape, *meaning]), *around]
    found = suppress(workflow.document, found, complete=complete, known=all_rules)
    for _, document in workflow.config.documents.values():
        found = suppress(document, found, complete=False)
    return found


def _meaning(workflow: Workflow) -> Iterator[Diagnostic]:
    """What can be said of the tasks that are known to be tasks."""
    from orchestrator.spec.compile_calls import calls
    from orchestrator.spec.rules._run import run_rules

    yield from run_rules(workflow)
    if workflow.has_shape:
        yield from calls(workflow)


def shape_of_config(workflow: Workflow) -> list[Diagnostic]:
    """Findings in the files of `config/` that this workflow is merged with."""
    from orchestrator.spec.shape import check_declarations, check_project

    found: list[Diagnostic] = []
    for kind, document in workflow.config.documents.values():
        found += check_project(document) if kind == "project" else check_declarations(document, kind)
    return found


def _not_caused_by(reading: Iterable[Diagnostic], shape: list[Diagnostic]) -> list[Diagnostic]:
    """One cause, one message: what YAML ate on a line explains what is odd about the shape of that line."""
    broken = {(one.file, line) for one in reading if one.severity == "error" for line in _lines(one)}
    return [one for one in shape if (one.file, one.span.line) not in broken] if has_errors(reading) else shape


def _lines(one: Diagnostic) -> range:
    return range(one.span.line, one.span.end_line + 1)
