"""Types as they are written, and the values that fit them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from orchestrator.core.expressions import TypeFormError, can_check, check_value, field_schema, parse_type, type_schema
from orchestrator.core.expressions.checking import FORMATS

STRING = {"type": "string"}


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


@pytest.mark.parametrize(
    ("written", "schema"),
    [
        ("string", STRING),
        ("  integer ", {"type": "integer"}),
        ("any", {}),
        ("date", {"type": "string", "format": "date"}),
        ("datetime", {"type": "string", "format": "date-time"}),
        ("url", {"type": "string", "format": "uri"}),
        ("number 0..10", {"type": "number", "minimum": 0, "maximum": 10}),
        ("number -1.5..", {"type": "number", "minimum": -1.5}),
        ("integer ..5", {"type": "integer", "maximum": 5}),
        ("string 1..80", {"type": "string", "minLength": 1, "maxLength": 80}),
        ("string -- one thing -- to change", {"type": "string", "description": "one thing -- to change"}),
        ("support | sales | spam", {"type": "string", "enum": ["support", "sales", "spam"]}),
        ("'a -- b' | \"c | d\"", {"type": "string", "enum": ["a -- b", "c | d"]}),
        ("1 | 2.5", {"type": "number", "enum": [1, 2.5]}),
        ("a | null", {"type": ["string", "null"], "enum": ["a", None]}),
        ("string | null", {"type": ["string", "null"]}),
        ("number | string", {"type": ["number", "string"]}),
        ("auto | number", {"anyOf": [{"type": "string", "enum": ["auto"]}, {"type": "number"}]}),
        ("date | null", {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}),
        (
            "map(number 0..1)",
            {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1}},
        ),
        (
            "map(map(a | b))",
            {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": {"type": "string", "enum": ["a", "b"]},
                },
            },
        ),
        ("v1.2 | gpt-5 | 3d", {"type": "string", "enum": ["v1.2", "gpt-5", "3d"]}),
        (["string"], {"type": "array", "items": STRING}),
        (
            {"a": "string", "b": "optional integer -- how many"},
            closed(["a"], a=STRING, b={"type": "integer", "description": "how many"}),
        ),
        ({"jobs": [{"id": "string"}]}, closed(["jobs"], jobs={"type": "array", "items": closed(["id"], id=STRING)})),
        ({"type": "string", "minLength": 3}, {"type": "string", "minLength": 3}),
        ({"enum": ["a", "b"]}, {"enum": ["a", "b"]}),
        ({"type": "object", "properties": {"a": "string"}}, {"type": "object", "properties": {"a": STRING}}),
        ({"type": "date"}, closed(["type"], type={"type": "string", "format": "date"})),
        ({"name": "string", "type": "string"}, closed(["name", "type"], name=STRING, type=STRING)),
    ],
)
def test_types_become_json_schema(written: Any, schema: dict[str, Any]) -> None:
    assert type_schema(written) == schema
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("written", "path", "message", "help"),
    [
        ("strng", (), "unknown type `strng`", "did you mean `string`?"),
        ("int", (), "unknown type `int`", "did you mean `integer`?"),
        ("list", (), "unknown type `list`", "did you mean `[string]` for a list of texts?"),
        ("true | false", (), "`true` is not an alternative", "write `boolean`"),
        ("red", (), "unknown type `red`", None),
        ("'red'", (), "a single alternative", None),
        ("number 10..0", (), "the range 10..0 is empty", "write `0..10`"),
        ("boolean 0..1", (), "`boolean` has no range", None),
        ("string 1.5..2", (), "a length is a whole number from 0", None),
        ("a | a", (), "an alternative is given twice", None),
        ("any | a", (), "`any` leaves no alternative", "write `any` alone"),
        ("a |", (), "the type ends too early", None),
        ("map(string", (), "`(` without its `)`", None),
        ("string, number", (), "unexpected `,` in a type", "alternatives are written `a | b`"),
        ("string what it is", (), "unexpected `what` after the type", "a description stands after ` -- `"),
        ("", (), "the type is empty", "for example `string`"),
        ("optional string", (), "`optional` stands only before the type of a field", None),
        (["string", "number"], (), "a list has exactly one type", None),
        (["optional string"], (0,), "a list's type cannot be optional", None),
        ({"a": {"b": ["strng"]}}, ("a", "b", 0), "unknown type `strng`", "did you mean `string`?"),
        ({"a": True}, ("a",), "`true` is not a type", "write `boolean`"),
        ({"a": None}, ("a",), "a type is missing", None),
        ({"a": 3}, ("a",), "`3` is not a type", None),
        ({}, (), "an empty map is not a type", None),
        ({"type": "string"}, (), "this map can be read as a JSON Schema and as an object with the fields type", None),
        ({"enum": ["string"]}, (), "this map can be read as a JSON Schema and as an object with the fields enum", None),
        (
            {"type": "string", "default": "string"},
            (),
            "this map can be read as a JSON Schema and as an object with the fields type, default",
            None,
        ),
    ],
)
def test_what_is_no_type_is_refused_with_its_path_and_remedy(
    written: Any, path: tuple[Any, ...], message: str, help: str | None
) -> None:
    with pytest.raises(TypeFormError) as refused:
        type_schema(written)
    assert (refused.value.message, refused.value.path) == (message, path)
    if help is not None:
        assert refused.value.help == help


def test_the_place_of_a_mistake_is_in_the_text_of_the_type() -> None:
    text = "auto | map(numbr) -- x"
    with pytest.raises(TypeFormError) as refused:
        type_schema({"a": text})
    assert text[refused.value.start : refused.value.end] == "numbr"


@pytest.mark.parametrize(
    ("written", "schema"),
    [
        ("string", STRING),
        ("optional string", {"type": "string", "optional": True}),
        ({"type": "string"}, STRING),
        ({"type": "number", "default": 8}, {"type": "number", "default": 8}),
        (
            {"type": "string 1..80", "default": "${{ draft }}"},
            {"type": "string", "minLength": 1, "maxLength": 80, "default": "${{ draft }}"},
        ),
        ({"type": "date", "optional": True}, {"type": "string", "format": "date", "optional": True}),
        (
            {"type": "array", "items": "number 0..1"},
            {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}},
        ),
    ],
)
def test_in_inputs_and_forms_a_map_is_always_a_schema(written: Any, schema: dict[str, Any]) -> None:
    assert field_schema(written) == schema


@pytest.mark.parametrize(
    ("written", "path", "message"),
    [
        ({"type": "integer", "default": "x"}, ("default",), "the default does not fit: 'x' is not a whole number"),
        ({"name": "string"}, ("name",), "`name` is not a word of JSON Schema"),
        ({"typ": "string"}, ("typ",), "`typ` is not a word of JSON Schema"),
        ({"type": "objekt"}, ("type",), "unknown type `objekt`"),
        (
            {"type": "object", "properties": {"a": {"typo": 1}}},
            ("properties", "a", "typo"),
            "`typo` is not a word of JSON Schema",
        ),
    ],
)
def test_a_field_that_is_no_schema_is_refused(written: Any, path: tuple[Any, ...], message: str) -> None:
    with pytest.raises(TypeFormError) as refused:
        field_schema(written)
    assert (refused.value.message, refused.value.path) == (message, path)


def test_a_type_nested_without_end_is_refused() -> None:
    deep: Any = "string"
    for _ in range(5_000):
        deep = {"a": deep}
    listed: Any = "string"
    for _ in range(5_000):
        listed = [listed]
    for written in (deep, listed, "map(" * 5_000):
        for field in (False, True):
            with pytest.raises(TypeFormError):
                parse_type(written, field=field)


@pytest.mark.parametrize(
    ("written", "value", "problems"),
    [
        ({"team": "a | b", "jobs": [{"id": "string"}]}, {"team": "a", "jobs": []}, []),
        ({"team": "a | b", "jobs": [{"id": "string"}]}, {"team": "c", "jobs": [{"id": 1}, {}]},
         ["`team`: 'c' is not one of 'a', 'b'", "`jobs[0].id`: 1 is not text", "`jobs[1]`: `id` is missing"]),
        ({"a": "string"}, {"a": "x", "b": 1}, ["`b` is not a field here; it has a"]),
        ("number 0..1", 2, ["2 is more than 1"]),
        ("string 2..", "x", ["the text has 1 characters, fewer than 2"]),
        ("integer", 1.5, ["1.5 is not a whole number"]),
        ("integer", 1.0, []),
        ("number", True, ["true is not a number"]),
        ("1 | 2", True, ["true is not a number"]),
        ("auto | number", "x", ["'x' is not one of 'auto' or a number"]),
        ("duration", "90s", []),
        ("duration", "PT90S", []),
        ("duration", "90", ["'90' is not a duration such as 90s or 1h30m"]),
        ("date", "2025-02-29", ["'2025-02-29' is not a date such as 2025-06-30"]),
        ("time", "08:30", []),
        ("time", "25:00", ["'25:00' is not a time such as 08:30"]),
        ("datetime", "2025-06-30T08:30:00Z", []),
        ("datetime", "2025-06-30", ["'2025-06-30' is not a date and time such as 2025-06-30T08:30:00Z"]),
        ("url", "https://example.com/a?b", []),
        ("url", "example.com", ["'example.com' is not a URL such as https://example.com"]),
        ("email", "a@b.c", []),
        ("email", "a b@c", ["'a b@c' is not an email address"]),
        ("any", [None], []),
        ("map(number)", {"a": 1, "b": "x"}, ["`b`: 'x' is not a number"]),
    ],
)  # fmt: skip
def test_every_value_that_does_not_fit_is_named_with_its_path(written: Any, value: Any, problems: list[str]) -> None:
    schema = type_schema(written)
    assert can_check(schema)
    assert [str(problem) for problem in check_value(schema, value)] == problems


@pytest.mark.parametrize(
    "schema",
    [{"pattern": "a"}, {"allOf": []}, {"type": "string", "format": "ipv4"}, {"items": {"not": {}}}, {"$ref": "#"}],
)
def test_schemas_with_other_words_are_left_to_a_full_validator(schema: dict[str, Any]) -> None:
    assert not can_check(schema)


# --- The fast checker agrees with jsonschema. ---

_PRIMITIVES = st.sampled_from(
    [
        "string",
        "integer",
        "number",
        "boolean",
        "any",
        "date",
        "duration",
        "email",
        "number 0..3",
        "integer -1..",
        "string 1..2",
        "string ..3",
    ]
)
_CORES = st.one_of(
    _PRIMITIVES,
    _PRIMITIVES,
    st.sampled_from(
        ["a | b", "1 | 2 | x", "string | null", "a | number", "date | null", "map(integer)", "map(a | null)", "0 | 1"]
    ),
)
_TYPES: st.SearchStrategy[Any] = st.recursive(
    _CORES,
    lambda inner: (
        inner.map(lambda t: [t])
        | st.dictionaries(st.sampled_from("pqr"), inner, min_size=1, max_size=3)
        | st.dictionaries(st.sampled_from("pqr"), _CORES.map(lambda t: f"optional {t}"), min_size=1, max_size=2)
    ),
    max_leaves=6,
)
_SCALARS = st.sampled_from(
    [None, True, False, 0, 1, 2, -1, 1.0, 1.5, 4, "", "a", "b", "x", "abcd", "2025-06-30", "90s", "a@b", 0.0]
)
_VALUES = st.recursive(
    _SCALARS, lambda c: st.lists(c, max_size=3) | st.dictionaries(st.sampled_from("pqrz"), c, max_size=4), max_leaves=8
)

_FORMATS = FormatChecker(formats=())
for _name, (_test, _) in FORMATS.items():
    _FORMATS.checks(_name)(lambda value, test=_test: not isinstance(value, str) or test(value))


@given(_TYPES, _VALUES)
@settings(max_examples=settings().max_examples * 10)
def test_the_fast_check_finds_fault_exactly_where_jsonschema_does(written: Any, value: Any) -> None:
    schema = type_schema(written)
    assert can_check(schema)
    errors = list(Draft202012Validator(schema, format_checker=_FORMATS).iter_errors(value))
    problems = check_value(schema, value)
    assert bool(problems) == bool(errors)


@given(st.data(), _TYPES)
def test_a_value_made_to_fit_fits(data: st.DataObject, written: Any) -> None:
    value = data.draw(_fitting(type_schema(written)))
    assert check_value(type_schema(written), value) == []


def _fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "anyOf" in schema:
        return st.one_of([_fitting(branch) for branch in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    said = schema.get("type", "null")
    if isinstance(said, list):
        return st.one_of([_fitting({"type": name}) for name in said])
    low, high = schema.get("minimum", -9), schema.get("maximum", 9)
    if said == "object":
        fields = {name: _fitting(part) for name, part in schema.get("properties", {}).items()}
        others = schema.get("additionalProperties")
        return (
            st.fixed_dictionaries(fields)
            if not others
            else st.dictionaries(st.text(max_size=2), _fitting(others), max_size=2)
        )
    if said == "string":
        examples = {"date": "2025-06-30", "duration": "1h30m", "email": "a@b.c"}
        if schema.get("format"):
            return st.just(examples[schema["format"]])
        return st.text(min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 5))
    return {
        "array": lambda: st.lists(_fitting(schema["items"]), max_size=2),
        "integer": lambda: st.integers(low, high),
        "number": lambda: st.floats(low, high, allow_nan=False),
        "boolean": st.booleans,
        "null": st.none,
    }[said]()
