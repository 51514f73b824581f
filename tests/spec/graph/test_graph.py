"""Drawings of plans: right in every form, readable on real workflows."""

from __future__ import annotations

import itertools
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.plan import Plan
from orchestrator.errors import UsageError
from orchestrator.spec.compile import lower
from orchestrator.spec.graph import FORMS, graph
from orchestrator.spec.graph_layout import lay_out
from orchestrator.spec.graph_view import FOLD_MIN, picture
from orchestrator.spec.load import load_workflow, workflow_from_text

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "workflows").glob("*.yaml"))
SVG = "{http://www.w3.org/2000/svg}"

DIAMOND = """
name: diamond
tasks:
  a: {run: start}
  b: {run: left, after: a}
  c: {run: right, after: a}
  d: {set: '${{ b }}', after: [a, c]}
  alone: {set: 1}
"""
NESTED = """
name: nested
tasks:
  plan: {set: [1, 2]}
  build:
    foreach: plan
    as: job
    tasks:
      rounds:
        loop: {until: test > 1, max: 4}
        tasks:
          code: {run: 'make ${{ job }}'}
          test: {run: make test, after: code}
  merge: {set: "${{ build | default('') }}"}
finally:
  note: {run: echo done}
"""


def plan_of(text: str) -> Plan:
    workflow = workflow_from_text(text)
    assert workflow.has_shape, workflow.shape
    return lower(workflow)


def test_a_diamond_in_a_terminal() -> None:
    assert graph(plan_of(DIAMOND)) == (
        "diamond  workflows/untitled.yaml\n"
        "\n"
        "○    a      run start\n"
        "├─╮\n"
        "○ │  b      run left\n"
        "│ ○  c      run right\n"
        "├─╯\n"
        "○    d      set\n"
        "\n"
        "○    alone  set\n"
    )


def test_groups_items_and_rounds_in_a_terminal() -> None:
    assert graph(plan_of(NESTED)) == (
        "nested  workflows/untitled.yaml\n"
        "\n"
        "○      plan    set\n"
        "▾      build   for each job of plan\n"
        "│ ▾    rounds  repeat until test > 1, at most 4 times\n"
        "│   ○  code    run make ${{ job }}\n"
        "│   ○  test    run make test\n"
        "○      merge   set\n"
        "\n"
        "finally\n"
        "○      note    run echo done\n"
    )


def test_commands_are_shown_as_they_were_written() -> None:
    command = 'echo "two ${{ a }}" ${{ a }} $HOME'
    assert f"run {command}\n" in graph(plan_of(f"tasks:\n  a: {{set: 1}}\n  b:\n    run: {command}\n"))


def test_a_terminal_without_such_characters_gets_others() -> None:
    text = graph(plan_of(NESTED), ascii_only=True)
    assert text.isascii()
    assert "v" in text


def test_status_of_instances_is_gathered_for_their_task() -> None:
    status = {
        "build": "running",
        "build[1].rounds#1.code": "succeeded",
        "build[2].rounds#3.code": "failed",
        "plan": "succeeded",
    }
    assert "✗  code    run make ${{ job }}  failed\n" in graph(plan_of(NESTED), status=status)
    drawn = json.loads(graph(plan_of(NESTED), "json", status=status))
    build = drawn["tasks"][1]
    assert (build["status"], build["tasks"][0]["tasks"][0]["status"]) == ("running", "failed")


def test_json_leaves_nothing_out() -> None:
    drawn = json.loads(graph(plan_of(DIAMOND), "json"))
    needs = {task["id"]: {(one["task"], one["kind"]) for one in task["needs"]} for task in drawn["tasks"]}
    assert needs["d"] == {("a", "order"), ("b", "value"), ("c", "order")}
    assert drawn["digest"] == plan_of(DIAMOND).digest


def test_mermaid_draws_groups_soft_edges_and_statuses() -> None:
    text = graph(plan_of(NESTED), "mermaid", status={"plan": "succeeded"})
    assert text.startswith("flowchart TD\n")
    assert "t_build -.-> t_merge" in text
    assert 'subgraph t_build__rounds ["' in text
    assert "classDef succeeded" in text
    assert len(re.findall(r"^ *subgraph ", text, re.MULTILINE)) == len(re.findall(r"^ *end$", text, re.MULTILINE)) == 3


