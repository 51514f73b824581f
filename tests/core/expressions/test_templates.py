"""Text with expressions and tags in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from orchestrator.core.expressions import (
    MISSING,
    ExpressionError,
    MissingValueError,
    evaluate,
    parse_template,
    render,
    render_tree,
    tree_texts,
)

SCOPE: dict[str, Any] = {
    "n": 3,
    "s": "x",
    "xs": [1, 2, 3],
    "m": {"a": 1, "b": None},
    "rows": [["k", 1], ["l", 2]],
    "no": False,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("${{ n }}", 3),
        ("${{xs}}", [1, 2, 3]),
        (" ${{ n }}", " 3"),
        ("${{ n }}\n", "3\n"),
        ("n=${{ n }}, ${{ no }}, ${{ m }}, ${{ xs }}", 'n=3, false, {"a":1,"b":null}, [1,2,3]'),
        ("$${{ n }} costs $${{", "${{ n }} costs ${{"),
        ("${{ '$' ~ n }}", "$3"),
        ("{{ n }} ${HOME} ${#a[@]} {%H} %}", "{{ n }} ${HOME} ${#a[@]} {%H} %}"),
        ("${{ {'a': {'b': n}} }}", {"a": {"b": 3}}),
        ("${{ '}}' }}", "}}"),
        ("{% for x in xs %}${{ x }},{% endfor %}", "1,2,3,"),
        ("{% for x in xs if x > 1 %}${{ loop.index }}/${{ loop.length }}:${{ x }} {% endfor %}", "1/2:2 2/2:3 "),
        ("{% for x in [] %}a{% else %}none{% endfor %}", "none"),
        ("{% for k, v in m | items %}${{ k }}=${{ v }};{% endfor %}", "a=1;b=null;"),
        ("{% for k in m %}${{ k }}{% endfor %}", "ab"),
        ("{% for a, b in rows %}${{ a ~ b }} {% endfor %}", "k1 l2 "),
        ("{% for x in xs %}{% for x in ['a'] %}${{ x }}{% endfor %}${{ x }}{% endfor %}", "a1a2a3"),
        ("{% if n > 3 %}more{% elif n == 3 %}three{% else %}less{% endif %}", "three"),
        ("{% if nope %}a{% endif %}", ""),
        ("a\n{% if n %}\nb\n{% endif %}\nc", "a\nb\nc"),
        ("a\n  {% for x in xs %}\n- ${{ x }}\n  {% endfor %}\n", "a\n- 1\n- 2\n- 3\n"),
        ("a {%- if n -%} b {%- endif %} c", "ab c"),
        ("a {% if n %}\nb{% endif %}", "a \nb"),
    ],
)
def test_templates_render(text: str, value: object) -> None:
    assert render(text, SCOPE) == value


@pytest.mark.parametrize(
    ("text", "message", "at"),
    [
        ("a ${{ }}", "the expression is empty", "${{ }}"),
        ("a ${{ n", "`}}` is missing", "${{ n"),
        ("{% if n %}x", "`{% if %}` without its `{% endif %}`", "{% if n %}"),
        ("x{% endfor %}", "`{% endfor %}` without its `{% for %}`", "{% endfor %}"),
        ("{% if n %}{% endfor %}{% endif %}", "`{% endfor %}` inside an open `{% if %}`", "{% endfor %}"),
        ("{% fro x in xs %}", "unknown tag `fro`", "{% fro x in xs %}"),
        ("{% set x = 1 %}", "unknown tag `set`", "{% set x = 1 %}"),
        ("{% else %}", "`{% else %}` without its `{% if %}` or `{% for %}`", "{% else %}"),
        ("{% if n %}{% else %}{% else %}{% endif %}", "a second `{% else %}`", "{% else %}"),
        ("{% for in xs %}{% endfor %}", "a name is missing after `for`", "in"),
        ("{% for x xs %}{% endfor %}", "`in` is missing", "xs"),
        ("{% else if n %}", "`else` stands alone in its tag", "if"),
        ("{% if %}{% endif %}", "the expression is empty", "if"),
    ],
)
def test_a_mistake_in_a_tag_is_named_at_its_place(text: str, message: str, at: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse_template(text)
    assert refused.value.message == message
    assert text[refused.value.start : refused.value.end] == at


def test_missing_is_an_error_that_names_the_expression() -> None:
    for text in ("${{ nope.a }}", "x ${{ nope.a }} y", "{% for x in nope.a %}{% endfor %}"):
        with pytest.raises(MissingValueError) as refused:
            render(text, SCOPE)
        assert refused.value.message == "`nope.a` is missing"
        assert text[refused.value.start : refused.value.end] == "nope.a"


def test_a_loop_needs_as_many_values_as_names() -> None:
    with pytest.raises(ExpressionError, match="`for` needs 2 values"):
        render("{% for a, b in xs %}{% endfor %}", SCOPE)


def test_a_result_is_never_evaluated_again() -> None:
    assert render("${{ a }} and ${{ b }}", {"a": "${{ b }}", "b": "{% if x %}"}) == "${{ b }} and {% if x %}"


def test_a_tree_is_rendered_in_its_texts_only_and_shared_where_nothing_changed() -> None:
    tree = {"a": ["${{ n }}", "plain", 1], "b": {"${{ n }}": "v ${{ n }}"}, "c": [None, True]}
    rendered = render_tree(tree, SCOPE)
    assert rendered == {"a": [3, "plain", 1], "b": {"${{ n }}": "v 3"}, "c": [None, True]}
    assert rendered["c"] is tree["c"]
    assert [path for path, _ in tree_texts(tree)] == [("a", 0), ("b", "${{ n }}")]


class Lazy(Mapping[str, Any]):
    """A map that notes what was asked of it."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values_ = values
        self.asked: list[str] = []

    def __getitem__(self, key: str) -> Any:
        self.asked.append(key)
        return self.values_[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def test_only_the_names_that_are_met_are_looked_up() -> None:
    asked: list[str] = []

    def resolve(name: str) -> Any:
        asked.append(name)
        return {"a": 1, "tasks": tasks}.get(name, MISSING)

    tasks = Lazy({"x": Lazy({"status": "failed"}), "y": {"huge": 1}})
    assert evaluate("a == 1 or b", resolve) is True
    assert evaluate("tasks.x.status == 'failed'", resolve) is True
    assert asked == ["a", "tasks"]
    assert tasks.asked == ["x"]


def test_a_lazy_map_becomes_plain_where_it_is_a_value() -> None:
    scope = {"tasks": Lazy({"x": Lazy({"status": "failed"})})}
    assert evaluate("tasks.x", scope) == {"status": "failed"}
    assert type(evaluate("tasks.x", scope)) is dict
    assert render("got ${{ tasks }}", scope) == 'got {"x":{"status":"failed"}}'
