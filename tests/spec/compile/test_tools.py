"""Tools in a plan: effects by name, and workflows that are called as tools."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from orchestrator.core.plan import Plan
from orchestrator.spec.compile import compile_plan
from orchestrator.spec.load import load_workflow
from orchestrator.spec.plan_cache import load_plan

CHILD = "inputs: {n: integer}\ntasks: {t: {set: 1}}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "workflows" / "parts").mkdir(parents=True)
    (tmp_path / "workflows" / "parts" / "child.yaml").write_text(CHILD)
    (tmp_path / "workflows" / "far.yaml").write_text(CHILD)
    return tmp_path


def plan_of(project: Path, text: str) -> Plan:
    path = project / "workflows" / "flow.yaml"
    path.write_text(textwrap.dedent(text))
    return compile_plan(load_workflow(path, project))


@pytest.mark.parametrize(
    ("task", "effect"),
    [
        ("{tool: files.read, args: {path: a}}", "pure"),
        ("{tool: files.write, args: {path: a, content: b}}", "idempotent"),
        ("{tool: shell, args: {argv: [a]}}", "at_most_once"),
        ("{tool: shell, args: {argv: [a]}, effect: pure}", "pure"),
        ("{tool: 'module:function'}", "at_least_once"),
        ("{tool: clock.now}", "at_least_once"),
        ("{tool: ./far.yaml, args: {n: 1}}", "at_least_once"),
    ],
)
def test_a_tool_task_has_its_tools_effect(project: Path, task: str, effect: str) -> None:
    plan = plan_of(project, f"mcp: {{clock: {{command: x}}}}\ntasks: {{t: {task}}}")
    assert plan.scopes[0].nodes[0].effect == effect
    assert plan.not_yet == ()


def test_a_workflow_called_by_a_task_is_a_child_under_its_identity(project: Path) -> None:
    plan = plan_of(project, "tasks: {t: {tool: ./parts/child.yaml, args: {n: 1}}}")
    assert plan.scopes[0].nodes[0].fields["name"] == "workflows/parts/child.yaml"
    assert list(plan.children) == ["workflows/parts/child.yaml"]


AGENTS = """
    agents:
      a: {model: embedded/writer, tools: [./parts/child.yaml, files.read], sub_agents: [b]}
      b: {model: embedded/writer, tools: [workflows/far.yaml]}
    tasks:
      t: {agent: a, prompt: x}
      u: {agent: {model: embedded/writer, tools: [./far.yaml]}, prompt: x}
"""


def test_agents_workflows_are_children_and_named_by_identity(project: Path) -> None:
    plan = plan_of(project, AGENTS)
    assert set(plan.children) == {"workflows/parts/child.yaml", "workflows/far.yaml"}
    assert plan.agents["a"]["tools"] == ["workflows/parts/child.yaml", "files.read"]
    assert plan.agents["task.u"]["tools"] == ["workflows/far.yaml"]


def test_a_changed_child_changes_the_tasks_that_may_call_it(project: Path) -> None:
    before = {node.id: node.digest for node in plan_of(project, AGENTS).scopes[0].nodes}
    (project / "workflows" / "parts" / "child.yaml").write_text(CHILD.replace("set: 1", "set: 2"))
    after = {node.id: node.digest for node in plan_of(project, AGENTS).scopes[0].nodes}
    assert before["t"] != after["t"]
    assert before["u"] == after["u"]


def test_an_agent_of_the_configuration_brings_its_workflows_where_it_is_used(project: Path) -> None:
    (project / "config").mkdir()
    (project / "config" / "whisper-flow.yaml").write_text(
        "agents: {far: {model: embedded/writer, tools: [workflows/far.yaml]}}\n"
    )
    assert set(plan_of(project, "tasks: {t: {agent: far, prompt: x}}").children) == {"workflows/far.yaml"}
    assert not plan_of(project, "tasks: {t: {set: 1}}").children


def test_a_cached_plan_is_forgotten_when_a_workflow_used_as_a_tool_changes(project: Path, tmp_path: Path) -> None:
    plan_of(project, AGENTS)
    file, folder = project / "workflows" / "flow.yaml", tmp_path / "cache"
    before, _ = load_plan(file, project, folder=folder)
    assert load_plan(file, project, folder=folder)[0].digest == before.digest
    (project / "workflows" / "far.yaml").write_text(CHILD.replace("set: 1", "set: 2"))
    assert load_plan(file, project, folder=folder)[0].digest != before.digest
