"""The evaluations that decide about tasks: `when`, the items of a foreach, `until`, `outputs`. Values in, a recorded input out."""

from __future__ import annotations

import logging
from typing import Any

from orchestrator.core.events import Failure
from orchestrator.core.expressions import (
    MISSING,
    ExpressionError,
    MissingValueError,
    evaluate,
    parse_expression,
    references,
    render_tree,
)
from orchestrator.core.inputs import Concluded, Prepared
from orchestrator.core.plan import Each, Node
from orchestrator.core.run_state import RUN
from orchestrator.engine.schemas import problems
from orchestrator.engine.values import Resolve, Values, store
from orchestrator.errors import JournalError

JSON = Any
_log = logging.getLogger("orchestrator.engine")


def failure_of(error: ExpressionError, what: str) -> Failure:
    """An expression's refusal as a task's failure; `what` says where it stands."""
    word = "missing_value" if isinstance(error, MissingValueError) else "invalid_input"
    return Failure(word, f"{what}: {error.message}", error.help)


def prepare(values: Values, task: int, now: float) -> Prepared:
    """Evaluate a ready task's `when` and, for an each, its items. Raises JournalError."""
    try:
        return _prepare(values, task, now)
    except JournalError:
        raise
    except Exception as error:  # noqa: BLE001  a mistake of ours in one task's expression ends that task, not the run
        return Prepared(task, failure=_internal(task, error))


def _internal(task: int, error: Exception) -> Failure:
    _log.error("an expression of task %d failed inside the engine", task, exc_info=error)
    return Failure("internal", f"{type(error).__name__}: {error}")


def _prepare(values: Values, task: int, now: float) -> Prepared:
    node = values.state.nodes[task]
    resolve = values.scope(task)
    if node.when is not None:
        try:
            truth = evaluate(parse_expression(node.when), resolve, now=now)
        except ExpressionError as error:
            return Prepared(task, failure=failure_of(error, "in `when`"))
        if not truth:
            return Prepared(task, when=False, why=_why_false(node.when, resolve, now))
    if node.each is None:
        return Prepared(task)
    try:
        return _items(values, task, node.each, resolve, now)
    except ExpressionError as error:
        return Prepared(task, failure=failure_of(error, "in `foreach`"))


def _why_false(text: str, resolve: Resolve, now: float) -> str:
    """The expression with what its names stood for: what `why` shows a person."""
    seen: dict[str, str] = {}
    for reference in references(parse_expression(text)):
        path = reference.root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in reference.path)
        if path not in seen and len(seen) < 6:
            value = evaluate(parse_expression(path), resolve, now=now)
            shown = "missing" if value is MISSING else repr(value)
            seen[path] = shown if len(shown) <= 60 else shown[:57] + "..."
    told = ", ".join(f"{path} = {value}" for path, value in seen.items())
    return f"`when: {text}` is false" + (f" ({told})" if told else "")


def _items(values: Values, task: int, each: Each, resolve: Resolve, now: float) -> Prepared:
    source: JSON
    if isinstance(each.source, str):
        source = evaluate(parse_expression(each.source), resolve, now=now)
    else:
        source = render_tree(each.source, resolve, now=now)
    mapping = isinstance(source, dict)
    if mapping:
        items: list[JSON] = [{"key": key, "value": value} for key, value in source.items()]
    elif isinstance(source, list):
        items = source
    else:
        word = "missing_value" if source is MISSING or source is None else "invalid_input"
        shown = "has no value" if word == "missing_value" else f"is {type(source).__name__}, not a list or a map"
        return Prepared(task, failure=Failure(word, f"in `foreach`: `{each.source}` {shown}"))
    keys = _keys(values, task, each, items, mapping, now)
    if isinstance(keys, Failure):
        return Prepared(task, failure=keys)
    after = _after(values, task, each, items, keys, now)
    if isinstance(after, Failure):
        return Prepared(task, failure=after)
    return Prepared(task, count=len(items), keys=keys, items=store(values.journal, items), mapping=mapping, after=after)


def _keys(
    values: Values, task: int, each: Each, items: list[JSON], mapping: bool, now: float
) -> tuple[str, ...] | Failure | None:
    if each.key is None:
        return tuple(item["key"] for item in items) if mapping else None
    expression = parse_expression(each.key)
    found: dict[str, int] = {}
    for index, item in enumerate(items):
        key = evaluate(expression, values.for_item(task, item, index), now=now)
        if key is MISSING or key is None or isinstance(key, list | dict):
            return Failure("invalid_input", f"in `key`: item {index} gives no text or number to be named by")
        text = key if isinstance(key, str) else str(key)
        if text in found:
            return Failure("invalid_input", f"in `key`: items {found[text]} and {index} are both {text!r}")
        found[text] = index
    return tuple(found)


