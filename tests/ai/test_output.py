from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from orchestrator.ai.output import asked_schema, check, read_output

POINTS = {
    "type": "object",
    "properties": {"points": {"type": "number", "minimum": 0, "maximum": 10}},
    "required": ["points"],
}


@pytest.mark.parametrize(
    "text",
    [
        '{"points": 3}',
        '  {"points": 3}\n',
        '```json\n{"points": 3}\n```',
        '```\n{"points": 3}\n```',
        'Here you are:\n{"points": 3}',
        'With [brackets] and {braces} before:\n```json\n{"points": 3}\n```',
    ],
)
def test_json_is_found_where_models_put_it(text: str) -> None:
    assert read_output(text, POINTS) == ({"points": 3}, ())


@pytest.mark.parametrize(
    "text", ["", "points: 3", '{"points": 3', '{"points": NaN}', '{"points": 3} and more', "[" * 100_000, "{" * 3000]
)
def test_what_is_no_json_is_said_to_be_none(text: str) -> None:
    assert read_output(text, POINTS).problems != ()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({}, "'points' is a required property"),
        ({"points": "3"}, "points: \"3\" is not of type 'number'"),
        ({"points": True}, "points: true is not of type 'number'"),
        ({"points": 11}, "points: 11 is greater than the maximum of 10"),
        ([], "[] is not of type 'object'"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(value: Any, problem: str) -> None:
    assert check(value, POINTS) == (problem,)


def test_a_schema_beyond_the_plain_words_is_checked_as_well() -> None:
    schema = {"type": "object", "properties": {"code": {"type": "string", "pattern": "^[A-Z]+$"}}}
    assert check({"code": "ABC"}, schema) == ()
    assert check({"code": "abc"}, schema) == ("code: 'abc' does not match '^[A-Z]+$'",)


def test_only_so_many_problems_are_told() -> None:
    assert len(check(["x"] * 100, {"type": "array", "items": {"type": "integer"}})) == 8


def test_a_value_that_is_no_object_travels_in_one() -> None:
    schema = {"enum": ["a", "b"]}
    asked = asked_schema(schema)
    assert asked["type"] == "object"
    assert read_output('{"result": "a"}', schema) == ("a", ())
    assert read_output('"a"', schema) == ("a", ())
    assert asked_schema(POINTS) is POINTS


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-20, 20) | st.floats(-20, 20) | st.sampled_from(["", "a", "abc", "a" * 30]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)
_schemas = st.recursive(
    st.sampled_from(
        [
            {"type": "string"},
            {"type": "string", "minLength": 1, "maxLength": 3},
            {"type": "integer", "minimum": -3, "exclusiveMaximum": 5},
            {"type": "number", "exclusiveMinimum": 0, "maximum": 7},
            {"type": "boolean"},
            {"type": "null"},
            {"enum": ["a", 1, True, None]},
            {"const": 1},
            {},
            {"type": ["string", "null"]},
            {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        ]
    ),
    lambda inner: st.one_of(
        st.builds(
            lambda i, n: {"type": "array", "items": i, "minItems": n, "maxItems": n + 2}, inner, st.integers(0, 2)
        ),
        st.builds(
            lambda p, more, need: {
                "type": "object",
                "properties": p,
                "additionalProperties": more,
                "required": sorted(need),
            },
            st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
            st.sampled_from([True, False, {"type": "integer"}]),
            st.sets(st.sampled_from(["a", "c"])),
        ),
    ),
    max_leaves=5,
)


@given(_json, _schemas)
def test_the_quick_check_says_what_the_real_validator_says(value: Any, schema: dict[str, Any]) -> None:
    value = json.loads(json.dumps(value))
    assert (check(value, schema) == ()) == Draft202012Validator(schema).is_valid(value)


@given(st.text(max_size=300))
def test_no_text_breaks_the_reading(text: str) -> None:
    read_output(text, POINTS)
