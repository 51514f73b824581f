"""What would take too much is refused at once: when it is read if it is constant, else before the data is made."""

from __future__ import annotations

import tracemalloc

import pytest

from orchestrator.core.expressions import (
    ExpressionError,
    LimitError,
    Limits,
    evaluate,
    parse_expression,
    parse_template,
    render,
)

SCOPE = {"n": 10**9, "s": "x" * 1000, "xs": list(range(1000)), "deep": None}


@pytest.mark.parametrize(
    "text",
    [
        "10**9999999",
        "'x' * 10**9",
        "'x' * 1000000000",
        "''.__class__",
        "[].__class__",
        "(1).real",
        "range(1000000)",
        "[0] * 100000000",
        "1 / 0",
        "product(a=range(1000), b=range(1000))",
        "99999999999999999999",
        "1e999",
        "18446744073709551615 * 2",
        "'a' | matches('(a{1000}){1000}')",
        "'x' | indent(2000000000)",
    ],
)
def test_an_impossible_constant_is_an_error_of_the_text(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_expression(text)
    with pytest.raises(ExpressionError):
        parse_template("${{ " + text + " }}")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10000,
        "[" * 100000,
        "{'a':" * 5000,
        "not " * 10000 + "a",
        "-" * 10000 + "1",
        "a" + ".b" * 10000,
        "a" + "[0]" * 10000,
        "a" + "|length" * 10000,
        "a if b else " * 5000 + "c",
        "((((a" * 3000,
        "a(" * 5000,
        "a[" * 5000,
        "x | default(" * 5000,
        "a " * 40000,
        "'" + "a" * 70000 + "'",
    ],
)
def test_deep_nesting_and_long_texts_are_refused_without_running_out_of_stack(text: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse_expression(text)
    assert 0 <= refused.value.start <= refused.value.end <= len(text)


def test_long_flat_expressions_are_fine() -> None:
    assert evaluate("1" + " + 1" * 5_000, {}) == 5_001
    assert evaluate("a" + " and a" * 5_000, {"a": 1}) == 1
    assert evaluate("[" + "a.b, " * 5_000 + "]", {"a": {"b": 2}}) == [2] * 5_000
    assert evaluate("a" + ".b" * 60, {}) is not None


def test_blocks_nest_to_a_bound() -> None:
    parse_template("{% if a %}" * 16 + "{% endif %}" * 16)
    with pytest.raises(ExpressionError, match="nested more than 16 deep"):
        parse_template("{% if a %}" * 5_000)


@pytest.mark.parametrize(
    "text",
    [
        "s * n",
        "xs * n",
        "range(n)",
        "xs | join(s * 10000)",
        "s | replace('x', s * 100)",
        "product(a=xs, b=xs, c=xs)",
        "s | indent(n)",
    ],
)
def test_what_grows_with_the_data_is_refused_before_it_is_made(text: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ExpressionError):
            evaluate(text, SCOPE)
        assert tracemalloc.get_traced_memory()[1] < 48 * 2**20
    finally:
        tracemalloc.stop()


def test_a_shared_part_counts_each_time_it_is_written_out() -> None:
    doubled = "[" + "x, " * 200 + "]"
    big = ["y" * 1000] * 1000
    with pytest.raises(LimitError):
        evaluate(doubled, {"x": big})
    with pytest.raises(LimitError):
        render("a ${{ " + doubled + " }}", {"x": big})


def test_loops_cost_steps_and_their_text_counts() -> None:
    nested = "{% for a in xs %}{% for b in xs %}{% for c in xs %}{% endfor %}{% endfor %}{% endfor %}"
    with pytest.raises(LimitError, match="steps"):
        render(nested, SCOPE)
    with pytest.raises(LimitError, match="characters"):
        render("{% for a in xs %}{% for b in xs %}${{ s }}{% endfor %}{% endfor %}", SCOPE)


@pytest.mark.parametrize(
    "body",
    [
        "{% if xs == same %}{% endif %}",
        "{% if text == other %}{% endif %}",
        "{% if 'zz' in text %}{% endif %}",
        "{% if xs in lists %}{% endif %}",
        "{% if text[1:] == '' %}{% endif %}",
        "{% if m == twin %}{% endif %}",
        "{% for k, v in m | items %}{% endfor %}",
        "{% if xs | sort == [] %}{% endif %}",
        "{% if lists | unique %}{% endif %}",
        "${{ " + " + ".join(["1.5 * a"] * 500) + " }}",
        "{% if [" + "a," * 1000 + "] == 1 %}{% endif %}",
    ],
)
def test_what_takes_time_in_a_loop_costs_steps(body: str) -> None:
    xs = list(range(20_000))
    text = "x" * 2_000_000
    m = {str(x): x for x in xs}
    scope = {"xs": xs, "same": [*xs], "text": text, "other": text[:-1] + "y", "lists": [[*xs]], "m": m, "twin": {**m}}
    with pytest.raises(LimitError, match="steps"):
        render("{% for a in xs %}" + body + "{% endfor %}", scope)


def test_limits_can_be_set_for_one_evaluation() -> None:
    small = Limits(steps=100, size=100, items=10)
    with pytest.raises(LimitError):
        evaluate("range(n)", {"n": 11}, limits=small)
    with pytest.raises(LimitError):
        evaluate("s ~ s", SCOPE, limits=small)
    with pytest.raises(LimitError):
        evaluate("xs | sort", SCOPE, limits=small)


def test_data_nested_deeper_than_the_stack_is_an_error_of_ours() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for text in ("x == y", "x | tojson", "x | unique", "x ~ ''"):
        with pytest.raises(ExpressionError):
            evaluate(text, {"x": deep, "y": [deep]})


def test_no_python_attribute_is_ever_reached() -> None:
    scope = {"s": "x", "d": {}, "l": [], "n": 1}
    for name in ("__class__", "__dict__", "upper", "keys", "append", "real", "format"):
        for root in scope:
            assert not evaluate(f"{root}.{name} is defined", scope)
            assert not evaluate(f"{root}['{name}'] is defined", scope)
