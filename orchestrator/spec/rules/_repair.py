"""What of a broken file can still be judged: a view of it without the parts whose shape is wrong.

So a mistyped field does not hide an unknown agent five lines below. A task with a wrong shape stays as a task of which only
the id is known; where that is wrong, what refers to it is not judged. A field with a wrong value is left out.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, Final

from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.loader import Document

if TYPE_CHECKING:
    from orchestrator.spec.compile_references import Path
    from orchestrator.spec.load import Workflow

ROUNDS_MAX: Final = 3
_TASK_MAPS: Final = ("tasks", "finally", "on_failure")
_NAMES: Final = frozenset({"WF206", "WF211"})
_SOMETHING: Final = {"python": "unknown:unknown"}
"""A task whose value may be anything."""
_ASIDE: Final = frozenset(
    {"timeout", "retry", "budget", "total_budget", "cwd", "cache", "effect", "max_parallel", "description"}
)
"""Fields of a task that say nothing about its names or its value."""


class Lost:
    """Names that something bears which the view leaves out: nobody can say whether they are known."""

    def __init__(self, everything: bool = False) -> None:
        self.everything = everything
        self._names: set[str] = set()

    def add(self, name: str) -> None:
        """With its words: `my-log` is read as `my` minus `log`."""
        self._names.update((name, *re.split(r"\W+", name)))

    def __contains__(self, name: object) -> bool:
        return self.everything or name in self._names


def repaired(workflow: Workflow) -> tuple[Workflow, Lost] | None:
    """The view and what it left out, or None if not enough is left to judge."""
    data: Any = workflow.document.data
    findings = workflow.shape
    if not isinstance(data, dict):
        return None
    lost = Lost(everything=not isinstance(data.get("tasks"), dict))
    for _ in range(ROUNDS_MAX):
        for one in findings:
            if one.file == workflow.document.file:
                path = _path_at(workflow.document, one)
                if one.code in _NAMES and path == _task_path(data, path):
                    lost.add(str(path[-1]))
                data = _without(data, path, one.code)
        document = Document(workflow.document.file, workflow.document.text, data, workflow.document.root, [])
        view = dataclasses.replace(workflow, document=document, findings=None)
        findings = view.shape
        if not findings:
            return view, lost
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


def _without(data: Any, path: Path, code: str) -> Any:
    if not path:
        return data
    tasks = _task_path(data, path)
    if tasks is not None:
        if tasks == path:  # where the finding is about its name, what bears it must go
            return _changed(data, tasks, None if code in _NAMES else _SOMETHING)
        field = path[len(tasks)]
        return _changed(data, path[: len(tasks) + 1], None) if field in _ASIDE else _changed(data, tasks, _SOMETHING)
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
