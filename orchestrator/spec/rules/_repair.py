"""What of a broken file can still be judged: a view of it without the parts whose shape is wrong.

So a mistyped field does not hide an unknown agent five lines below. A task with a wrong shape stays as a task that does
nothing, so that its id is still known; a field with a wrong value is left out.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.loader import Document

if TYPE_CHECKING:
    from orchestrator.spec.compile_references import Path
    from orchestrator.spec.load import Workflow

ROUNDS_MAX: Final = 3
_TASK_MAPS: Final = ("tasks", "finally", "on_failure")
_NAMES: Final = frozenset({"WF206", "WF211"})
_NOTHING: Final = {"set": None}


def repaired(workflow: Workflow) -> Workflow | None:
    """The view, or None if not enough is left to judge."""
    data: Any = workflow.document.data
    findings = workflow.shape
    if not isinstance(data, dict):
        return None
    for _ in range(ROUNDS_MAX):
        for one in findings:
            if one.file == workflow.document.file:
                data = _without(data, _path_at(workflow.document, one), named=one.code in _NAMES)
        document = Document(workflow.document.file, workflow.document.text, data, workflow.document.root, [])
        view = dataclasses.replace(workflow, document=document, findings=None)
        findings = view.shape
        if not findings:
            return view
    return None


def _path_at(document: Document, one: Diagnostic) -> Path:
    """The way to the innermost key or value where a finding points."""
    offset = document.lines.offset(one.span.line, one.span.column)
    path: list[str | int] = []
    node: Any = document.root
    while node is not None:
        kids, following = node[4], None
        if isinstance(kids, dict):
            for name, (key_node, value_node) in kids.items():
                if key_node[0] <= offset < max(key_node[1], value_node[1]):
                    path.append(name)
                    following = None if offset < key_node[1] else value_node
                    break
        elif isinstance(kids, list):
            for index, kid in enumerate(kids):
                if kid[0] <= offset < kid[1]:
                    path.append(index)
                    following = kid
                    break
        node = following
    return tuple(path)


def _without(data: Any, path: Path, *, named: bool) -> Any:
    """`named`: the finding is about a name, so that what bears it must go."""
    if not path:
        return data
    tasks = _task_path(data, path)
    if tasks is not None:
        return _changed(data, tasks, None if named and tasks == path else _NOTHING)
    if path[0] == "inputs" and len(path) > 1:
        return _changed(data, path[:2], "any")
    if path[0] in ("agents", "workers") and len(path) > 2:
        return _changed(data, path[:3], None)
    return {key: value for key, value in data.items() if key != path[0]}


def _task_path(data: Any, path: Path) -> Path | None:
    """The innermost task that a path leads into."""
    found: Path | None = None
    at = 0
    while at + 1 < len(path) and path[at] in _TASK_MAPS and (at == 0 or path[at] == "tasks"):
        found = path[: at + 2]
        at += 2
    return found


def _changed(data: Any, path: Path, value: Any) -> Any:
    """A copy along the path with another value at its end; None takes the key away."""
    if not isinstance(data, dict) or path[0] not in data:
        return data
    if len(path) == 1:
        if value is None:
            return {key: one for key, one in data.items() if key != path[0]}
        return {**data, path[0]: value}
    return {**data, path[0]: _changed(data[path[0]], path[1:], value)}
