"""Text that a person typed, as the JSON value that a schema wants: text stays text, the rest must fit."""

from __future__ import annotations

from typing import Any, Final

_TRUE: Final = frozenset({"true", "yes", "y", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "n", "off", "0"})
_ARTICLE: Final = {"integer": "a whole number", "number": "a number", "boolean": "`true` or `false`", "null": "`null`"}

JSON = Any


class NotOfTypeError(ValueError):
    """The text is no value of the type; the message says what was expected."""


def typed(text: str, schema: dict[str, Any] | None) -> JSON:
    """The value of `text` under a JSON Schema. Ranges, patterns and the like are left to whoever validates the whole.

    Raises NotOfTypeError.
    """
    schema = schema or {}
    options = schema.get("enum")
    if isinstance(options, list):
        return _option(text, options)
    if "const" in schema:
        return _option(text, [schema["const"]])
    branches = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(branches, list):
        return _first_branch(text, branches)
    kind = schema.get("type")
    if isinstance(kind, list):
        return _first_branch(text, [{**schema, "type": one} for one in sorted(kind, key=lambda one: one == "string")])
    return _of_kind(text, kind)


def wanted(schema: dict[str, Any] | None) -> str:
    """What to type, in a few words, for a prompt or a message."""
    schema = schema or {}
    if isinstance(schema.get("enum"), list):
        return " | ".join(_shown(option) for option in schema["enum"])
    if "const" in schema:
        return _shown(schema["const"])
    branches = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(branches, list):
        return " or ".join(dict.fromkeys(wanted(branch) for branch in branches))
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    return " or ".join(_kind_word(one, schema) for one in kinds)


def _kind_word(kind: Any, schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    span = f" {_edge(low)}..{_edge(high)}" if low is not None or high is not None else ""
    if kind == "string":
        return str(schema.get("format", "text"))
    if kind in ("array", "object"):
        return "a JSON list" if kind == "array" else "a JSON object"
    return f"{_ARTICLE.get(str(kind), 'any JSON')}{span}"


def _edge(limit: Any) -> str:
    return "" if limit is None else str(limit)


def _shown(option: JSON) -> str:
    import json

    return option if isinstance(option, str) else json.dumps(option)


def _option(text: str, options: list[JSON]) -> JSON:
    for option in options:
        if text == _shown(option):
            return option
    raise NotOfTypeError(f"expected {' | '.join(_shown(option) for option in options)}, not {text!r}")


def _first_branch(text: str, branches: list[dict[str, Any]]) -> JSON:
    """The first reading that fits; plain text comes last, because it fits everything."""
    ordered = sorted(branches, key=lambda branch: branch.get("type") == "string" and "enum" not in branch)
    for branch in ordered:
        try:
            return typed(text, branch)
        except NotOfTypeError:
            continue
    raise NotOfTypeError(f"expected {wanted({'anyOf': branches})}, not {text!r}")


def _of_kind(text: str, kind: Any) -> JSON:
    match kind:
        case "string":
            return text
        case "integer":
            return _number(text, int)
        case "number":
            return _number(text, float)
        case "boolean":
            return _boolean(text)
        case "null":
            if text in ("null", ""):
                return None
            raise NotOfTypeError(f"expected `null`, not {text!r}")
        case "array" | "object":
            return _container(text, kind)
        case _:
            return _anything(text)


def _number(text: str, wanted_type: type[int] | type[float]) -> int | float:
    clean = text.strip().replace("_", "")
    try:
        number = float(clean)
        if wanted_type is int or clean.lstrip("+-").isdigit():
            return int(clean)
    except ValueError:
        raise NotOfTypeError(
            f"expected {_ARTICLE['integer' if wanted_type is int else 'number']}, not {text!r}"
        ) from None
    if number != number or number in (float("inf"), float("-inf")):
        raise NotOfTypeError(f"expected a number, not {text!r}")
    return number


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise NotOfTypeError(f"expected `true` or `false`, not {text!r}")


def _container(text: str, kind: str) -> JSON:
    import json

    word = "list" if kind == "array" else "object"
    try:
        value = json.loads(text)
    except ValueError as error:
        raise NotOfTypeError(f"expected a JSON {word}, not {_short(text)}: {error}") from None
    if not isinstance(value, list if kind == "array" else dict):
        raise NotOfTypeError(f"expected a JSON {word}, not {_short(text)}")
    return value


def _anything(text: str) -> JSON:
    """Without a type: JSON where it is JSON, else text."""
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
