"""Values against a JSON Schema with words beyond our own, by `jsonschema`. Nothing is ever fetched for it.

Tool servers send schemas, and left alone the library asks the network for a `$ref` that names an address: whoever wrote the
schema would choose whom we call.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

JSON = Any

_NAMED: Final = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
"""Below these stand names that somebody chose, not words of the language."""
_VALUES: Final = frozenset({"const", "enum", "default", "examples"})


class UnusableSchemaError(ValueError):
    """It is no JSON Schema, or refers to what is not in it."""


def validator(schema: JSON, *, formats: bool = False) -> Draft202012Validator:
    """For many values of one schema; `formats` are checked only if asked for. Heavy to import."""
    from jsonschema import Draft202012Validator
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]  # all that jsonschema knows offline

    checker = Draft202012Validator.FORMAT_CHECKER if formats else None
    return Draft202012Validator(schema, registry=REGISTRY, format_checker=checker)


def misfits(schema: Draft202012Validator | Mapping[str, JSON], value: JSON) -> list[ValidationError]:
    """What of the value does not fit. Raises UnusableSchemaError."""
    ready = validator(schema) if isinstance(schema, Mapping) else schema
    try:
        return list(ready.iter_errors(value))
    except RecursionError:
        raise UnusableSchemaError("it leads in a circle, or the value is nested too deeply") from None
    except Exception as error:  # a schema that is none makes the library fail in any way it likes
        raise UnusableSchemaError(_why(ready, error)) from error


def without_patterns(schema: JSON) -> JSON:
    """The schema without its regular expressions: a stranger's may take for ever on a few characters, and no timeout stops
    them. Whoever wrote the schema still checks what it is sent.
    """
    if isinstance(schema, list):
        return [without_patterns(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = {"pattern", "patternProperties"}
    if "patternProperties" in schema:
        dropped |= {"additionalProperties", "unevaluatedProperties"}  # they speak of what the patterns left over
    kept = {word: said for word, said in schema.items() if word not in dropped}
    return {word: _without(word, said) for word, said in kept.items()}


def _without(word: str, said: JSON) -> JSON:
    if word in _VALUES:
        return said
    if word in _NAMED and isinstance(said, dict):
        return {name: without_patterns(one) for name, one in said.items()}
    return without_patterns(said)


def _why(ready: Draft202012Validator, error: Exception) -> str:
    from jsonschema import SchemaError

    with suppress(Exception):  # it may fail at the schema, too: then what it said first must do
        try:
            ready.check_schema(ready.schema)
        except SchemaError as wrong:
            return f"{wrong.json_path}: {wrong.message}"[:200]
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
