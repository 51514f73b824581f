"""Calls of workflows, by tasks and as agents' tools: is there such a file, is it a workflow, does it call its caller, does it get
the inputs it needs?
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from orchestrator.core.expressions import can_check, check_value, tree_texts
from orchestrator.errors import NotFoundError
from orchestrator.spec.compile_references import Path
from orchestrator.spec.diagnostics import Diagnostic, DiagnosticsError, Label, Span, has_errors
from orchestrator.spec.load import Workflow
from orchestrator.spec.suggest import did_you_mean
from orchestrator.spec.tool_names import is_workflow, workflow_tools

MISSING_FILE = "WF320"
RECURSION = "WF321"
INVALID_FILE = "WF322"
INPUTS = "WF323"


class Call(NamedTuple):
    """One place that names a workflow to run."""

    said: str
    path: Path
    """Where the file says so."""
    around: Path
    """The task or agent it belongs to."""
    whose: str
    """`task` or `agent`."""
    inputs: tuple[Path, dict[str, Any]] | None = None
    """Where its inputs stand, and what they are; None if a model will say."""


def calls(workflow: Workflow) -> Iterator[Diagnostic]:
    """Findings of every call in a workflow whose shape is right. Called files are read, never run."""
    for call in calls_of(workflow):
        try:
            child = workflow.child(call.said)
        except NotFoundError as error:
            yield _finding(workflow, call, MISSING_FILE, error.message, label="called here", help=error.help)
            continue
        except DiagnosticsError as error:
            yield _invalid(workflow, call, error.diagnostics)
            continue
        way = _way_back(child, workflow.identity, (workflow.identity,))
        if way is not None:
            yield _recursion(workflow, call, way)
            continue
        findings = _findings_of(child)
        if has_errors(findings):
            yield _invalid(workflow, call, findings)
        elif call.inputs is not None:
            yield from _inputs(workflow, call, *call.inputs, child)


def calls_of(workflow: Workflow) -> list[Call]:
    """Every call of a file whose shape is right."""
    found = []
    for site in workflow.analysis.sites():
        name, task = site.verb.name, site.task
        if name == "workflow" or (name == "tool" and is_workflow(task["tool"])):
            where = (*site.path, "inputs" if name == "workflow" else "args")
            inputs = (where, task.get(str(where[-1])) or {})
            found.append(Call(task[name], (*site.path, name), site.path, "task", inputs))
    found += [Call(one.said, one.path, one.path[:-2], "agent") for one in workflow_tools(workflow)]
    return found


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
    for call in calls_of(child):
        try:
            further = child.child(call.said)
        except (NotFoundError, DiagnosticsError):
            continue
        way = _way_back(further, start, (*seen, child.identity))
        if way is not None:
            return way
    return None


def _finding(workflow: Workflow, call: Call, code: str, message: str, **more: Any) -> Diagnostic:
    document = workflow.document
    return Diagnostic(
        code=code,
        severity="error",
        message=message,
        file=document.file,
        span=document.value_span(call.path),
        labels=(Label(document.key_span(call.around), f"in this {call.whose}"),),
        **more,
    )


def _recursion(workflow: Workflow, call: Call, way: tuple[str, ...]) -> Diagnostic:
    return _finding(
        workflow,
        call,
        RECURSION,
        "the workflow calls itself" if len(way) == 2 else f"these workflows call each other: {' → '.join(way)}",
        label="this call leads back here",
        help="use `loop` or `foreach` inside one workflow",
    )


def _invalid(workflow: Workflow, call: Call, findings: list[Diagnostic]) -> Diagnostic:
    errors = [one for one in findings if one.severity == "error"]
    first = errors[0]
    more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
    return Diagnostic(
        code=INVALID_FILE,
        severity="error",
        message=f"the called workflow is not valid: {first.message}{more}",
        file=workflow.document.file,
        span=workflow.document.value_span(call.path),
        label="called here",
        labels=(Label(first.span, first.label or first.code, file=first.file),),
        help=f"whisper-flow validate {first.file}",
    )


def _inputs(workflow: Workflow, call: Call, path: Path, given: dict[str, Any], child: Workflow) -> Iterator[Diagnostic]:
    from orchestrator.spec.compile_site import input_schemas

    schemas, required = input_schemas(child.data)
    document, field = workflow.document, path[-1]
    for name in given:
        if name not in schemas:
            yield _input_finding(
                workflow,
                call,
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
            call,
            document.key_span(path) if given else document.value_span(call.path),
            f"`{child.identity}` needs the input {words}"
            if len(missing) == 1
            else f"`{child.identity}` needs the inputs {words}",
            label=f"{words} missing",
            help=f"add `{field}: {{{missing[0]}: …}}`" if not given else None,
        )
    for name, value in given.items():
        if name in schemas:
            yield from _input_type(workflow, call, (*path, name), child, value, schemas[name])


def _input_type(
    workflow: Workflow, call: Call, path: Path, child: Workflow, value: Any, schema: dict[str, Any]
) -> Iterator[Diagnostic]:
    """A literal value is checked here; what an expression gives is known to the rules that infer types."""
    if tree_texts(value) or not can_check(schema):
        return
    for problem in check_value(schema, value)[:1]:
        yield _input_finding(
            workflow,
            call,
            workflow.document.value_span(path),
            f"the input `{path[-1]}` of `{child.identity}` does not fit: {problem}",
            label="does not fit its type",
            help=None,
        )


def _input_finding(
    workflow: Workflow, call: Call, span: Span, message: str, *, label: str, help: str | None
) -> Diagnostic:
    document = workflow.document
    labels = (Label(document.key_span(call.around), "in this task"),)
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