def _after(
    values: Values, task: int, each: Each, items: list[JSON], keys: tuple[str, ...] | None, now: float
) -> tuple[tuple[int, ...], ...] | Failure | None:
    """For each item the indices of those that settle first; a circle among them is refused."""
    if each.item_after is None:
        return None
    index_of = {key: at for at, key in enumerate(keys)} if keys else {str(at): at for at in range(len(items))}
    expression = parse_expression(each.item_after)
    found: list[tuple[int, ...]] = []
    for index, item in enumerate(items):
        named = evaluate(expression, values.for_item(task, item, index), now=now)
        wanted = [] if named is MISSING or named is None else named if isinstance(named, list) else [named]
        unknown = [key for key in wanted if str(key) not in index_of]
        if unknown:
            return Failure(
                "invalid_input", f"in `item_after`: item {index} waits for {unknown[0]!r}, which no item is called"
            )
        found.append(tuple(index_of[str(key)] for key in wanted))
    circle = _circle(found)
    if circle is not None:
        return Failure("invalid_input", f"in `item_after`: item {circle} waits for itself, through others or directly")
    return tuple(found)


def _circle(after: list[tuple[int, ...]]) -> int | None:
    unmet = [len(set(needs)) for needs in after]
    unlocks: dict[int, list[int]] = {}
    for index, needs in enumerate(after):
        for need in set(needs):
            unlocks.setdefault(need, []).append(index)
    free = [index for index, count in enumerate(unmet) if not count]
    while free:
        for later in unlocks.get(free.pop(), ()):
            unmet[later] -= 1
            if not unmet[later]:
                free.append(later)
    return next((index for index, count in enumerate(unmet) if count), None)


def conclude(values: Values, task: int, number: int, now: float) -> Concluded:
    """Evaluate a loop's `until`, a group's `outputs`, or (task RUN) the run's. Raises JournalError."""
    try:
        return _conclude(values, task, number, now)
    except JournalError:
        raise
    except Exception as error:  # noqa: BLE001  as in `prepare`
        return Concluded(task, number, failure=_internal(task, error))


def _conclude(values: Values, task: int, number: int, now: float) -> Concluded:
    if task == RUN:
        return _run_outputs(values, now)
    node = values.state.nodes[task]
    try:
        if node.loop is not None and node.loop.until is not None:
            truth = evaluate(parse_expression(node.loop.until), values.judging(task), now=now)
            return Concluded(task, number, done=bool(truth))
        return _group_outputs(values, task, node, number, now)
    except ExpressionError as error:
        where = "in `until`" if node.loop is not None else "in `outputs`"
        return Concluded(task, number, failure=failure_of(error, where))


def _group_outputs(values: Values, task: int, node: Node, number: int, now: float) -> Concluded:
    instance = values.state.scopes[values.state.opened[task][-1]]
    outputs = values.state.plan.scopes[instance.scope].outputs
    value = values.inner(instance) if outputs is None else render_tree(outputs, values.inside(instance), now=now)
    if node.output is not None and (found := problems(node.output, value)):
        return Concluded(task, number, failure=Failure("invalid_output", f"the outputs do not fit: {found[0]}"))
    return Concluded(task, number, value=store(values.journal, value))


def _run_outputs(values: Values, now: float) -> Concluded:
    """The run's outputs: what leads nowhere is null, so that a run with skipped tasks still has the others."""
    plan = values.state.plan
    resolve = values.run_scope()
    outputs: dict[str, JSON] = {}
    failure: Failure | None = None
    for name, template in plan.outputs.items():
        try:
            outputs[name] = render_tree(template, resolve, now=now)
        except MissingValueError:
            outputs[name] = None
        except ExpressionError as error:
            outputs[name] = None
            failure = failure or failure_of(error, f"in output `{name}`")
        schema = plan.output_types.get(name)
        if schema is not None and outputs[name] is not None and (found := problems(schema, outputs[name])):
            failure = failure or Failure("invalid_output", f"output `{name}` does not fit: {found[0]}")
    return Concluded(RUN, 0, value=store(values.journal, outputs), failure=failure)
