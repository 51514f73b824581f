"""What waits for what, and how strongly (grammar, rules 2 and 9)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.core.plan import ORDER, SOFT, VALUE, Node, Plan
from orchestrator.spec.compile import lower
from orchestrator.spec.load import workflow_from_text


def plan_of(text: str) -> Plan:
    workflow = workflow_from_text(text)
    assert workflow.has_shape, workflow.shape
    return lower(workflow)


def node(plan: Plan, *ids: str) -> Node:
    """The outermost node of a task, by the ids from the top."""
    scope = 0
    for depth, name in enumerate(ids):
        found = next(one for one in plan.scopes[scope].nodes if one.id == name)
        if depth == len(ids) - 1:
            return found
        while found.verb in ("each", "loop"):
            assert found.scope is not None
            found = plan.scopes[found.scope].nodes[0]
        assert found.scope is not None
        scope = found.scope
    raise AssertionError


def needs(plan: Plan, *ids: str) -> set[tuple[str, int, int]]:
    """(id, kind, up) of everything a task waits for."""
    scope = next(number for number, scope in enumerate(plan.scopes) if node(plan, *ids) in scope.nodes)
    made = set()
    for need in node(plan, *ids).needs:
        at = scope
        for _ in range(need.up):
            parent = plan.scopes[at].parent
            assert parent is not None
            at = parent
        made.add((plan.scopes[at].nodes[need.index].id, need.kind, need.up))
    return made


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("set: '${{ a }}'", VALUE),
        ("set: 'x ${{ a.b[0] }} y'", VALUE),
        ("set: {deep: [{er: '${{ a }}'}]}", VALUE),
        ("set: \"${{ a | default('x') }}\"", SOFT),
        ("set: '${{ 1 if a is defined else 2 }}'", SOFT),
        ("set: '${{ tasks.a.status }}'", SOFT),
        ("set: '${{ tasks.a.reason }}'", SOFT),
        ("set: '${{ tasks.a.error.type }}'", SOFT),
        ("set: '${{ tasks.a.duration }}'", ORDER),
        ("set: '${{ tasks.a.exit_code }}'", ORDER),
        ('set: "${{ tasks.a.exit_code | default(0) }}"', SOFT),
        ("set: x, after: a", ORDER),
        ("set: x, after: [a]", ORDER),
        ("set: x, when: a == 1", VALUE),
        ("set: x, foreach: a", VALUE),
        ("set: x, foreach: ['${{ a }}']", VALUE),
        ("set: x, loop: {max: 2, until: a > 1}", VALUE),
        ("set: x, env: {A: '${{ a }}'}", VALUE),
        ("set: x, cwd: '${{ a }}'", VALUE),
        ("set: '{% if inputs.x %}${{ a }}{% endif %}'", VALUE),
        ("set: '{% for x in a %}${{ x }}{% endfor %}'", VALUE),
        ("run: 'echo ${{ a }}'", VALUE),
        ("run: [echo, '${{ a }}']", VALUE),
        ("run: cat, stdin: '${{ a }}'", VALUE),
        ("http: {url: 'http://localhost/${{ a }}', headers: {X: '${{ a }}'}}", VALUE),
        ("ask: Go?, form: {text: {type: string, default: '${{ a }}'}}", VALUE),
    ],
)
def test_a_reference_makes_an_edge_of_its_kind(field: str, kind: int) -> None:
    plan = plan_of(f"inputs: {{x: boolean}}\ntasks:\n  a: {{set: 1}}\n  b: {{{field}}}\n")
    assert needs(plan, "b") == {("a", kind, 0)}


def test_the_strongest_of_several_references_counts() -> None:
    plan = plan_of('tasks:\n  a: {set: 1}\n  b: {set: "${{ a | default(1) }} ${{ a }}", after: a}\n')
    assert needs(plan, "b") == {("a", VALUE, 0)}


@pytest.mark.parametrize("text", ["$${{ a }}", "{{ a }}", "${a}", "a"])
def test_what_is_no_expression_makes_no_edge(text: str) -> None:
    assert needs(plan_of(f"tasks:\n  a: {{set: 1}}\n  b: {{set: '{text}'}}\n"), "b") == set()


def test_names_of_a_template_loop_are_not_tasks() -> None:
    plan = plan_of("tasks:\n  a: {set: 1}\n  b: {set: '{% for a in [1] %}${{ a }}{% endfor %}'}\n")
    assert needs(plan, "b") == set()


def test_a_mention_inside_a_group_is_of_its_kind_there_and_order_outside() -> None:
    plan = plan_of("tasks:\n  a: {set: 1}\n  g:\n    tasks:\n      inner: {set: '${{ a }}'}\n")
    assert needs(plan, "g", "inner") == {("a", VALUE, 1)}
    assert needs(plan, "g") == {("a", ORDER, 0)}


def test_a_soft_mention_inside_a_group_stays_soft_outside() -> None:
    plan = plan_of("tasks:\n  a: {set: 1}\n  g:\n    tasks:\n      inner: {set: \"${{ a | default('') }}\"}\n")
    assert needs(plan, "g", "inner") == {("a", SOFT, 1)}
    assert needs(plan, "g") == {("a", SOFT, 0)}


def test_scopes_of_items_and_rounds_count_in_up() -> None:
    plan = plan_of(
        "tasks:\n  a: {set: [1]}\n  g:\n    foreach: [1]\n    loop: {max: 2}\n    tasks:\n"
        "      x: {set: 2}\n      h: {tasks: {inner: {set: '${{ a }} ${{ x }}'}}}\n"
    )
    assert needs(plan, "g", "h", "inner") == {("a", VALUE, 4), ("x", VALUE, 1)}
    assert needs(plan, "g", "h") == {("x", ORDER, 0)}
    assert needs(plan, "g") == {("a", ORDER, 0)}


def test_outputs_and_until_of_a_group_look_inside_first() -> None:
    plan = plan_of(
        "tasks:\n  a: {set: 1}\n  g:\n    loop: {until: inner > a, max: 3}\n    tasks: {inner: {set: 2}}\n"
        "    outputs: {x: '${{ inner }}'}\n"
    )
    assert needs(plan, "g") == {("a", VALUE, 0)}


def test_an_item_is_not_a_task_of_the_same_name() -> None:
    plan = plan_of("tasks:\n  job: {set: 1}\n  b: {foreach: [1], as: job, set: '${{ job }}'}\n")
    assert needs(plan, "b") == set()


def test_listed_tasks_follow_each_other() -> None:
    plan = plan_of("order: listed\ntasks:\n  a: {run: x}\n  b: {run: y}\n  c: {set: '${{ a }}'}\n")
    assert needs(plan, "b") == {("a", ORDER, 0)}
    assert needs(plan, "c") == {("a", VALUE, 0), ("b", ORDER, 0)}


def test_a_listed_group_orders_only_itself() -> None:
    plan = plan_of("tasks:\n  g:\n    order: listed\n    tasks: {a: {run: x}, b: {run: y}}\n  h: {run: z}\n")
    assert needs(plan, "g", "b") == {("a", ORDER, 0)}
    assert needs(plan, "h") == set()


def test_finally_reads_every_task_and_holds_none_up() -> None:
    plan = plan_of("tasks:\n  a: {set: 1}\nfinally:\n  note: {set: '${{ tasks.a.status }} ${{ a }}'}\n")
    assert plan.on_finally is not None
    scope = plan.scopes[plan.on_finally]
    assert scope.parent == 0
    assert [tuple(need) for need in needs_of(scope.nodes[0])] == [(0, VALUE, 1)]
    assert scope.nodes[0].on_error == "warn"
    assert plan.scopes[0].nodes[0].needs == ()


def needs_of(one: Node) -> Iterator[tuple[int, int, int]]:
    return ((need.index, need.kind, need.up) for need in one.needs)


def test_every_mention_reaches_the_node_that_evaluates_it() -> None:
    plan = plan_of("tasks:\n  a: {set: 1}\n  b: {foreach: [1], loop: {max: 2}, set: '${{ a }}'}\n")
    each = node(plan, "b")
    assert each.scope is not None
    loop = plan.scopes[each.scope].nodes[0]
    assert loop.scope is not None
    leaf = plan.scopes[loop.scope].nodes[0]
    assert [list(needs_of(one)) for one in (each, loop, leaf)] == [[(0, VALUE, 0)], [(0, VALUE, 1)], [(0, VALUE, 2)]]
    assert (loop.inner, leaf.inner, each.inner) == (True, True, False)
