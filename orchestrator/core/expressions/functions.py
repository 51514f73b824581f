"""The functions `range`, `product` and `now`, and the tables of all that can be called by name."""

from __future__ import annotations

import itertools
import math
from typing import Final

from orchestrator.core.expressions.faults import Fault, TooMuch
from orchestrator.core.expressions.list_filters import LIST_FILTERS, list_of
from orchestrator.core.expressions.signatures import REQUIRED, Signature
from orchestrator.core.expressions.text_filters import TEXT_FILTERS
from orchestrator.core.expressions.values import JSON, MISSING, Context, kind


def _range(context: Context, a: JSON, b: JSON, step: JSON) -> list[int]:
    """Whole numbers from `a` up to and without `b`; with one argument from 0 up to and without it."""
    start, stop = (0, a) if b is MISSING else (a, b)
    for bound in (start, stop, step):
        if type(bound) is not int:
            raise Fault(f"`range` takes whole numbers, not {kind(bound)}")
    if step == 0:
        raise Fault("the step of `range` is 0")
    numbers = range(start, stop, step)
    # len() itself overflows on very long ranges, so the count is computed.
    count = max(-(-(stop - start) // step), 0)
    if count > context.limits.items:
        raise TooMuch(f"`range` of {count:,} elements, more than {context.limits.items:,}")
    context.work(count)
    return list(numbers)


def product(context: Context, lists: dict[str, JSON]) -> list[JSON]:
    """Every combination of one element of each list, as maps; the last name varies fastest."""
    choices = [list_of("product", values, context) for values in lists.values()]
    count = math.prod(map(len, choices))
    if count * max(len(lists), 1) > context.limits.items:
        raise TooMuch(f"`product` of {count:,} combinations, more than {context.limits.items:,} values")
    context.work(count * len(lists))
    return [dict(zip(lists, chosen, strict=True)) for chosen in itertools.product(*choices)]


def _now(context: Context, tz: JSON) -> str:
    from orchestrator.core.expressions.dates import now_text  # most runs need no calendar

    return now_text(context.now, tz)


def _default(context: Context, value: JSON, v: JSON) -> JSON:
    return v if value is MISSING or value is None else value


FILTERS: Final[dict[str, Signature]] = {
    "default": Signature("default", _default, (("v", REQUIRED),)),
    **LIST_FILTERS,
    **TEXT_FILTERS,
}
FUNCTIONS: Final[dict[str, Signature]] = {
    "range": Signature("range", _range, (("a", REQUIRED), ("b", MISSING), ("step", 1))),
    "product": Signature("product", product, open=True),
    "now": Signature("now", _now, (("tz", "UTC"),)),
}
TESTS: Final = ("defined", "none")
KEYWORDS: Final = frozenset({"and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "null", "True", "False", "None"})  # fmt: skip  # noqa: E501

RESERVED_NAMES: Final = frozenset({
    "tasks", "inputs", "env", "secrets", "run", "item", "index", "previous", "round", "loop",
    *FUNCTIONS, *KEYWORDS,
})  # fmt: skip
"""Names that no task may have: they mean something else in every expression."""

OTHER_NAMES: Final = {
    "count": "length", "len": "length", "size": "length", "d": "default", "to_json": "tojson", "toJSON": "tojson",
    "to_nice_json": "tojson", "from_json": "fromjson", "fromJSON": "fromjson", "strip": "trim", "lowercase": "lower",
    "uppercase": "upper", "str": "string", "regex_search": "matches", "match": "matches", "search": "matches",
    "splitlines": "lines", "strftime": "date", "dictsort": "items", "uniq": "unique", "hash": "sha256",
    "select": "selectattr", "reject": "rejectattr", "filter": "selectattr", "where": "selectattr", "pluck": "map",
}  # fmt: skip
"""What filters are called elsewhere, for the did-you-mean."""
