"""Structured output: from an answer's text to a JSON value, and what is wrong with it."""

from __future__ import annotations

import itertools
import json
import operator
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from orchestrator.ai.foreign_json import read_json, read_json_at
from orchestrator.host.json_schema import UnusableSchemaError, misfits

JSON = Any

PROBLEMS_MAX: Final = 8
"""A model mends little when it is told everything at once."""
OPENINGS_MAX: Final = 50
"""Brackets in an answer's prose that are tried as the beginning of its JSON."""
WRAPPED: Final = "result"

_FENCE: Final = re.compile(r"^\s*```[a-zA-Z]*\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)


class Output(NamedTuple):
    value: JSON
    problems: tuple[str, ...]


def asked_schema(schema: dict[str, JSON]) -> dict[str, JSON]:
    """The schema as a provider is asked for it: always an object, since that is all most providers can enforce."""
    if schema.get("type") == "object":
        return schema
    return {"type": "object", "properties": {WRAPPED: schema}, "required": [WRAPPED], "additionalProperties": False}


def read_output(text: str, schema: dict[str, JSON]) -> Output:
    """The value an answer holds for `schema` (as the workflow declares it), with every problem found."""
    found = _json_in(text)
    if found is _NOTHING:
        return Output(None, ("the answer is not JSON",))
    value = found
    if schema.get("type") != "object" and isinstance(value, dict) and set(value) == {WRAPPED}:
        value = value[WRAPPED]
    return Output(value, check(value, schema))


_NOTHING: Final = object()


def _json_in(text: str) -> JSON:
    """The JSON of an answer that is JSON, stands in a fence, or follows a sentence or two."""
    if fenced := _FENCE.match(text):
        text = fenced[1]
    with suppress(ValueError):
        return read_json(text.strip())
    for opening in itertools.islice(re.finditer(r"[\[{]", text), OPENINGS_MAX):
        try:
            value, end = read_json_at(text, opening.start())
        except ValueError:
            continue
        # Only a value that ends the answer is meant as one; brackets in prose are not.
        return value if not text[end:].strip().strip("`") else _NOTHING
    return _NOTHING


def check(value: JSON, schema: dict[str, JSON]) -> tuple[str, ...]:
    """What is wrong with the value, place by place; empty if it fits. Formats are not checked here.

    Nothing fits a schema that is none: then that is what is wrong.
    """
    problems: list[str] = []
    try:
        if _plain(value, schema, "", problems):
            return tuple(problems[:PROBLEMS_MAX])
        errors = sorted(misfits(schema, value), key=lambda e: [str(p) for p in e.absolute_path])
    except (UnusableSchemaError, TypeError, AttributeError) as error:
        return (f"the JSON Schema itself cannot be used: {error}",)
    return tuple(f"{_place(e.absolute_path)}{e.message}" for e in errors[:PROBLEMS_MAX])


def _place(path: Any) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return f"{place.lstrip('.')}: " if place else ""


_PYTHON: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "number": (int, float),
    "integer": (int,),
}
_KNOWN: Final = frozenset(
    {"type", "properties", "required", "additionalProperties", "items", "enum", "const"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems"}
    | {"description", "title", "default", "examples", "$schema", "format"}
)


def _plain(value: JSON, schema: JSON, place: str, problems: list[str]) -> bool:
    """Check a schema that holds only everyday words; False if it says more, then `problems` mean nothing."""
    if not isinstance(schema, dict) or not schema.keys() <= _KNOWN:
        return False
    kind = schema.get("type")
    if kind is not None and (not isinstance(kind, str) or kind not in _PYTHON):
        return False
    at = f"{place}: " if place else ""
    if kind is not None and not _is_a(value, kind):
        problems.append(f"{at}{_short(value)} is not of type '{kind}'")
        return True
    if "enum" in schema and not any(_same(value, choice) for choice in schema["enum"]):
        problems.append(f"{at}{_short(value)} is not one of {_short(schema['enum'])}")
    if "const" in schema and not _same(value, schema["const"]):
        problems.append(f"{at}{_short(schema['const'])} was expected")
    _check_bounds(value, schema, at, problems)
    if isinstance(value, dict):
        return _plain_object(value, schema, place, problems)
    if isinstance(value, list) and "items" in schema:
        return all(_plain(item, schema["items"], f"{place}[{i}]", problems) for i, item in enumerate(value))
    return True


def _plain_object(value: dict[str, JSON], schema: dict[str, JSON], place: str, problems: list[str]) -> bool:
    properties = schema.get("properties", {})
    at = f"{place}: " if place else ""
    problems += [f"{at}'{name}' is a required property" for name in schema.get("required", ()) if name not in value]
    rest = schema.get("additionalProperties", True)
    for name, inner in value.items():
        inside = f"{place}.{name}".lstrip(".")
        if name in properties:
            if not _plain(inner, properties[name], inside, problems):
                return False
        elif rest is False:
            problems.append(f"{at}'{name}' was not asked for")
        elif isinstance(rest, dict) and not _plain(inner, rest, inside, problems):
            return False
    return True


_BOUNDS: Final[tuple[tuple[str, Callable[[float, float], bool], str], ...]] = (
    ("minimum", operator.ge, "is less than the minimum of"),
    ("maximum", operator.le, "is greater than the maximum of"),
    ("exclusiveMinimum", operator.gt, "is not greater than"),
    ("exclusiveMaximum", operator.lt, "is not less than"),
)


def _check_bounds(value: JSON, schema: dict[str, JSON], at: str, problems: list[str]) -> None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        for word, holds, sentence in _BOUNDS:
            if word in schema and not holds(value, schema[word]):
                problems.append(f"{at}{value} {sentence} {schema[word]}")
        return
    if isinstance(value, str):
        words = ("minLength", "maxLength", "characters")
    elif isinstance(value, list):
        words = ("minItems", "maxItems", "items")
    else:
        return
    low, high, unit = words
    if len(value) < schema.get(low, 0):
        problems.append(f"{at}has {len(value)} {unit}, at least {schema[low]} are needed")
    if high in schema and len(value) > schema[high]:
        problems.append(f"{at}has {len(value)} {unit}, at most {schema[high]} are allowed")


def _is_a(value: JSON, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _PYTHON[kind])


def _same(left: JSON, right: JSON) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _short(value: JSON) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"
