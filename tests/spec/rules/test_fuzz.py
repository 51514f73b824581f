"""Damaged workflows: findings with places, never a traceback; and what has no error compiles."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sizes import size

from orchestrator.spec.diagnostics import DiagnosticsError, has_errors
from orchestrator.spec.fixes import apply_fixes
from orchestrator.spec.load import workflow_from_text
from orchestrator.spec.loader import load_document
from orchestrator.spec.reports import render
from orchestrator.spec.rules import all_rules
from orchestrator.spec.validate import validate

SEEDS = [
    path.read_text()
    for path in sorted((Path(__file__).parents[1] / "err").glob("*.yaml"))
    if path.stem.split("-")[0] not in ("control", "not", "alias", "too", "byte", "carriage")
]
WORDS = [
    "${{ item }}", "${{ previous.x }}", "${{ tasks.a.status }}", "${{ inputs.x | default('') }}", "a.b[0].c", "a", "b", "item",
    "true", "null",
"{}", "[]", "''", "1", "1.5", "5m", "$1.00", "[a, b]", "{a: 1}", "{x: '${{ a }}'}", "string", "[string]", "{x: integer}", "a | b",
    "0 8 * * *", "@daily", "Europe/Rome", "openai/gpt-5", "x.yaml", "'${{ a.b | map(attribute=\"x\") }}'", "range(3)",
]  # fmt: skip
KEYS = [
    "run", "agent", "prompt", "set", "tasks", "foreach", "loop", "when", "after", "until", "max", "output", "inputs",
    "outputs", "env", "form", "ask", "wait", "send", "http", "workflow", "end", "session", "as", "key", "item_after",
    "retry", "budget", "cost", "secrets", "agents", "workers", "schedules", "cron", "timezone", "at", "wake_on",
    "mail", "defaults", "finally", "on_failure", "order", "model", "worker", "output_schema", "type", "default",
    "optional", "resident", "schedule", "fallback", "sub_agents", "mailboxes", "python", "args",
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A seed with a few lines exchanged, doubled or dropped, and words replaced by others that could stand there."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 5))):
        how = draw(st.integers(0, 3))
        if how == 0:
            lines = text.split("\n")
            at = draw(st.integers(0, len(lines) - 1))
            lines[at : at + 1] = draw(
                st.sampled_from([[], [lines[at], lines[at]], [lines[at] + " " + draw(st.sampled_from(WORDS))]])
            )
            text = "\n".join(lines)
        elif how == 1:
            before, colon, after = text.partition(draw(st.sampled_from(KEYS)) + ":")
            text = before + (draw(st.sampled_from(KEYS)) + ":" if colon else "") + after
        elif how == 2:
            at = draw(st.integers(0, len(text)))
            text = text[:at] + draw(st.sampled_from(WORDS)) + text[at + draw(st.integers(0, 8)) :]
        else:
            text += f"\n  z{draw(st.integers(0, 3))}: {{{draw(st.sampled_from(KEYS))}: {draw(st.sampled_from(WORDS))}}}"
    return text


def _trees() -> list[dict[str, Any]]:
    """The seeds that can be read, and the examples of the pages, as data."""
    trees = []
    for text in [
        *SEEDS,
        *(rule.explanation.partition("Right:\n\n```yaml\n")[2].removesuffix("\n```") for rule in all_rules().values()),
    ]:
        try:
            data = load_document(text.encode(), file="seed", tolerant=True).data
        except DiagnosticsError:
            continue
        if isinstance(data, dict) and "tasks" in data:
            trees.append(data)
    return trees


TREES = _trees()
VALUES: list[Any] = [
    *WORDS, *KEYS, None, True, False, 0, 1, -1, 1.5, [], {}, ["a", "b"], [1, [2]], {"a": 1}, {"x": "${{ a }}"}, {"type": "string"},
    {"run": "echo"}, {"set": "${{ b }}"}, {"max": 3}, {"cost": "$1.00"}, [{"cron": "0 8 * * *"}], {"mail": "inbox"},
]  # fmt: skip


def _places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in items for place in _places(one, (*path, key)))]


@st.composite
def tampered(draw: st.DrawFn) -> str:
    """A workflow whose values and keys were exchanged for others; written as JSON, so that it can always be read."""
    tree = copy.deepcopy(draw(st.sampled_from(TREES)))
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(_places(tree)[1:] or [("tasks",)]))
        holder = tree
        for part in path[:-1]:
            holder = holder[part]
        value = copy.deepcopy(draw(st.sampled_from(VALUES)))
        how = draw(st.integers(0, 3)) if isinstance(holder, dict) else 0
        if how == 0 or path[-1] not in holder:
            holder[path[-1]] = value
        elif how == 1:
            holder[draw(st.sampled_from(KEYS))] = value
        elif how == 2:
            holder[draw(st.sampled_from(KEYS))] = holder.pop(path[-1])
        else:
            del holder[path[-1]]
    return json.dumps(tree, indent=1, ensure_ascii=False)


def look(text: str) -> None:
    try:
        workflow = workflow_from_text(text)
        found = validate(workflow)
    except DiagnosticsError as error:
        found = error.diagnostics
        assert found
    for one in found:
        assert one.span.line >= 1
        assert one.span.column >= 1
        assert one.message
        assert "\n" not in one.message
    render("text", found, {"workflows/untitled.yaml": text})
    apply_fixes(text, found)
    if not has_errors(found):
        from orchestrator.spec.compile import compile_plan

        compile_plan(workflow_from_text(text))


@pytest.mark.timeout(0)
def test_a_damaged_workflow_is_explained_and_what_is_valid_compiles(request: pytest.FixtureRequest) -> None:
    examples = size(request.config, here=400, ci=2_000, release=50_000)

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(damaged())
    def law(text: str) -> None:
        look(text)

    law()


@pytest.mark.timeout(0)
def test_a_workflow_with_exchanged_values_is_explained_or_compiles(request: pytest.FixtureRequest) -> None:
    examples = size(request.config, here=400, ci=2_000, release=50_000)

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(tampered())
    def law(text: str) -> None:
        look(text)

    law()
