"""Which values a task's texts refer to: every template and expression of a task, found without knowing the verb's meaning."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from orchestrator.core.expressions import (
    ExpressionError,
    Reference,
    has_marks,
    parse_expression,
    parse_template,
    references,
)
from orchestrator.core.plan import ORDER, SOFT, VALUE

Path = tuple[str | int, ...]

STATIC: Final = frozenset(
    {
        "description",
        "after",
        "as",
        "max_parallel",
        "enough",
        "on_item_error",
        "output",
        "output_schema",
        "retry",
        "timeout",
        "budget",
        "total_budget",
        "on_error",
        "effect",
        "cache",
        "tasks",
    }
)
"""Fields of every task that never hold a template."""
EXPRESSIONS: Final = ("when", "key", "item_after")
"""Fields of every task that hold a bare expression; so do `foreach` (if it is a text) and `loop.until`."""


class Use(NamedTuple):
    """One mention of a name in a text of a task."""

    name: str
    """The root: a task's id for `fetch.items` and for `tasks.fetch.status` alike."""
    kind: int
    """SOFT, ORDER or VALUE, should the name be a task's."""
    about: bool
    """Written as `tasks.X.…`."""
    start: int
    end: int
    """Offsets in the text of all that was written: the name and its path."""


def uses_of_template(text: str) -> tuple[Use, ...]:
    """Empty where the text cannot be parsed: the rules say so."""
    return _template_uses(text) if has_marks(text) else ()


@lru_cache(maxsize=16384)
def _template_uses(text: str) -> tuple[Use, ...]:
    try:
        return tuple(map(_use, references(parse_template(text))))
    except ExpressionError:
        return ()


@lru_cache(maxsize=16384)
def uses_of_expression(text: str) -> tuple[Use, ...]:
    """The same for a bare expression."""
    try:
        return tuple(map(_use, references(parse_expression(text))))
    except ExpressionError:
        return ()


def _use(reference: Reference) -> Use:
    root, path = reference.root, reference.path
    if root == "tasks" and path and isinstance(path[0], str):
        return Use(path[0], SOFT if reference.soft else ORDER, True, reference.start, reference.end)
    return Use(root, SOFT if reference.soft else VALUE, False, reference.start, reference.end)


def texts_in(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Every text inside a value that is a template, with its path."""
    if isinstance(value, str):
        if has_marks(value):
            yield path, value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from texts_in(one, (*path, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from texts_in(one, (*path, index))


def uses_in_task(task: dict[str, Any], verbatim: frozenset[str]) -> Iterator[tuple[Path, Use]]:
    """Every mention in a task's own fields (not in the inner tasks of a group), with the path from the task."""
    for key, value in task.items():
        if key in STATIC or key in verbatim:
            continue
        if value.__class__ is str and key not in EXPRESSIONS and key != "foreach":
            if "${{" in value or "{%" in value:  # by far the most frequent case
                for use in uses_of_template(value):
                    yield (key,), use
        elif key in EXPRESSIONS or key in ("foreach", "loop"):
            yield from _uses_in_expressions(key, value)
        elif value.__class__ is dict or value.__class__ is list:
            for path, text in texts_in(value, (key,)):
                for use in uses_of_template(text):
                    yield path, use


def _uses_in_expressions(key: str, value: Any) -> Iterator[tuple[Path, Use]]:
    path: Path = (key,)
    if key == "loop" and isinstance(value, dict):
        path, value = ("loop", "until"), value.get("until")
    if isinstance(value, str):
        for use in uses_of_expression(value):
            yield path, use
    elif key == "foreach":
        for inner, text in texts_in(value, path):
            for use in uses_of_template(text):
                yield inner, use
