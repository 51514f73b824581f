"""JSON into nouns: snake_case or camelCase keys, nothing unknown, and every problem names its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from orchestrator.workers.errors import InvalidArgumentError

T = TypeVar("T")
_NUMBERS: Final = msgspec.json.Encoder(decimal_format="number")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")


def snake(key: str) -> str:
    """`maxTokens` and `max_tokens` are one name."""
    return _HUMP.sub(lambda found: f"_{found[1].lower()}", key)


def read_noun(noun: type[T], data: Any, called: str, *, exact: bool = False) -> T:
    """`data` (plain JSON values) as a struct. Raises InvalidArgumentError: unknown keys with near ones, wrong types, ranges.

    Keys of free maps (`metadata`, `extra`) stay as they are. `exact`: its numbers with a point are Decimals.
    """
    named = _named(noun, data, called)
    try:
        if exact:
            return msgspec.json.decode(_NUMBERS.encode(named), type=noun)
        return msgspec.convert(named, noun)
    except (msgspec.ValidationError, ValueError, OverflowError, TypeError) as error:
        raise InvalidArgumentError(f"{called}: {_plain(str(error))}") from None


def _named(noun: Any, data: Any, where: str) -> Any:
    """`data` with every key of a struct in snake_case. An unknown one, or one said twice, is an error."""
    struct = _struct_of(noun)
    if struct is None or not isinstance(data, Mapping):
        return [_named(_item(noun), one, f"{where}[{at}]") for at, one in enumerate(data)] if _is_row(data) else data
    hints = get_type_hints(struct, include_extras=True)
    named: dict[str, Any] = {}
    for key, value in data.items():
        field = snake(str(key))
        if field not in struct.__struct_fields__:
            from orchestrator.spec.suggest import did_you_mean  # only a mistake pays for it

            raise InvalidArgumentError(
                f"unknown key `{key}` in {where}",
                help=did_you_mean(field, struct.__struct_fields__)
                or f"there are {', '.join(struct.__struct_fields__)}",
            )
        if field in named:
            raise InvalidArgumentError(f"`{field}` stands twice in {where}, as `{key}` and in the other spelling")
        named[field] = _named(hints[field], value, f"`{field}` of {where}")
    return named


def _struct_of(hint: Any) -> type[msgspec.Struct] | None:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint
    if get_origin(hint) in (UnionType, Union, Annotated):
        return next((found for part in get_args(hint) if (found := _struct_of(part)) is not None), None)
    return None


def _item(hint: Any) -> Any:
    arguments = get_args(hint)
    return arguments[0] if get_origin(hint) in (list, tuple) and arguments else Any


def _is_row(data: Any) -> bool:
    return isinstance(data, list | tuple)


def _plain(text: str) -> str:
    """msgspec's words without its path syntax: ``Expected `int` >= 0 - at `$.rate_limits` `` → `… at rate_limits`."""
    return re.sub(r" - at `\$\.?(?:key in )?([^`]*)`", lambda found: f" at `{found[1]}`" if found[1] else "", text)
