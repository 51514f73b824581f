"""A digest says what a task does, and changes with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.plan import Plan, decode_plan, encode_plan
from orchestrator.spec.compile import lower
from orchestrator.spec.load import load_workflow, workflow_from_text

BASE = """
agents: {w: {model: embedded/writer, instructions: Be short.}}
env: {LEVEL: info}
tasks:
  a: {run: make a, timeout: 5m}
  b: {agent: w, prompt: Hi, after: a}
  c:
    foreach: [1, 2]
    tasks:
      d: {set: '${{ item }}'}
"""


def plan_of(text: str) -> Plan:
    workflow = workflow_from_text(text)
    assert workflow.has_shape, workflow.shape
    return lower(workflow)


def digests(text: str) -> dict[str, str]:
    return {one.id: one.digest for one in plan_of(text).scopes[0].nodes}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tasks:", "# a comment\ntasks:"),
        ("timeout: 5m", "timeout: 6m"),
        ("timeout: 5m", "timeout: 5m, retry: 3, on_error: warn, description: x"),
        (", after: a", ""),
        ("  b:", "  extra: {set: 1}\n  b:"),
    ],
)
def test_what_changes_no_result_changes_no_digest(old: str, new: str) -> None:
    before, after = digests(BASE), digests(BASE.replace(old, new, 1))
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("make a", "make b", {"a"}),
        ("prompt: Hi", "prompt: Ho", {"b"}),
        ("Be short.", "Be long.", {"b"}),
        ("embedded/writer", "embedded/other", {"b"}),
        ("LEVEL: info", "LEVEL: debug", {"a"}),
        ("[1, 2]", "[1, 3]", {"c"}),
        ("'${{ item }}'", "'${{ index }}'", {"c"}),
        ("timeout: 5m", "when: inputs.x", {"a"}),
        ("timeout: 5m", "output: string", {"a"}),
        ("timeout: 5m", "cwd: sub", {"a"}),
    ],
)
def test_what_changes_a_result_changes_the_digest_of_that_task(old: str, new: str, changed: set[str]) -> None:
    before, after = digests(BASE), digests(BASE.replace(old, new, 1))
    assert {name for name in before if before[name] != after[name]} == changed


def test_a_plan_has_the_same_bytes_each_time_and_survives_them() -> None:
    plan = plan_of(BASE)
    assert encode_plan(plan) == encode_plan(plan_of(BASE))
    assert decode_plan(encode_plan(plan)) == plan
    assert plan.digest != plan_of(BASE.replace("make a", "make b")).digest


def test_a_plan_does_not_know_where_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = []
    for name in ("here", "there"):
        file = tmp_path / name / "workflows" / "x.yaml"
        file.parent.mkdir(parents=True)
        file.write_text("tasks: {a: {tool: x}, b: {run: y}}\n")
        plans.append(lower(load_workflow(file)))
        monkeypatch.chdir(file.parent)
        plans.append(lower(load_workflow("x.yaml")))
    assert len({encode_plan(plan) for plan in plans}) == 1
