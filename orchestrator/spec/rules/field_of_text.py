"""WF408: a field of a command's output that was never said to be JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.spec.compile_graph import Site
from orchestrator.spec.diagnostics import Diagnostic, Label
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF408"
NAME = "field-of-text"
SUMMARY = "A field of a command's output is used, but the command has no `output`."
SEVERITY: Final = "warning"
EXPLANATION = page(
    """Without `output` the value of a `run` task is the text it printed, and a text has no fields: the task that asks for one
    fails as `missing_value`. With `output` the command prints one JSON value, which is checked against the type. (A command
    that writes its value to `$WHISPER_OUTPUT` may do so without a type; then this finding is wrong, and a type still helps.)""",
    bad="tasks:\n  info: {run: npm view left-pad --json}\n  say: {set: '${{ info.version }}'}",
    good="tasks:\n  info: {run: npm view left-pad --json, output: {type: object}}\n  say: {set: '${{ info.version }}'}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for text in context.texts:
        for reference in text.references:
            if reference.root == "tasks" or not reference.path or not isinstance(reference.path[0], str):
                continue
            site = context.meaning(text, reference.root)
            if isinstance(site, Site) and _prints_text(site):
                yield context.finding(
                    CODE, SEVERITY, f"`{site.id}` gives text, which has no field `{reference.path[0]}`",
                    context.part(text.path, reference.start, reference.end),
                    labels=(Label(context.key(site.path), "has no `output`"),),
                    help="say what it prints: `output: {name: type}`; the command prints one JSON value",
                )  # fmt: skip


def _prints_text(site: Site) -> bool:
    task = site.task
    if (
        site.verb.name != "run"
        or "foreach" in task
        or task.get("output") is not None
        or task.get("output_schema") is not None
    ):
        return False
    return "WHISPER_OUTPUT" not in str(task["run"])
