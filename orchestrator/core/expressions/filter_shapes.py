"""What each filter takes and gives, as shapes: the static side of the filter tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from orchestrator.core.expressions.faults import Fault
from orchestrator.core.expressions.list_filters import split_path
from orchestrator.core.expressions.shapes import (
    ANY,
    BOOLEAN,
    INTEGER,
    NUMBER,
    TEXT,
    Shape,
    elements,
    field,
    field_names,
    kinds,
    nouns,
    union,
    without_null,
)
from orchestrator.core.expressions.suggestions import did_you_mean
from orchestrator.core.expressions.values import MISSING

Args = list[Shape | None]


class FilterShape(NamedTuple):
    takes: frozenset[str]
    gives: Callable[[Shape, Args], Shape]
    """From the target's shape and those of the arguments (None where not given); raises Fault if it is certain to fail."""


_LIST = frozenset({"array"})
_STRING = frozenset({"string"})
_LISTS: Final[Shape] = {"type": "array"}
_TEXTS: Final[Shape] = {"type": "array", "items": TEXT}


def _list_of(shape: Shape) -> Shape:
    return {"type": "array", "items": shape} if shape else _LISTS


def _attribute(target: Shape, path: Shape | None, name: str) -> Shape:
    """The shape of an attribute of a list's elements."""
    shape = elements(target)
    if path is None or not isinstance(path.get("const"), str):
        return shape if path is None else ANY
    for key in split_path(path["const"]):
        if isinstance(key, int) or "object" not in kinds(shape):
            if isinstance(key, str) and not kinds(shape) & {"object", "null"}:
                raise Fault(f"`{name}`: the elements have no field `{key}`")
            return ANY
        part = field(shape, key)
        if part is None:
            raise Fault(f"`{name}`: the elements have no field `{key}`", did_you_mean(key, field_names(shape)))
        shape = part
    return shape


def _same_list(target: Shape, args: Args) -> Shape:
    return _list_of(elements(target)) if kinds(target) == _LIST else ANY


def _element(target: Shape, args: Args) -> Shape:
    return TEXT if kinds(target) == _STRING else elements(target)


def _checked_list(name: str) -> Callable[[Shape, Args], Shape]:
    """Gives the same list; its first argument is an attribute."""

    def gives(target: Shape, args: Args) -> Shape:
        _attribute(target, args[0], name)
        return _same_list(target, args)

    return gives


def _extreme(name: str) -> Callable[[Shape, Args], Shape]:
    def gives(target: Shape, args: Args) -> Shape:
        _attribute(target, args[0], name)
        return elements(target)

    return gives


def _map(target: Shape, args: Args) -> Shape:
    return _list_of(_attribute(target, args[0], "map"))


def _groupby(target: Shape, args: Args) -> Shape:
    key = _attribute(target, args[0], "groupby")
    group: dict[str, Any] = {
        "type": "object",
        "properties": {"grouper": key, "list": _same_list(target, args)},
        "required": ["grouper", "list"],
        "additionalProperties": False,
    }
    return _list_of(group)


def _sum(target: Shape, args: Args) -> Shape:
    summed = kinds(_attribute(target, args[0], "sum"))
    if not summed & {"number", "string", "array"}:
        raise Fault("`sum` adds numbers, and the elements are none", "name the attribute: `sum('cost')`")
    return NUMBER if summed == {"number"} else ANY


def _flatten(target: Shape, args: Args) -> Shape:
    inner = elements(target)
    return _list_of(elements(inner)) if kinds(inner) == _LIST else _LISTS


def _items(target: Shape, args: Args) -> Shape:
    return _list_of(_LISTS)


def _default(target: Shape, args: Args) -> Shape:
    return union([without_null(target), args[0] if args[0] is not None else ANY])


def _list(target: Shape, args: Args) -> Shape:
    return _list_of(elements(target))


def _always(shape: Shape) -> Callable[[Shape, Args], Shape]:
    return lambda target, args: shape


_ALL = frozenset({"null", "boolean", "number", "string", "array", "object"})
_NUMERIC = frozenset({"number"})
_TO_NUMBER = frozenset({"number", "string", "boolean"})

FILTER_SHAPES: Final[dict[str, FilterShape]] = {
    "default": FilterShape(_ALL, _default),
    "length": FilterShape(frozenset({"array", "string", "object"}), _always(INTEGER)),
    "first": FilterShape(frozenset({"array", "string"}), _element),
    "last": FilterShape(frozenset({"array", "string"}), _element),
    "join": FilterShape(_LIST, _always(TEXT)),
    "list": FilterShape(frozenset({"array", "string", "object"}), _list),
    "sort": FilterShape(_LIST, _checked_list("sort")),
    "unique": FilterShape(_LIST, _checked_list("unique")),
    "reverse": FilterShape(
        frozenset({"array", "string"}), lambda t, a: TEXT if kinds(t) == _STRING else _same_list(t, a)
    ),
    "map": FilterShape(_LIST, _map),
    "selectattr": FilterShape(_LIST, _same_list),
    "rejectattr": FilterShape(_LIST, _same_list),
    "groupby": FilterShape(_LIST, _groupby),
    "sum": FilterShape(_LIST, _sum),
    "min": FilterShape(_LIST, _extreme("min")),
    "max": FilterShape(_LIST, _extreme("max")),
    "flatten": FilterShape(_LIST, _flatten),
    "items": FilterShape(frozenset({"object"}), _items),
    "split": FilterShape(_STRING, _always(_TEXTS)),
    "lines": FilterShape(_STRING, _always(_TEXTS)),
    **{
        name: FilterShape(_STRING, _always(TEXT))
        for name in ("trim", "lower", "upper", "replace", "truncate", "indent", "sha256")
    },
    "matches": FilterShape(_STRING, _always(BOOLEAN)),
    "int": FilterShape(_TO_NUMBER, _always(INTEGER)),
    "float": FilterShape(_TO_NUMBER, _always(NUMBER)),
    "string": FilterShape(_ALL, _always(TEXT)),
    "round": FilterShape(_NUMERIC, _always(NUMBER)),
    "abs": FilterShape(_NUMERIC, _always(NUMBER)),
    "tojson": FilterShape(_ALL, _always(TEXT)),
    "fromjson": FilterShape(_STRING, _always(ANY)),
    "urlencode": FilterShape(_ALL - {"array"}, _always(TEXT)),
    "date": FilterShape(frozenset({"number", "string"}), _always(TEXT)),
}

_ARGUMENTS: Final[dict[str, frozenset[str]]] = {
    "sep": _STRING, "a": _STRING, "b": _STRING, "re": _STRING, "format": _STRING, "tz": _STRING, "plus": _STRING,
    "n": _NUMERIC, "reverse": frozenset({"boolean"}), "attribute": frozenset({"string", "number"}),
}  # fmt: skip


def check_argument(filter_name: str, name: str, default: Any, shape: Shape) -> None:
    """Raises Fault if the argument is certain to be of a wrong kind."""
    wanted = _ARGUMENTS.get(name)
    if wanted is None or kinds(shape) & wanted or (default is None and "null" in kinds(shape)) or default is MISSING:
        return
    raise Fault(f"`{name}` of `{filter_name}` is {nouns({'type': sorted(wanted)})}, not {nouns(shape)}")
