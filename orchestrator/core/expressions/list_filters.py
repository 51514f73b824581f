"""The filters on lists and maps. Texts are compared exactly: letter case counts."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from orchestrator.core.expressions.faults import Absent, Fault
from orchestrator.core.expressions.operators import ARITHMETIC, COMPARISONS
from orchestrator.core.expressions.patterns import pattern
from orchestrator.core.expressions.signatures import REQUIRED, Signature
from orchestrator.core.expressions.suggestions import did_you_mean
from orchestrator.core.expressions.values import JSON, MISSING, Context, item, kind, settled, to_text, weight

Path = tuple[str | int, ...]


def list_of(name: str, value: JSON, context: Context) -> list[JSON]:
    if type(value) is not list:
        help = "`| list` gives a map's keys, `| items` its pairs" if isinstance(value, dict) else None
        raise Fault(f"`{name}` takes a list, not {kind(value)}", help)
    context.work(len(value))
    return value


def _attribute(name: str, attribute: JSON) -> Path:
    if type(attribute) is str:
        return split_path(attribute)
    if type(attribute) is int:
        return (attribute,)
    raise Fault(f"the attribute of `{name}` is text such as 'score.points', not {kind(attribute)}")


@lru_cache(maxsize=1024)
def split_path(text: str) -> Path:
    """`score.points` → ("score", "points"); a part of digits is a list's index."""
    parts = text.split(".")
    if not all(part.strip() for part in parts):
        raise Fault(f"{text[:40]!r} is not the path of an attribute", "for example 'score.points'")
    return tuple(int(part) if part.isdecimal() and len(part) < 10 else part for part in parts)


def follow(value: JSON, path: Path) -> JSON:
    for key in path:
        value = item(value, key)
    return value


def _found(name: str, value: JSON, path: Path) -> JSON:
    found = follow(value, path)
    if found is MISSING:
        shown = ".".join(map(str, path))
        help = f"keep those that have it first: `| selectattr('{shown}', 'defined')`"
        raise Absent(f"`{name}`: an element has no `{shown}`", help)
    return settled(found)


def _keys(name: str, values: list[JSON], attribute: JSON) -> list[JSON]:
    if attribute is None:
        return values
    path = _attribute(name, attribute)
    return [_found(name, value, path) for value in values]


def _sortable(name: str, keys: list[JSON]) -> list[JSON]:
    """The keys themselves, if they have an order: all numbers or all text (booleans among themselves as well)."""
    kinds = {float if type(key) is int else type(key) for key in keys}
    if len(kinds) <= 1 and kinds <= {float, str, bool}:
        return keys
    names = sorted({kind(key) for key in keys})
    raise Fault(f"`{name}` cannot order {' and '.join(names)}", "all must be numbers, or all text")


def _length(context: Context, value: JSON) -> int:
    if type(value) in (list, str, dict):
        return len(value)
    raise Fault(f"`length` takes a list, text or map, not {kind(value)}")


def _first(context: Context, value: JSON) -> JSON:
    return _at(value, "first", 0)


def _last(context: Context, value: JSON) -> JSON:
    return _at(value, "last", -1)


def _at(value: JSON, name: str, index: int) -> JSON:
    if type(value) is list or type(value) is str:
        return value[index] if value else MISSING
    raise Fault(f"`{name}` takes a list or text, not {kind(value)}")


def _join(context: Context, value: JSON, sep: JSON) -> str:
    if type(sep) is not str:
        raise Fault(f"`sep` of `join` is text, not {kind(sep)}")
    parts = [part if type(part) is str else to_text(part, context) for part in list_of("join", value, context)]
    context.grow(sum(map(len, parts)) + len(sep) * len(parts))
    return sep.join(parts)


def _list(context: Context, value: JSON) -> list[JSON]:
    match value:
        case list():
            return value
        case str() | dict():
            context.work(len(value))
            return list(value)
    raise Fault(f"`list` takes a list, text or map, not {kind(value)}", "write `[x]` for a list of one")


def _sort(context: Context, value: JSON, attribute: JSON, reverse: JSON) -> list[JSON]:
    if type(reverse) is not bool:
        raise Fault(f"`reverse` of `sort` is a boolean, not {kind(reverse)}")
    values = list_of("sort", value, context)
    # A sort looks at each element several times.
    keys = _sortable("sort", _keys("sort", values, attribute))
    context.work((len(values) + weight(keys)) * len(values).bit_length() >> 2)
    order = sorted(range(len(values)), key=keys.__getitem__, reverse=reverse)
    return [values[i] for i in order]


def _frozen(value: JSON) -> object:
    """A key that is equal for equal values."""
    if type(value) is list:
        return (list, *map(_frozen, value))
    if type(value) is dict:
        return frozenset((key, _frozen(part)) for key, part in value.items())
    return value


def _unique(context: Context, value: JSON, attribute: JSON) -> list[JSON]:
    values = list_of("unique", value, context)
    context.work(weight(values))
    seen: dict[object, JSON] = {}
    for element, key in zip(values, _keys("unique", values, attribute), strict=True):
        seen.setdefault(_frozen(key), element)
    return list(seen.values())


def _reverse(context: Context, value: JSON) -> JSON:
    if type(value) is str:
        context.grow(len(value))
        return value[::-1]
    return list_of("reverse", value, context)[::-1]


