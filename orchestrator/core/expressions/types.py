"""Types as the language writes them, to JSON Schema: text, `[type]`, `{name: type}`, or a JSON Schema itself.

A map is a schema if all its keys are words of JSON Schema and `type` is one of the seven names or `enum` is a list; it is an
object if each of its values is a type; if it could be both, that is an error. For an input or a form field a map is always
a schema, and its `type` may be any type text.
"""

from __future__ import annotations

from typing import Any, Final

from orchestrator.core.expressions.checking import can_check, check_value
from orchestrator.core.expressions.faults import TypeFormError
from orchestrator.core.expressions.suggestions import did_you_mean
from orchestrator.core.expressions.templates import has_marks
from orchestrator.core.expressions.type_text import Schema, Type, read_type_text

Path = tuple[str | int, ...]

TYPE_NAMES: Final = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
SCHEMA_WORDS: Final = frozenset({
    "$anchor", "$comment", "$defs", "$dynamicAnchor", "$dynamicRef", "$id", "$ref", "$schema", "$vocabulary",
    "additionalProperties", "allOf", "anyOf", "const", "contains", "contentEncoding", "contentMediaType", "contentSchema",
    "default", "dependentRequired", "dependentSchemas", "deprecated", "description", "else", "enum", "examples",
    "exclusiveMaximum", "exclusiveMinimum", "format", "if", "items", "maxContains", "maxItems", "maxLength",
    "maxProperties", "maximum", "minContains", "minItems", "minLength", "minProperties", "minimum", "multipleOf", "not",
    "oneOf", "pattern", "patternProperties", "prefixItems", "properties", "propertyNames", "readOnly", "required", "then",
    "title", "type", "unevaluatedItems", "unevaluatedProperties", "uniqueItems", "writeOnly",
})  # fmt: skip
_ONE_SCHEMA: Final = ("items", "additionalProperties", "contains", "not", "if", "then", "else", "propertyNames")
_MANY_SCHEMAS: Final = ("anyOf", "allOf", "oneOf", "prefixItems")
_NAMED_SCHEMAS: Final = ("properties", "patternProperties", "$defs", "dependentSchemas")
_DEPTH_MAX: Final = 32
_COUNTS: Final = frozenset(
    {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains"}
)
_NUMBERS: Final = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_TEXTS: Final = frozenset(
    {"title", "description", "format", "pattern", "$comment", "$id", "$ref", "$schema", "$anchor"}
)


def parse_type(value: Any, *, field: bool = False) -> Type:
    """Read a type; with `field` as that of an input or a form field. Raises TypeFormError, whose `path` leads into `value`."""
    return _read(value, (), field)


def type_schema(value: Any) -> Schema:
    """The JSON Schema of a type. Raises TypeFormError."""
    read = parse_type(value)
    if read.optional:
        end = len(value) if isinstance(value, str) else 0
        raise TypeFormError("`optional` stands only before the type of a field", (), 0, end)
    return read.schema


def field_schema(value: Any) -> Schema:
    """The JSON Schema of an input or a form field; `optional: true` is added to it if the field may be left out."""
    read = parse_type(value, field=True)
    return {**read.schema, "optional": True} if read.optional else read.schema


def _read(value: Any, path: Path, field: bool) -> Type:
    if len(path) > _DEPTH_MAX:
        raise TypeFormError(f"a type nested more than {_DEPTH_MAX} deep", path, 0, 0)
    match value:
        case str():
            return read_type_text(value, path)
        case [element]:
            inner = _read(element, (*path, 0), field)
            _refuse_optional(inner, (*path, 0), "a list's type")
            return Type({"type": "array", "items": inner.schema})
        case list():
            raise TypeFormError(
                "a list has exactly one type", path, 0, 0, "for example `[string]`, or `[string | number]`"
            )
        case dict() if field:
            return _field(value, path)
        case dict():
            return Type(_schema_or_object(value, path))
        case bool():
            raise TypeFormError(f"`{str(value).lower()}` is not a type", path, 0, 0, "write `boolean`")
        case None:
            raise TypeFormError("a type is missing", path, 0, 0, "for example `string`")
    raise TypeFormError(f"`{value}` is not a type", path, 0, 0, "write `integer` or `number`, a fixed value as `enum`")


def _refuse_optional(inner: Type, path: Path, what: str) -> None:
    if inner.optional:
        raise TypeFormError(f"{what} cannot be optional", path, 0, len("optional"))


def _field(value: Schema, path: Path) -> Type:
    optional = value.get("optional", False)
    if not isinstance(optional, bool):
        raise TypeFormError("`optional` is true or false", (*path, "optional"), 0, 0)
    words = {key: part for key, part in value.items() if key != "optional"}
    return Type(_schema(words, path, own_types=True), optional)


def _schema_or_object(value: Schema, path: Path) -> Schema:
    if not value:
        raise TypeFormError("an empty map is not a type", path, 0, 0, "write `any`, or name the fields")
    all_words = all(key in SCHEMA_WORDS for key in value)
    is_schema = all_words and (_names_types(value.get("type")) or isinstance(value.get("enum"), list))
    try:
        as_object: Schema | None = _object(value, path)
    except TypeFormError:
        if not is_schema:
            raise
        as_object = None
    if not is_schema:
        assert as_object is not None
        return as_object
    if as_object is not None:
        raise TypeFormError(
            f"this map can be read as a JSON Schema and as an object with the fields {', '.join(value)}", path, 0, 0,
            "for the schema write the type as text or use `output_schema`; for the object "
            "`{type: object, properties: {…}, required: […]}`",
        )  # fmt: skip
    return _schema(value, path, own_types=False)


def _names_types(said: Any) -> bool:
    return isinstance(said, str) and said in TYPE_NAMES


def _object(value: Schema, path: Path) -> Schema:
    properties: dict[str, Schema] = {}
    required: list[str] = []
    for name, part in value.items():
        inner = _read(part, (*path, name), False)
        properties[name] = inner.schema
        if not inner.optional:
            required.append(name)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _schema(value: Schema, path: Path, own_types: bool) -> Schema:
    """A JSON Schema whose inner schemas may be type texts; with `own_types` its `type` too."""
    for key in value:
        if key not in SCHEMA_WORDS:
            help = did_you_mean(str(key), SCHEMA_WORDS) or "the fields of an object stand under `properties`"
            raise TypeFormError(
                f"`{key}` is not a word of JSON Schema", (*path, key), 0, len(str(key)), help, on_key=True
            )
    schema: Schema = {}
    if "type" in value:
        schema.update(_type_word(value["type"], (*path, "type"), own_types))
    for key, part in value.items():
        if key != "type":
            _check_word(key, part, (*path, key))
            schema[key] = _inner(key, part, (*path, key))
    if "default" in schema and not _templated(schema["default"]) and can_check(schema):
        problems = check_value(schema, schema["default"])
        if problems:
            shown = str(schema["default"])
            raise TypeFormError(f"the default does not fit: {problems[0]}", (*path, "default"), 0, len(shown))
    return schema


def _check_word(key: str, part: Any, path: Path) -> None:
    """Whether a word of JSON Schema has a value of the right kind."""
    number = isinstance(part, int | float) and not isinstance(part, bool)
    wanted = None
    if key in _COUNTS and not (number and part >= 0 and part == int(part)):
        wanted = "a whole number from 0"
    elif key in _NUMBERS and not number:
        wanted = "a number"
    elif key in _TEXTS and not isinstance(part, str):
        wanted = "text"
    elif key in ("enum", "examples", *_MANY_SCHEMAS) and not isinstance(part, list):
        wanted = "a list"
    elif key in _NAMED_SCHEMAS and not isinstance(part, dict):
        wanted = "a map of types"
    elif key == "required" and not (isinstance(part, list) and all(isinstance(name, str) for name in part)):
        wanted = "a list of names"
    if wanted is not None:
        help = "a field that may be left out says `optional: true`" if key == "required" else None
        raise TypeFormError(f"`{key}` is {wanted}", path, 0, len(str(part)), help)


def _type_word(said: Any, path: Path, own_types: bool) -> Schema:
    if _names_types(said) or (isinstance(said, list) and said and all(map(_names_types, said))):
        return {"type": said}
    if isinstance(said, str) and own_types:
        read = read_type_text(said, path)
        _refuse_optional(read, path, "a `type`")
        return read.schema
    shown = str(said)
    help = did_you_mean(shown, TYPE_NAMES) or f"the types of JSON Schema are {', '.join(sorted(TYPE_NAMES))}"
    raise TypeFormError(f"`{shown}` is not a type of JSON Schema", path, 0, len(shown), help)


def _inner(key: str, part: Any, path: Path) -> Any:
    if key in _ONE_SCHEMA:
        return _inner_schema(part, path)
    if key in _MANY_SCHEMAS and isinstance(part, list):
        return [_inner_schema(each, (*path, index)) for index, each in enumerate(part)]
    if key in _NAMED_SCHEMAS and isinstance(part, dict):
        return {name: _inner_schema(each, (*path, name)) for name, each in part.items()}
    return part


def _inner_schema(part: Any, path: Path) -> Any:
    if isinstance(part, bool):
        return part
    if len(path) > _DEPTH_MAX:
        raise TypeFormError(f"a type nested more than {_DEPTH_MAX} deep", path, 0, 0)
    return _schema(part, path, own_types=True) if isinstance(part, dict) else _read(part, path, True).schema


def _templated(value: Any) -> bool:
    if isinstance(value, str):
        return has_marks(value)
    if isinstance(value, list | dict):
        return any(_templated(part) for part in (value.values() if isinstance(value, dict) else value))
    return False
