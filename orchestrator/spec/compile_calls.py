"""`workflow:` tasks: is there such a file, is it a workflow, does it call its caller, does it get the inputs it needs?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.core.expressions import can_check, check_value, tree_texts
from orchestrator.errors import NotFoundError
from orchestrator.spec.compile_graph import Site
from orchestrator.spec.diagnostics import Diagnostic, DiagnosticsError, Label, Span, has_errors
from orchestrator.spec.load import Workflow
from orchestrator.spec.suggest import did_you_mean

MISSING_FILE = "WF320"
RECURSION = "WF321"
INVALID_FILE = "WF322"
INPUTS = "WF323"


def calls(workflow: Workflow) -> Iterator[Diagnostic]:
    """Findings of every call in a workflow whose shape is right. Called files are read, never run."""
    for site in call_sites(workflow):
        try:
            child = workflow.child(site.task["workflow"])
        except NotFoundError as error:
            yield _finding(workflow, site, MISSING_FILE, error.message, label="called here", help=error.help)
            continue
        except DiagnosticsError as error:
            yield _invalid(workflow, site, error.diagnostics)
            continue
        way = _way_back(child, workflow.identity, (workflow.identity,))
        if way is not None:
            yield _recursion(workflow, site, way)
            continue
        findings = _findings_of(child)
        if has_errors(findings):
            yield _invalid(workflow, site, findings)
        else:
            yield from _inputs(workflow, site, child)


def call_sites(workflow: Workflow) -> list[Site]:
    return [site for site in workflow.analysis.sites() if site.verb.name == "workflow"]


def _findings_of(child: Workflow) -> list[Diagnostic]:
    if child.findings is None:
        from orchestrator.spec.validate import validate

        child.findings = []  # a call of itself further down is found as recursion, not by looking again
        child.findings = validate(child)
    return child.findings


def _way_back(child: Workflow, start: str, seen: tuple[str, ...]) -> tuple[str, ...] | None:
    """The files from a called one back to `start`, if it leads there."""
    if child.identity == start:
        return (*seen, start)
    if child.identity in seen or not child.has_shape:
        return None
    for site in call_sites(child):
        try:
            further = child.child(site.task["workflow"])
        except (NotFoundError, DiagnosticsError):
            continue
        way = _way_back(further, start, (*seen, child.identity))
        if way is not None:
            return way
    return None


def _finding(workflow: Workflow, site: Site, code: str, message: str, **more: Any) -> Diagnostic:
    document = workflow.document
    return Diagnostic(
        code=code,
        severity="error",
        message=message,
        file=document.file,
        span=document.value_span((*site.path, "workflow")),
        labels=(Label(document.key_span(site.path), "in this task"),),
        **more,
    )


def _recursion(workflow: Workflow, site: Site, way: tuple[str, ...]) -> Diagnostic:
    return _finding(
        workflow,
        site,
        RECURSION,
        "the workflow calls itself" if len(way) == 2 else f"these workflows call each other: {' → '.join(way)}",
        label="this call leads back here",
        help="use `loop` or `foreach` inside one workflow",
    )


def _invalid(workflow: Workflow, site: Site, findings: list[Diagnostic]) -> Diagnostic:
    errors = [one for one in findings if one.severity == "error"]
    first = errors[0]
    more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
    return Diagnostic(
        code=INVALID_FILE,
        severity="error",
        message=f"the called workflow is not valid: {first.message}{more}",
        file=workflow.document.file,
        span=workflow.document.value_span((*site.path, "workflow")),
        label="called here",
        labels=(Label(first.span, first.label or first.code, file=first.file),),
        help=f"whisper-flow validate {first.file}",
    )


def _inputs(workflow: Workflow, site: Site, child: Workflow) -> Iterator[Diagnostic]:
    from orchestrator.spec.compile_site import input_schemas

    schemas, required = input_schemas(child.data)
    given = site.task.get("inputs") or {}
    document, path = workflow.document, (*site.path, "inputs")
    for name in given:
        if name not in schemas:
            yield _input_finding(
                workflow,
                site,
                document.key_span((*path, name)),
                f"`{child.identity}` has no input `{name}`",
                label="not an input of that workflow",
                help=did_you_mean(name, schemas),
            )
    missing = [name for name in required if name not in given]
    if missing:
        words = ", ".join(f"`{name}`" for name in missing)
        yield _input_finding(
            workflow,
            site,
            document.key_span(path) if given else document.value_span((*site.path, "workflow")),
            f"`{child.identity}` needs the input {words}"
            if len(missing) == 1
            else f"`{child.identity}` needs the inputs {words}",
            label=f"{words} missing",
            help=f"add `inputs: {{{missing[0]}: …}}`" if not given else None,
        )
    for name, value in given.items():
        if name in schemas:
            yield from _input_type(workflow, site, child, name, value, schemas[name])


def _input_type(
    workflow: Workflow, site: Site, child: Workflow, name: str, value: Any, schema: dict[str, Any]
) -> Iterator[Diagnostic]:
    """A literal value is checked here; what an expression gives is known to the rules that infer types."""
    if tree_texts(value) or not can_check(schema):
        return
    for problem in check_value(schema, value)[:1]:
        yield _input_finding(
            workflow,
            site,
            workflow.document.value_span((*site.path, "inputs", name)),
            f"the input `{name}` of `{child.identity}` does not fit: {problem}",
            label="does not fit its type",
            help=None,
        )


def _input_finding(
    workflow: Workflow, site: Site, span: Span, message: str, *, label: str, help: str | None
) -> Diagnostic:
    document = workflow.document
    labels = (Label(document.key_span(site.path), "in this task"),)
    return Diagnostic(
        code=INPUTS,
        severity="error",
        message=message,
        file=document.file,
        span=span,
        label=label,
        labels=labels,
        help=help,
    )