def _map(context: Context, value: JSON, attribute: JSON) -> list[JSON]:
    return _keys("map", list_of("map", value, context), attribute)


_WORDS: Final = {"eq": "==", "equalto": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_STATES: Final[dict[str, Callable[[JSON], bool]]] = {
    "defined": lambda found: found is not MISSING,
    "not defined": lambda found: found is MISSING,
    "none": lambda found: found is None,
    "not none": lambda found: found is not None,
}


def _matching(context: Context, name: str, values: JSON, path: JSON, op: JSON, v: JSON) -> list[tuple[JSON, bool]]:
    """Each element of the list with whether its attribute passes; without `op`, whether it is true."""
    elements = list_of(name, values, context)
    steps = _attribute(name, path)
    pairs = [(element, settled(follow(element, steps))) for element in elements]
    if op is None:
        return [(element, bool(found)) for element, found in pairs]
    if op in _STATES:
        state = _STATES[op]
        return [(element, state(found)) for element, found in pairs]
    if v is MISSING:
        raise Fault(f"`{name}` with '{op}' needs the value to compare with")
    if op == "matches":
        if type(v) is not str:
            raise Fault(f"a pattern is text, not {kind(v)}")
        return [(e, type(found) is str and pattern(v).found_in(found, context)) for e, found in pairs]
    compare = COMPARISONS[_WORDS.get(str(op), str(op))]
    return [(element, compare(context, found, v)) for element, found in pairs]


def _selectattr(context: Context, value: JSON, path: JSON, op: JSON, v: JSON) -> list[JSON]:
    _check_op([path, op, v])
    return [element for element, passes in _matching(context, "selectattr", value, path, op, v) if passes]


def _rejectattr(context: Context, value: JSON, path: JSON, op: JSON, v: JSON) -> list[JSON]:
    _check_op([path, op, v])
    return [element for element, passes in _matching(context, "rejectattr", value, path, op, v) if not passes]


def _check_op(arguments: list[JSON]) -> None:
    op = arguments[1]
    known = [*COMPARISONS, *_WORDS, *_STATES, "matches"]
    if op is not None and (type(op) is not str or op not in known):
        help = did_you_mean(op, known) if isinstance(op, str) else None
        raise Fault(
            f"{op!r:.40} is not a comparison", help or "one of == != < <= > >= in 'not in' defined none matches"
        )


def _groupby(context: Context, value: JSON, attribute: JSON) -> list[JSON]:
    values = list_of("groupby", value, context)
    keys = _sortable("groupby", _keys("groupby", values, attribute))
    groups: dict[JSON, list[JSON]] = {}
    for key, element in zip(keys, values, strict=True):
        groups.setdefault(key, []).append(element)
    return [{"grouper": key, "list": groups[key]} for key in sorted(groups)]


def _sum(context: Context, value: JSON, attribute: JSON, start: JSON) -> JSON:
    total = start
    for key in _keys("sum", list_of("sum", value, context), attribute):
        total = ARITHMETIC["+"](context, total, key)
    return total


def _min(context: Context, value: JSON, attribute: JSON) -> JSON:
    return _extreme(context, "min", value, attribute, min)


def _max(context: Context, value: JSON, attribute: JSON) -> JSON:
    return _extreme(context, "max", value, attribute, max)


def _extreme(context: Context, name: str, value: JSON, attribute: JSON, choose: JSON) -> JSON:
    """The first of the elements with the smallest or largest key; MISSING of an empty list."""
    values = list_of(name, value, context)
    if not values:
        return MISSING
    keys = _sortable(name, _keys(name, values, attribute))
    return values[choose(range(len(values)), key=keys.__getitem__)]


def _flatten(context: Context, value: JSON) -> list[JSON]:
    flat: list[JSON] = []
    for element in list_of("flatten", value, context):
        if type(element) is list:
            context.work(len(element))
            flat.extend(element)
        else:
            flat.append(element)
    return flat


def _items(context: Context, value: JSON) -> list[JSON]:
    if type(value) is not dict:
        raise Fault(f"`items` takes a map, not {kind(value)}")
    context.work(3 * len(value))  # a new list for each pair
    return [[key, part] for key, part in value.items()]


_BY: Final = (("attribute", None),)
_WHERE: Final = (("path", REQUIRED), ("op", None), ("v", MISSING))

LIST_FILTERS: Final = {
    signature.name: signature
    for signature in (
        Signature("length", _length),
        Signature("first", _first),
        Signature("last", _last),
        Signature("join", _join, (("sep", ""),)),
        Signature("list", _list),
        Signature("sort", _sort, (("attribute", None), ("reverse", False))),
        Signature("unique", _unique, _BY),
        Signature("reverse", _reverse),
        Signature("map", _map, (("attribute", REQUIRED),)),
        Signature("selectattr", _selectattr, _WHERE, _check_op),
        Signature("rejectattr", _rejectattr, _WHERE, _check_op),
        Signature("groupby", _groupby, (("attribute", REQUIRED),)),
        Signature("sum", _sum, (("attribute", None), ("start", 0))),
        Signature("min", _min, _BY),
        Signature("max", _max, _BY),
        Signature("flatten", _flatten),
        Signature("items", _items),
    )
}
