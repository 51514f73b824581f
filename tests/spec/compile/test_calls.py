"""Workflows that call workflows: found, checked, compiled into the caller's plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.spec.compile import compile_plan, lower
from orchestrator.spec.diagnostics import Diagnostic, DiagnosticsError
from orchestrator.spec.load import load_workflow
from orchestrator.spec.validate import validate

CHILD = "inputs: {limit: integer, note: optional string}\ntasks: {t: {set: '${{ inputs.limit }}'}}\noutputs: {n: '${{ t }}'}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "workflows"
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "child.yaml").write_text(CHILD)
    return folder


def errors(folder: Path, text: str, name: str = "main.yaml") -> list[Diagnostic]:
    file = folder / name
    file.write_text(text)
    return [one for one in validate(file) if one.severity == "error"]


@pytest.mark.parametrize(
    "said", ["workflows/parts/child.yaml", "./parts/child.yaml", "./../workflows/parts/child.yaml"]
)
def test_a_path_starts_at_the_root_or_beside_the_caller(project: Path, said: str) -> None:
    file = project / "main.yaml"
    file.write_text(f"tasks: {{c: {{workflow: {said}, inputs: {{limit: 3}}}}}}\n")
    plan = compile_plan(file)
    assert list(plan.children) == ["workflows/parts/child.yaml"]
    assert plan.scopes[0].nodes[0].fields == {
        "path": "workflows/parts/child.yaml",
        "inputs": {"limit": 3},
        "detach": False,
    }


def test_a_change_in_the_child_changes_the_caller(project: Path) -> None:
    file = project / "main.yaml"
    file.write_text("tasks: {c: {workflow: ./parts/child.yaml, inputs: {limit: 3}}}\n")
    before = lower(load_workflow(file))
    (project / "parts" / "child.yaml").write_text(CHILD.replace("set: '${{ inputs.limit }}'", "set: 7"))
    after = lower(load_workflow(file))
    assert before.digest != after.digest
    assert before.scopes[0].nodes[0].digest != after.scopes[0].nodes[0].digest


def test_a_child_called_twice_is_compiled_once(project: Path) -> None:
    file = project / "main.yaml"
    call = "{workflow: ./parts/child.yaml, inputs: {limit: 3}}"
    file.write_text(f"tasks: {{a: {call}, b: {call}}}\n")
    assert len(compile_plan(file).children) == 1


@pytest.mark.parametrize(
    ("call", "code", "word"),
    [
        ("{workflow: ./parts/chld.yaml}", "WF320", "there is no file"),
        ("{workflow: ../../elsewhere.yaml}", "WF320", "leads out of the project"),
        ("{workflow: /etc/hostname}", "WF320", "leads out of the project"),
        ("{workflow: ./parts/child.yaml}", "WF323", "needs the input `limit`"),
        ("{workflow: ./parts/child.yaml, inputs: {limit: 1, limt: 2}}", "WF323", "has no input `limt`"),
        ("{workflow: ./parts/child.yaml, inputs: {limit: many}}", "WF323", "does not fit"),
        ("{workflow: ./main.yaml}", "WF321", "calls itself"),
    ],
)
def test_a_call_that_cannot_work_is_one_error(project: Path, call: str, code: str, word: str) -> None:
    (found,) = errors(project, f"tasks:\n  c: {call}\n")
    assert found.code == code
    assert word in found.message
    assert found.span.line == 2


def test_a_near_file_name_is_suggested(project: Path) -> None:
    (found,) = errors(project, "tasks:\n  c: {workflow: ./parts/chld.yaml}\n")
    assert found.help == "did you mean `child.yaml`?"


def test_a_circle_of_files_is_shown_as_a_path(project: Path) -> None:
    (project / "b.yaml").write_text("tasks: {x: {workflow: ./c.yaml}}\n")
    (project / "c.yaml").write_text("tasks: {x: {workflow: ./main.yaml}}\n")
    (found,) = errors(project, "tasks: {x: {workflow: ./b.yaml}}\n")
    assert "workflows/main.yaml → workflows/b.yaml → workflows/c.yaml → workflows/main.yaml" in found.message


def test_a_circle_further_down_is_told_and_ends(project: Path) -> None:
    (project / "b.yaml").write_text("tasks: {x: {workflow: ./b.yaml}}\n")
    (found,) = errors(project, "tasks: {x: {workflow: ./b.yaml}}\n")
    assert (found.code, found.labels[0].file is None) == ("WF322", False)


def test_a_broken_child_is_one_error_that_points_into_it(project: Path) -> None:
    (project / "parts" / "child.yaml").write_text("tasks:\n  t: {rnu: x}\n")
    (found,) = errors(project, "tasks:\n  c: {workflow: ./parts/child.yaml}\n")
    assert found.code == "WF322"
    assert found.labels[0].span.line == 2
    assert found.labels[0].file is not None
    assert found.labels[0].file.endswith("parts/child.yaml")


def test_a_child_that_is_no_yaml_is_one_error(project: Path) -> None:
    (project / "parts" / "child.yaml").write_text("tasks: [\n")
    (found,) = errors(project, "tasks:\n  c: {workflow: ./parts/child.yaml}\n")
    assert found.code == "WF322"


def test_a_link_out_of_the_project_is_no_way_out(project: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.yaml").write_text(CHILD)
    (project / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    (found,) = errors(project, "tasks:\n  c: {workflow: ./link.yaml, inputs: {limit: 1}}\n")
    assert "leads out of the project" in found.message


def test_compile_refuses_a_broken_call(project: Path) -> None:
    (project / "main.yaml").write_text("tasks:\n  c: {workflow: ./none.yaml}\n")
    with pytest.raises(DiagnosticsError):
        compile_plan(project / "main.yaml")
