"""Which names an expression uses, where, and whether it can do without them."""

from __future__ import annotations

import pytest

from orchestrator.core.expressions import RESERVED_NAMES, Reference, parse_expression, parse_template, references


def found(text: str) -> list[tuple[str, bool]]:
    return [(".".join(map(str, (r.root, *r.path))), r.soft) for r in references(parse_expression(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fetch.items[0].id", [("fetch.items.0.id", False)]),
        ("fetch['items']", [("fetch.items", False)]),
        ("a | default(b)", [("a", True), ("b", True)]),
        ("(a.x ~ b) | default('')", [("a.x", True), ("b", True)]),
        ("a | default(1) + c", [("a", True), ("c", False)]),
        ("a.b is defined and c is not none", [("a.b", True), ("c", False)]),
        ("a.b is not defined", [("a.b", True)]),
        ("tasks.t.status == 'failed'", [("tasks.t.status", True)]),
        ("tasks.t.error.type", [("tasks.t.error.type", True)]),
        ("tasks.t.stdout ~ tasks.t", [("tasks.t.stdout", False), ("tasks.t", False)]),
        ("x if y else z", [("x", False), ("y", False), ("z", False)]),
        ("range(n) | map(attribute=m)", [("n", False), ("m", False)]),
        ("product(a=xs, b=ys)", [("xs", False), ("ys", False)]),
        ("{'k': v, w: 1}", [("v", False), ("w", False)]),
        ("(a | first).b", [("a", False)]),
        ("a[b.c][d]", [("a", False), ("d", False), ("b.c", False)]),
        ("now()", []),
        ("true and null == None", []),
    ],
)
def test_every_use_of_a_name_is_found(text: str, expected: list[tuple[str, bool]]) -> None:
    assert sorted(found(text)) == sorted(expected)


def test_a_computed_key_leaves_the_path_open() -> None:
    text = "fetch.items[n].id"
    first, second = references(parse_expression(text))
    assert first == Reference("fetch", ("items",), 0, 11, False, True)
    assert text[first.start : first.end] == "fetch.items"
    assert (second.root, second.path, second.open) == ("n", (), False)


def test_spans_are_exact_in_templates() -> None:
    text = "a {% if x.y %}${{ tasks.t.stdout | trim }}{% endif %} ${{ z['k'] }}"
    assert [text[r.start : r.end] for r in references(parse_template(text))] == ["x.y", "tasks.t.stdout", "z['k']"]


def test_names_of_loops_are_not_references_inside_them() -> None:
    text = (
        "{% for x in x.list if x.ok and y %}${{ x.id ~ loop.index ~ z }}{% else %}${{ x ~ loop }}{% endfor %}${{ x }}"
    )
    names = [(r.root, r.path) for r in references(parse_template(text))]
    assert names == [("x", ("list",)), ("y", ()), ("z", ()), ("x", ()), ("loop", ()), ("x", ())]


def test_a_reference_in_an_untaken_branch_is_a_reference() -> None:
    assert [r.root for r in references(parse_template("{% if false %}${{ a }}{% else %}${{ b }}{% endif %}"))] == [
        "a",
        "b",
    ]


def test_names_with_a_meaning_of_their_own_are_reserved() -> None:
    assert {"tasks", "inputs", "env", "secrets", "run", "item", "index", "previous", "round"} <= RESERVED_NAMES
    assert {"and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "null"} <= RESERVED_NAMES
    assert {"range", "product", "now"} <= RESERVED_NAMES
