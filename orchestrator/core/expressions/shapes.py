"""What a JSON Schema says about a value before there is one: its kinds, its fields, its elements. Unknown stays unknown.

A shape is a JSON Schema; `ANY` (the empty one) is a value about which nothing is known. Only what is certain is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from orchestrator.core.expressions.checking import same
from orchestrator.core.expressions.values import JSON, Missing

Shape = Mapping[str, Any]

ANY: Final[Shape] = {}
TEXT: Final[Shape] = {"type": "string"}
NUMBER: Final[Shape] = {"type": "number"}
INTEGER: Final[Shape] = {"type": "integer"}
BOOLEAN: Final[Shape] = {"type": "boolean"}
ALL_KINDS: Final = frozenset({"null", "boolean", "number", "string", "array", "object"})

NOUNS: Final = {
    "null": "null", "boolean": "a boolean", "number": "a number", "string": "text", "array": "a list", "object": "a map",
}  # fmt: skip
_UNKNOWN_WORDS: Final = ("$ref", "allOf", "oneOf", "not", "if", "$dynamicRef")


def of_value(value: JSON) -> Shape:
    """The shape of a constant."""
    return ANY if isinstance(value, Missing) else {"type": _kind_of(value), "const": value}


def _kind_of(value: JSON) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def kinds(shape: Any) -> frozenset[str]:
    """Which kinds of JSON value it may be; `integer` counts as number."""
    if not isinstance(shape, Mapping):
        return ALL_KINDS if shape is not False else frozenset()
    if "const" in shape:
        return frozenset({_kind_of(shape["const"])})
    found = ALL_KINDS
    said = shape.get("type")
    if said is not None:
        names = said if isinstance(said, list) else [said]
        found = frozenset("number" if name == "integer" else name for name in names)
    if isinstance(shape.get("enum"), list):
        found &= frozenset(map(_kind_of, shape["enum"]))
    if isinstance(shape.get("anyOf"), list):
        found &= frozenset().union(*map(kinds, shape["anyOf"]))
    return found


def known(shape: Shape) -> bool:
    return kinds(shape) != ALL_KINDS


def nouns(shape: Shape) -> str:
    names = [
        NOUNS.get(name, name)
        for name in ("null", "boolean", "number", "string", "array", "object")
        if name in kinds(shape)
    ]
    return " or ".join(names) if len(names) < len(ALL_KINDS) else "any value"


def variants(shape: Shape) -> list[Shape]:
    """The alternatives of `anyOf`, else the shape alone."""
    branches = shape.get("anyOf")
    if isinstance(branches, list) and branches:
        return [variant for branch in branches if isinstance(branch, Mapping) for variant in variants(branch)]
    return [shape]


def union(shapes: Iterable[Shape]) -> Shape:
    different: list[Shape] = []
    for shape in shapes:
        for variant in variants(shape):
            if not known(variant):
                return ANY
            if not any(variant == other for other in different):
                different.append(variant)
    if not different:
        return ANY
    if len(different) == 1:
        return different[0]
    if all(set(variant) <= {"type", "const"} for variant in different):
        names = sorted({name for variant in different for name in _type_names(variant)})
        return {"type": names[0] if len(names) == 1 else names}
    return {"anyOf": different} if len(different) <= 8 else ANY


def _type_names(shape: Shape) -> list[str]:
    said = shape.get("type", [])
    return said if isinstance(said, list) else [said]


def without_null(shape: Shape) -> Shape:
    """What is left after `default`."""
    if not known(shape):
        return ANY
    said = shape.get("type")
    if isinstance(said, list) and "null" in said:
        rest = [name for name in said if name != "null"]
        shape = {**shape, "type": rest[0] if len(rest) == 1 else rest}
        if isinstance(shape.get("enum"), list):
            shape = {**shape, "enum": [value for value in shape["enum"] if value is not None]}
    if "anyOf" in shape:
        return union(variant for variant in variants(shape) if kinds(variant) != {"null"})
    return shape


def allowed_values(shape: Shape) -> list[JSON] | None:
    """All the values there can be, if they are listed; None if not."""
    values: list[JSON] = []
    for variant in variants(shape):
        if "const" in variant:
            values.append(variant["const"])
        elif isinstance(variant.get("enum"), list):
            values.extend(variant["enum"])
        elif kinds(variant) == {"null"}:
            values.append(None)
        elif kinds(variant) == {"boolean"}:
            values.extend([True, False])
        else:
            return None
    return values


def may_be(shape: Shape, value: JSON) -> bool:
    values = allowed_values(shape)
    return values is None or any(same(each, value) for each in values)


def elements(shape: Shape) -> Shape:
    """The shape of a list's elements; of a map's keys: text."""
    found: list[Shape] = []
    for variant in variants(shape):
        names = kinds(variant)
        if names == {"array"}:
            items = variant.get("items", ANY)
            found.append(items if isinstance(items, Mapping) else ANY)
            if isinstance(variant.get("const"), list):
                return union(map(of_value, variant["const"]))
        elif names in ({"object"}, {"string"}):
            found.append(TEXT)
        elif names != {"null"}:
            return ANY
    return union(found)


def field(shape: Shape, name: str) -> Shape | None:
    """The shape of a field, None if there can be no such field (of any alternative that is a map)."""
    found: list[Shape] = []
    for variant in variants(shape):
        if "object" not in kinds(variant):
            continue
        part = _field_of_map(variant, name)
        if part is not None:
            found.append(part)
    return union(found) if found else None


def _field_of_map(shape: Shape, name: str) -> Shape | None:
    if isinstance(shape.get("const"), dict):
        return of_value(shape["const"][name]) if name in shape["const"] else None
    properties = shape.get("properties", {})
    if name in properties:
        part = properties[name]
        return part if isinstance(part, Mapping) else ANY
    if any(word in shape for word in _UNKNOWN_WORDS) or "patternProperties" in shape:
        return ANY
    others = shape.get("additionalProperties", True)
    if others is False:
        return None
    return others if isinstance(others, Mapping) else ANY


def field_names(shape: Shape) -> list[str]:
    return sorted({str(name) for variant in variants(shape) for name in variant.get("properties", {})})


def misfit(given: Shape, wanted: Shape, path: str = "") -> str | None:
    """Why no value of `given` can fit `wanted`, if that is certain; None if some may."""
    where = f"`{path}` is " if path else ""
    if not kinds(given) & kinds(wanted):
        return f"{where}{nouns(given)}, wanted is {nouns(wanted)}"
    values, allowed = allowed_values(given), allowed_values(wanted)
    if values is not None and allowed is not None and not any(same(a, b) for a in values for b in allowed):
        return f"{where}{_listed(values)}, wanted is one of {_listed(allowed)}"
    if kinds(given) == kinds(wanted) == {"array"}:
        if "items" in given and isinstance(given.get("items"), Mapping) and isinstance(wanted.get("items"), Mapping):
            return misfit(given["items"], wanted["items"], f"{path}[]")
        return None
    if kinds(given) == kinds(wanted) == {"object"} and len(variants(given)) == len(variants(wanted)) == 1:
        return _misfit_map(given, wanted, path)
    return None


def _misfit_map(given: Shape, wanted: Shape, path: str) -> str | None:
    for name in wanted.get("required", ()):
        part = field(given, name)
        if part is None:
            return f"the field `{name}` is missing" + (f" in `{path}`" if path else "")
    for name, part in wanted.get("properties", {}).items():
        ours = given.get("properties", {}).get(name)
        if isinstance(ours, Mapping) and isinstance(part, Mapping) and name in given.get("required", ()):
            found = misfit(ours, part, f"{path}.{name}" if path else name)
            if found is not None:
                return found
    return None


def _listed(values: list[JSON]) -> str:
    return ", ".join(repr(value) for value in values[:6]) + (", …" if len(values) > 6 else "")