def test_words_of_other_languages_are_no_names() -> None:
    plan = plan_of("tasks: {end: {set: 1}, graph: {set: '${{ end }}'}, subgraph: {run: 'echo \"<b>\" & done'}}\n")
    assert "t_end --> t_graph" in graph(plan, "mermaid")
    assert '<b>"' not in graph(plan, "mermaid").replace("<b>subgraph", "")
    assert "t_end -> t_graph" in graph(plan, "dot")


def test_dot_is_balanced_and_quotes_what_it_must() -> None:
    text = graph(plan_of("tasks: {a: {run: 'echo \"x\\\\y\"'}, b: {set: '${{ a }}'}}\n"), "dot")
    assert text.count("{") == text.count("}")
    assert r'label="a\nrun echo \"x\\\\y\""' in text


def boxes(svg: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(svg).iter(f"{SVG}text") if one.get("class") == "id"]


@pytest.mark.parametrize("text", [DIAMOND, NESTED])
def test_svg_stands_alone_and_has_every_task(text: str) -> None:
    svg = graph(plan_of(text), "svg")
    assert boxes(svg) == [
        name
        for name in re.findall(r"^ +(\w+):(?! \d)", text, re.MULTILINE)
        if name not in ("loop", "foreach", "tasks", "as")
    ]
    assert not re.findall(r"(?:href|src|url\()\s*=?\s*[\"']?(?!#)\w+:", svg)
    assert "<script" not in svg
    assert "http" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_svg_escapes_what_people_write() -> None:
    svg = graph(plan_of('name: <x> & "y"\ntasks: {a: {run: \'echo "<script>" & \\x07\'}}\n'), "svg")
    assert "<script>" not in svg
    ET.fromstring(svg)


@pytest.mark.parametrize("text", [DIAMOND, NESTED])
def test_boxes_do_not_overlap_and_lines_go_down(text: str) -> None:
    def check(drawing: Any) -> None:
        for one in drawing.boxes:
            for other in drawing.boxes:
                apart = (
                    one is other
                    or one.x + one.width <= other.x
                    or other.x + other.width <= one.x
                    or one.y + one.height <= other.y
                    or other.y + other.height <= one.y
                )
                assert apart
            assert 0 <= one.x <= one.x + one.width <= drawing.width + 0.01
            if one.inner is not None:
                check(one.inner)
        for line in drawing.lines:
            assert all(b.y >= a.y + a.height for a, b in itertools.pairwise(line.boxes))

    check(lay_out(picture(plan_of(text)).tasks))


def wide(count: int) -> str:
    names = [f"t{number}" for number in range(count)]
    tasks = "".join(f"  {name}: {{run: x, after: a}}\n" for name in names)
    return f"tasks:\n  a: {{set: 1}}\n{tasks}  z: {{set: 1, after: [{', '.join(names)}]}}\n"


def test_a_wide_fan_out_is_drawn_as_one_but_counted() -> None:
    text = graph(plan_of(wide(400)))
    assert "t0 … t399" in text
    assert "400 × run" in text
    assert len(text.splitlines()) < 10
    assert len(json.loads(graph(plan_of(wide(400)), "json"))["tasks"]) == 402
    assert "…" not in graph(plan_of(wide(FOLD_MIN - 1)))


def test_too_many_rails_become_words() -> None:
    tasks = "".join(f"  a{n}: {{set: 1}}\n" for n in range(12)) + "".join(
        f"  b{n}: {{set: 1, after: [a{n}, a{(n + 5) % 12}]}}\n" for n in range(12)
    )
    tasks += "".join(f"  c{n}: {{run: x, after: [b{n}, b{(n + 3) % 12}, a{(n + 2) % 12}]}}\n" for n in range(12))
    text = graph(plan_of(f"tasks:\n{tasks}"))
    assert max(map(len, text.splitlines())) < 120
    for number in range(12):
        assert re.search(rf"\bc{number}\b", text)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_can_be_drawn_in_every_form(file: Path, form: str) -> None:
    plan = lower(load_workflow(file))
    text = graph(plan, form)
    assert text.endswith("\n")
    for one in plan.scopes[0].nodes:
        assert one.id in text


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(UsageError):
        graph(plan_of(DIAMOND), "png")
