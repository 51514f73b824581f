"""Does a value fit a schema? A fast check of the JSON Schema words that our own types use.

`can_check` says whether a schema has no other words; for the rest a full validator is needed. On what it can check it agrees
with JSON Schema 2020-12, formats included (`duration` also takes `90s`, times and datetimes need no offset).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any, Final

import msgspec

from orchestrator.core.expressions.values import JSON
from orchestrator.core.units import UnitError, parse_duration

Path = tuple[str | int, ...]

_ANNOTATIONS: Final = frozenset(
    {
        "title",
        "description",
        "default",
        "examples",
        "$comment",
        "$schema",
        "deprecated",
        "readOnly",
        "writeOnly",
        "optional",
    }
)
_CHECKED: Final = frozenset({
    "type", "enum", "const", "properties", "required", "additionalProperties", "items", "anyOf", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems", "format",
})  # fmt: skip
PROBLEMS_MAX: Final = 50


class Problem(msgspec.Struct, frozen=True):
    """One thing that does not fit; `path` leads to it from the top of the value."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"`{shown_path(self.path)}`: {self.message}" if self.path else self.message


def shown_path(path: Path) -> str:
    """`score.points`, `items[0].id`."""
    shown = ""
    for part in path:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else part
    return shown


def can_check(schema: Any) -> bool:
    """Whether `check_value` understands every word of the schema."""
    if not isinstance(schema, dict):
        return isinstance(schema, bool)
    if not schema.keys() <= (_ANNOTATIONS | _CHECKED):
        return False
    if "format" in schema and schema["format"] not in FORMATS:
        return False
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    inner += [schema[key] for key in ("items", "additionalProperties") if key in schema]
    return all(map(can_check, inner))


def check_value(schema: Any, value: JSON) -> list[Problem]:
    """All that does not fit, at most 50; empty if the value fits. The schema is one that `can_check` accepts."""
    found: list[Problem] = []
    _check(schema, value, (), found)
    return found[:PROBLEMS_MAX]


def _check(schema: Any, value: JSON, path: Path, found: list[Problem]) -> None:
    if isinstance(schema, bool):
        if not schema:
            found.append(Problem(path, "nothing is allowed here"))
        return
    if len(found) >= PROBLEMS_MAX:
        return
    said = schema.get("type")
    if said is not None and not _is_type(value, said):
        found.append(Problem(path, f"{_shown(value)} is not {_article(said)}"))
        return
    if "enum" in schema and not any(same(value, allowed) for allowed in schema["enum"]):
        allowed = ", ".join(_shown(each) for each in schema["enum"][:12])
        found.append(Problem(path, f"{_shown(value)} is not one of {allowed}"))
    if "const" in schema and not same(value, schema["const"]):
        found.append(Problem(path, f"{_shown(value)} is not {_shown(schema['const'])}"))
    if type(value) is str:
        _check_text(schema, value, path, found)
    elif type(value) is dict:
        _check_map(schema, value, path, found)
    elif type(value) is list:
        _check_list(schema, value, path, found)
    elif type(value) is int or type(value) is float:
        _check_number(schema, value, path, found)
    if "anyOf" in schema:
        _check_any(schema["anyOf"], value, path, found)


def _check_any(branches: list[Any], value: JSON, path: Path, found: list[Problem]) -> None:
    nearest: list[Problem] | None = None
    for branch in branches:
        inner: list[Problem] = []
        _check(branch, value, path, inner)
        if not inner:
            return
        # A branch that fails deeper inside is the one that was meant.
        if nearest is None or max(len(p.path) for p in inner) > max(len(p.path) for p in nearest):
            nearest = inner
    if nearest and any(len(problem.path) > len(path) for problem in nearest):
        found.extend(nearest)
        return
    wanted = " or ".join(dict.fromkeys(_described(branch) for branch in branches))
    found.append(Problem(path, f"{_shown(value)} is not {wanted}"))


def _described(branch: Any) -> str:
    if isinstance(branch, dict) and "enum" in branch:
        return "one of " + ", ".join(_shown(each) for each in branch["enum"][:12])
    if isinstance(branch, dict) and branch.get("format") in FORMATS and branch.get("type") == "string":
        return FORMATS[branch["format"]][1]
    return _article(branch.get("type", "valid")) if isinstance(branch, dict) else "valid"


