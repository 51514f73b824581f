"""WF304: `tasks.X.…` asks for something that is not known about tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF304"
NAME = "unknown-fact"
SUMMARY = "`tasks.X` has no such fact."
SEVERITY: Final = "error"
EXPLANATION = page(
    """A task's id alone is its value: `fetch.items[0]`. About the task, `tasks.fetch` knows `status`, `reason`, `error`,
    `attempts`, `duration`, `cost`, `stdout`, `stderr`, `exit_code`, `response`, `history`, `answered_by` and `items`; about
    the run, `run` knows `id`, `status`, `started_at`, `scheduled_at`, `trigger`, `attempt`, `workflow`, `error` and `cost`.""",
    bad="tasks:\n  test: {run: make test, on_error: continue}\n  note: {set: '${{ tasks.test.code }}'}",
    good="tasks:\n  test: {run: make test, on_error: continue}\n  note: {set: '${{ tasks.test.exit_code }}'}",
)

TASK_FACTS: Final = (
    "status", "reason", "error", "attempts", "duration", "cost", "stdout", "stderr", "exit_code", "response", "history",
    "answered_by", "items",
)  # fmt: skip
RUN_FACTS: Final = ("id", "status", "started_at", "scheduled_at", "trigger", "attempt", "workflow", "error", "cost")

_ELSEWHERE: Final = {
    "code": "exit_code",
    "returncode": "exit_code",
    "exitcode": "exit_code",
    "state": "status",
    "outcome": "status",
}
_VALUE_WORDS: Final = frozenset({"output", "outputs", "result", "value", "results"})


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for text in context.texts:
        for reference in text.references:
            at = {"tasks": 1, "run": 0}.get(reference.root)
            if at is None or len(reference.path) <= at:
                continue
            facts = TASK_FACTS if at else RUN_FACTS
            fact = str(reference.path[at])
            if fact in facts:
                continue
            owner = f"task `{reference.path[0]}`" if at else "the run"
            help = context.did_you_mean(fact, facts)
            if at and fact in _ELSEWHERE:
                help = f"did you mean `{_ELSEWHERE[fact]}`?"
            elif at and (help is None or fact in _VALUE_WORDS):
                task = reference.path[0]
                help = f"its value is `{task}`" if fact in _VALUE_WORDS else f"a field of its value is `{task}.{fact}`"
            yield context.finding(
                CODE, SEVERITY, f"nothing called `{fact}` is known about {owner}",
                context.part(text.path, reference.start, reference.end), help=help,
            )  # fmt: skip
