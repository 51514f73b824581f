"""What runs in the spawned Python: a function looked at for its schema, and called with arguments made of JSON.

Only this side ever imports a project's modules. Types that JSON has are described here; everything else (dataclasses, models,
dates) by pydantic, which is imported only then.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
import types
import typing
from collections.abc import Callable
from typing import Any, Final, Literal

from orchestrator.tools._file_marks import mark_of

JSON = Any

EFFECTS: Final = ("pure", "idempotent", "at_least_once", "at_most_once")
_PLAIN: Final[dict[Any, dict[str, JSON]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
    object: {},
    dict: {"type": "object"},
    list: {"type": "array"},
}


def describe(target: str) -> dict[str, JSON]:
    """`{description, parameters, effect}` of a function. Raises TypeError or ValueError that says what cannot be a tool."""
    function = find(target)
    effect = getattr(function, "effect", "at_least_once")
    if effect not in EFFECTS:
        raise ValueError(f"{target}.effect is {effect!r}, which is none of {', '.join(EFFECTS)}")
    hints = _hints(target, function)
    properties: dict[str, JSON] = {}
    required = []
    said = _argument_words(inspect.getdoc(function) or "")
    for name, parameter in _parameters(target, function).items():
        schema = _schema(hints.get(name, Any))
        if name in said and "description" not in schema:
            schema = {**schema, "description": said[name]}
        if parameter.default is inspect.Parameter.empty:
            required.append(name)
        elif _is_json(parameter.default):
            schema = {**schema, "default": parameter.default}
        properties[name] = schema
    parameters: dict[str, JSON] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        parameters["required"] = required
    return {"description": _description(function), "parameters": parameters, "effect": effect}


def describe_with_files(target: str, project: str) -> dict[str, JSON]:
    """`{facts: as above, files: {path: its mark}}`: the files of the project that it was read from."""
    facts = describe(target)
    return {"facts": facts, "files": {path: mark_of(path) for path in _files_behind(target, project)}}


def _files_behind(target: str, project: str) -> list[str]:
    """The file of the function's module, and those of other modules of the project that were imported for it."""
    own = target.partition(":")[0]
    found = []
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if path and (name == own or (path.startswith(project + os.sep) and "site-packages" not in path)):
            found.append(path)
    return found


def call(target: str, arguments: dict[str, JSON]) -> JSON:
    """Calls it with each argument as its hint says, waits for it if it is a coroutine, and gives JSON."""
    function = find(target)
    hints = _hints(target, function)
    given = {name: _made(hints.get(name, Any), value) for name, value in arguments.items()}
    value = function(**given)
    if inspect.isawaitable(value):
        value = asyncio.run(_awaited(value))
    return value if _is_json(value) else _adapter(Any).dump_python(value, mode="json")


async def _awaited(value: Any) -> Any:
    return await value


def find(target: str) -> Callable[..., Any]:
    module, _, path = target.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    if not callable(found):
        raise TypeError(f"{target} is no function")
    return found  # type: ignore[no-any-return]


def _hints(target: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise TypeError(f"the type hints of {target} cannot be read: {error}") from error


def _parameters(target: str, function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    found = dict(inspect.signature(function).parameters)
    for name, parameter in found.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"{target} takes `{parameter}`, which cannot be given by name: {name!r}")
    return found


def _description(function: Callable[..., Any]) -> str:
    doc = inspect.getdoc(function) or ""
    return doc.split("\n\n", 1)[0].replace("\n", " ").strip()


def _argument_words(doc: str) -> dict[str, str]:
    """What an `Args:` section (`name: words`, deeper lines go on) or `:param name: words` says of each argument."""
    said: dict[str, str] = {}
    inside, indent, name = False, 0, ""
    for line in doc.splitlines():
        plain = line.strip()
        if plain.startswith(":param "):
            name, _, words = plain.removeprefix(":param ").partition(":")
            said[name.split()[-1] if name.split() else ""] = words.strip()
        elif plain in ("Args:", "Arguments:", "Parameters:"):
            inside, indent = True, 0
        elif inside and plain:
            here = len(line) - len(line.lstrip())
            if not here:
                inside = False
            elif not indent or here <= indent:
                indent = here
                name, _, words = plain.partition(":")
                name = name.split("(")[0].strip()
                said[name] = words.strip()
            else:
                said[name] = f"{said[name]} {plain}".strip()
    return said


def _schema(hint: Any) -> dict[str, JSON]:
    plain = _plain_schema(hint)
    return plain if plain is not None else _adapter(hint).json_schema()


def _plain_schema(hint: Any) -> dict[str, JSON] | None:
    """The schema of what JSON has by itself; None if pydantic must say."""
    try:
        if hint in _PLAIN:
            return dict(_PLAIN[hint])
    except TypeError:  # not hashable, as some metadata is
        return None
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        inner = _plain_schema(parts[0])
        words = parts[1:]
        if inner is None or not all(isinstance(word, str) for word in words):
            return None
        return {**inner, "description": " ".join(words)}
    if origin is Literal:
        return {"enum": list(parts)} if all(_is_json(part) for part in parts) else None
    if origin in (typing.Union, types.UnionType):
        made = [_plain_schema(part) for part in parts]
        return None if None in made else {"anyOf": made}
    if origin is list and len(parts) == 1:
        inner = _plain_schema(parts[0])
        return None if inner is None else {"type": "array", "items": inner}
    if origin is dict and len(parts) == 2 and parts[0] is str:
        inner = _plain_schema(parts[1])
        return None if inner is None else {"type": "object", "additionalProperties": inner}
    return None


def _made(hint: Any, value: JSON) -> Any:
    return value if _plain_schema(hint) is not None else _adapter(hint).validate_python(value)


def _adapter(hint: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(hint)


def _is_json(value: Any) -> bool:
    if value is None or type(value) in (bool, int, float, str):
        return True
    if type(value) is list:
        return all(map(_is_json, value))
    return type(value) is dict and all(type(key) is str and _is_json(inner) for key, inner in value.items())