def _check_text(schema: dict[str, Any], value: str, path: Path, found: list[Problem]) -> None:
    length = len(value)
    if (least := schema.get("minLength")) is not None and length < least:
        found.append(Problem(path, f"the text has {length} characters, fewer than {least}"))
    if (most := schema.get("maxLength")) is not None and length > most:
        found.append(Problem(path, f"the text has {length} characters, more than {most}"))
    if (name := schema.get("format")) in FORMATS and not FORMATS[name][0](value):
        found.append(Problem(path, f"{_shown(value)} is not {FORMATS[name][1]}"))


def _check_number(schema: dict[str, Any], value: float, path: Path, found: list[Problem]) -> None:
    if (least := schema.get("minimum")) is not None and value < least:
        found.append(Problem(path, f"{value} is less than {least}"))
    if (most := schema.get("maximum")) is not None and value > most:
        found.append(Problem(path, f"{value} is more than {most}"))
    if (below := schema.get("exclusiveMinimum")) is not None and value <= below:
        found.append(Problem(path, f"{value} is not more than {below}"))
    if (above := schema.get("exclusiveMaximum")) is not None and value >= above:
        found.append(Problem(path, f"{value} is not less than {above}"))


def _check_list(schema: dict[str, Any], value: list[JSON], path: Path, found: list[Problem]) -> None:
    if (least := schema.get("minItems")) is not None and len(value) < least:
        found.append(Problem(path, f"the list has {len(value)} elements, fewer than {least}"))
    if (most := schema.get("maxItems")) is not None and len(value) > most:
        found.append(Problem(path, f"the list has {len(value)} elements, more than {most}"))
    items = schema.get("items")
    if items is not None:
        for index, element in enumerate(value):
            _check(items, element, (*path, index), found)


def _check_map(schema: dict[str, Any], value: dict[str, JSON], path: Path, found: list[Problem]) -> None:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            found.append(Problem(path, f"`{name}` is missing"))
    others = schema.get("additionalProperties", True)
    for name, part in value.items():
        if name in properties:
            _check(properties[name], part, (*path, name), found)
        elif others is False:
            known = f"; it has {', '.join(properties)}" if properties else ""
            found.append(Problem(path, f"`{name}` is not a field here{known}"))
        elif others is not True:
            _check(others, part, (*path, name), found)


def _is_type(value: JSON, said: Any) -> bool:
    if isinstance(said, list):
        return any(_is_type(value, name) for name in said)
    match said:
        case "string":
            return isinstance(value, str)
        case "integer":
            return type(value) is int or (type(value) is float and value.is_integer())
        case "number":
            return type(value) is int or type(value) is float
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case _:
            return value is None


def same(a: JSON, b: JSON) -> bool:
    """Equality of JSON: 1 and 1.0 are the same, 1 and true are not."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


_NOUNS: Final = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list",
    "object": "a map", "null": "null",
}  # fmt: skip


def _article(said: Any) -> str:
    names = said if isinstance(said, list) else [said]
    return " or ".join(_NOUNS.get(name, str(name)) for name in names)


def _shown(value: JSON) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "a map"
        case str():
            return repr(value if len(value) <= 40 else value[:39] + "…")
    return str(value)


_CLOCK = re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+")


def _is_date(text: str) -> bool:
    try:
        return len(text) == 10 and text[4] == text[7] == "-" and date.fromisoformat(text) is not None
    except ValueError:
        return False


def _is_time(text: str) -> bool:
    if not _CLOCK.fullmatch(text):
        return False
    try:
        return time.fromisoformat(text.upper()) is not None
    except ValueError:
        return False


def _is_datetime(text: str) -> bool:
    if len(text) < 16 or text[10] not in "Tt " or not _is_date(text[:10]) or not _CLOCK.fullmatch(text[11:]):
        return False
    try:
        return datetime.fromisoformat(text.upper()) is not None
    except ValueError:
        return False


def _is_duration(text: str) -> bool:
    try:
        return parse_duration(text) >= 0
    except UnitError:
        return False


def _is_email(text: str) -> bool:
    name, at, host = text.rpartition("@")
    return bool(name and at and host) and not any(c.isspace() for c in text) and "@" not in name


FORMATS: Final[dict[str, tuple[Callable[[str], bool], str]]] = {
    "date": (_is_date, "a date such as 2025-06-30"),
    "time": (_is_time, "a time such as 08:30"),
    "date-time": (_is_datetime, "a date and time such as 2025-06-30T08:30:00Z"),
    "duration": (_is_duration, "a duration such as 90s or 1h30m"),
    "uri": (lambda text: _URL.fullmatch(text) is not None, "a URL such as https://example.com"),
    "email": (_is_email, "an email address"),
    "file": (lambda text: True, "a file"),
}
"""Formats of texts: a test and what it is called. `file` marks an object, texts pass."""
