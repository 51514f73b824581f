"""Laws of the analysis, on workflows that Hypothesis makes up."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.plan import ORDER, SOFT, VALUE
from orchestrator.spec.compile import lower
from orchestrator.spec.compile_cycles import cycles, ordered
from orchestrator.spec.load import Workflow, workflow_from_text

WRITTEN = {
    SOFT: "${{{{ {0} | default(1) }}}}",
    ORDER: "${{{{ tasks.{0}.duration }}}}",
    VALUE: "${{{{ {0} }}}}",
}


@st.composite
def graphs(draw: st.DrawFn, *, forwards: bool) -> dict[int, dict[int, int]]:
    """task → what it needs → kind; with `forwards` only earlier ones, so that there is no cycle."""
    count = draw(st.integers(2, 9))
    made: dict[int, dict[int, int]] = {}
    for task in range(count):
        others = [other for other in range(task if forwards else count) if other != task]
        chosen = draw(st.lists(st.sampled_from(others), unique=True, max_size=4)) if others else []
        made[task] = {other: draw(st.sampled_from([SOFT, ORDER, VALUE])) for other in chosen}
    return made


def workflow_of(graph: dict[int, dict[int, int]]) -> Workflow:
    tasks: dict[str, Any] = {}
    for task, needs in graph.items():
        tasks[f"t{task}"] = {"set": [WRITTEN[kind].format(f"t{other}") for other, kind in needs.items()]}
    import json

    return workflow_from_text(json.dumps({"tasks": tasks}))


@given(graphs(forwards=True))
def test_every_edge_of_the_file_is_in_the_plan_and_no_other(graph: dict[int, dict[int, int]]) -> None:
    plan = lower(workflow_of(graph))
    found = {at: {need.index: need.kind for need in node.needs} for at, node in enumerate(plan.scopes[0].nodes)}
    assert found == graph


@given(graphs(forwards=True))
def test_without_a_cycle_everything_is_ordered_after_what_it_needs(graph: dict[int, dict[int, int]]) -> None:
    workflow = workflow_of(graph)
    assert workflow.analysis.main is not None
    done, left = ordered(workflow.analysis.main)
    assert not left
    place = {site.index: number for number, site in enumerate(done)}
    assert all(place[other] < place[task] for task, needs in graph.items() for other in needs)
    assert list(cycles(workflow.analysis, workflow.document)) == []


@given(graphs(forwards=False))
def test_a_cycle_is_found_exactly_if_there_is_one_and_shown_whole(graph: dict[int, dict[int, int]]) -> None:
    import networkx as nx

    made = nx.DiGraph([(task, other) for task, needs in graph.items() for other in needs])
    circles = [one for one in nx.strongly_connected_components(made) if len(one) > 1]
    workflow = workflow_of(graph)
    found = list(cycles(workflow.analysis, workflow.document))
    assert len(found) == len(circles)
    for one in found:
        names = [int(name.strip("`t ")) for name in one.message.partition(": ")[2].split("→") if "…" not in name]
        assert names[0] == names[-1]
        assert any(set(names) <= circle for circle in circles)
        if "…" not in one.message:
            assert all(later in graph[earlier] for earlier, later in itertools.pairwise(names))
