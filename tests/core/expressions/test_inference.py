"""What is known of an expression before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.expressions import (
    ExpressionError,
    UnknownFieldError,
    UnknownNameError,
    WrongTypeError,
    fits,
    infer,
    parse_expression,
    parse_template,
    type_schema,
)

ENV: dict[str, Any] = {
    "route": type_schema({"team": "support | sales | spam", "confidence": "number 0..1"}),
    "plan": type_schema({"jobs": [{"id": "string", "title": "string", "cost": "number", "due": "date | null"}]}),
    "inputs": type_schema({"brief": "string", "n": "integer", "who": "optional string"}),
    "log": {"type": "string"},
    "free": {},
    "loose": {"type": "object", "properties": {"a": {"type": "string"}}},
    "m": type_schema("map(number)"),
}


@pytest.mark.parametrize(
    ("text", "kind", "message", "at", "help"),
    [
        ("rout.team", UnknownNameError, "unknown name `rout`", "rout", "did you mean `route`?"),
        ("route.taem", UnknownFieldError, "no field `taem`", "taem", "did you mean `team`?"),
        ("route['taem']", UnknownFieldError, "no field `taem`", "'taem'", "did you mean `team`?"),
        ("plan.jobs[0].titel", UnknownFieldError, "no field `titel`", "titel", "did you mean `title`?"),
        ("(plan.jobs | selectattr('cost', '>', 1) | first).idd", UnknownFieldError, "no field `idd`", "idd", "did you mean `id`?"),
        ("plan.jobs.id", UnknownFieldError, "a list has no field `id`", "id", None),
        ("log.length", UnknownFieldError, "text has no field `length`", "length", None),
        ("plan.jobs | map('titel')", WrongTypeError, "`map`: the elements have no field `titel`", "map('titel')", "did you mean `title`?"),
        ("plan.jobs | sum", WrongTypeError, "`sum` adds numbers, and the elements are none", "sum", None),
        ("inputs.n | lower", WrongTypeError, "`lower` takes text, not a number", "lower", None),
        ("log | truncate('4')", WrongTypeError, "`n` of `truncate` is a number, not text", "truncate('4')", None),
        ("log + 1", WrongTypeError, "`+` does not take text and a number", "log + 1", "join text and other values with `~`"),
        ("-log", WrongTypeError, "`-` does not take text", "-log", None),
        ("route.confidence < '0.7'", WrongTypeError, "`<` does not take a number and text", "route.confidence < '0.7'", None),
        ("route.confidence == '1'", WrongTypeError, "a number and text are never equal", "route.confidence == '1'", None),
        ("route.team == 'spma'", WrongTypeError, "it is never 'spma'", "'spma'", "did you mean `spam`?"),
        ("route.team in ['support', 'slaes']", WrongTypeError, "it is never 'slaes'", "'slaes'", "did you mean `sales`?"),
        ("1 in plan.jobs", WrongTypeError, "a number is never in a list of a map", "1", None),
        ("log in 3", WrongTypeError, "`in` looks into a list, text or map, not a number", "3", None),
        ("range(log)", WrongTypeError, "`range` takes a number, not text", "log", None),
        ("product(a=log)", WrongTypeError, "`product` takes lists, not text", "log", None),
        ("inputs.n[0]", WrongTypeError, "a number has no elements by number", "inputs.n[0]", None),
    ],
)  # fmt: skip
def test_what_is_certain_to_fail_is_reported_at_its_place(
    text: str, kind: type[ExpressionError], message: str, at: str, help: str | None
) -> None:
    (problem,) = infer(parse_expression(text), ENV).problems
    assert type(problem) is kind
    assert problem.message == message
    assert text[problem.start : problem.end] == at
    if help is not None:
        assert problem.help == help


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("free.a.b[0] + 1", {"type": "number"}),
        ("loose.other | length", {"type": "integer"}),
        ("route.team", {"type": "string", "enum": ["support", "sales", "spam"]}),
        ("route.team == 'spam' and route.confidence < 0.7", {"type": "boolean"}),
        ("plan.jobs | map(attribute='id')", {"type": "array", "items": {"type": "string"}}),
        ("plan.jobs | map(attribute='id') | join(',')", {"type": "string"}),
        ("plan.jobs | sum('cost')", {"type": "number"}),
        ("(plan.jobs | groupby('id') | first).list | map('cost')", {"type": "array", "items": {"type": "number"}}),
        ("inputs.who | default('nobody')", {"type": "string"}),
        ("plan.jobs[0].due | default(1)", {"anyOf": [{"type": "string", "format": "date"}, {"type": "number", "const": 1}]}),
        ("1 if log else 'a'", {"type": ["number", "string"]}),
        ("m.anything", {"type": "number"}),
        ("m[log]", {"type": "number"}),
        ("{'a': log, 'b': [1]}.a", {"type": "string"}),
        ("log ~ inputs.n", {"type": "string"}),
        ("range(inputs.n)", {"type": "array", "items": {"type": "integer"}}),
        ("(product(a=plan.jobs, b=[1]) | first).a.id", {"type": "string"}),
        ("log[1:]", {"type": "string"}),
        ("now() | date('%Y')", {"type": "string"}),
        ("plan.jobs[0].due == none", {"type": "boolean"}),
    ],
)  # fmt: skip
def test_types_are_inferred(text: str, schema: dict[str, Any]) -> None:
    found = infer(parse_expression(text), ENV)
    assert found.problems == ()
    assert dict(found.schema) == schema


def test_a_template_is_text_unless_it_is_one_whole_expression() -> None:
    assert infer(parse_template("${{ inputs.n }}"), ENV).schema == {"type": "integer"}
    assert infer(parse_template("n: ${{ inputs.n }}"), ENV).schema == {"type": "string"}


def test_names_of_loops_have_the_type_of_the_elements() -> None:
    text = "{% for j in plan.jobs if j.cots > 1 %}${{ j.titel }}${{ loop.idx }}{% endfor %}${{ j }}{% for x in inputs.n %}{% endfor %}"
    problems = infer(parse_template(text), ENV).problems
    assert [text[p.start : p.end] for p in problems] == ["cots", "titel", "idx", "j", "inputs.n"]


@pytest.mark.parametrize(
    ("given", "wanted", "why"),
    [
        ("string", "number", "text, wanted is a number"),
        ("a | b", "c | d", "'a', 'b', wanted is one of 'c', 'd'"),
        ({"a": "string"}, {"a": "number"}, "`a` is text, wanted is a number"),
        ({"a": "string"}, {"a": "string", "b": "number"}, "the field `b` is missing"),
        ([{"x": "string"}], [{"x": "boolean"}], "`[].x` is text, wanted is a boolean"),
        ("any", "number", None),
        ("string | null", "string", None),
        ("integer", "number 0..1", None),
        ({"a": "string"}, {"a": "string", "b": "optional number"}, None),
    ],
)
def test_a_value_that_can_never_fit_is_found_before_a_run(given: Any, wanted: Any, why: str | None) -> None:
    assert fits(type_schema(given), type_schema(wanted)) == why
