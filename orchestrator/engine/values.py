"""What the names in an expression stand for: values of tasks, items and rounds, read lazily out of a run's state.

A task's value is kept as it was recorded (JSON bytes or a blob); those of groups, loops and foreach are put together from their
inner tasks when somebody asks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from orchestrator.core.events import Blob, Value
from orchestrator.core.expressions import MISSING, LimitError
from orchestrator.core.plan import Plan
from orchestrator.core.run_state import ITEM_FAILED, ITEM_OK, RUN, RunState, ScopeInstance
from orchestrator.core.status import SUCCEEDED, TASK_WORDS
from orchestrator.ports.journal import Journal

JSON = Any
Resolve = Callable[[str], JSON]

INLINE_MAX: Final = 16 * 1024
"""Bytes of JSON up to which a value stands in the journal itself."""
_CACHE_MAX: Final = 256

_encode = msgspec.json.encode
_decode = msgspec.json.decode


def store(journal: Journal, value: JSON) -> Value:
    """A JSON value as events hold it; a large one goes to the blob store first (synced before it is named)."""
    data = _encode(value)
    if len(data) <= INLINE_MAX:
        return data
    return Blob(journal.put_blob(data), len(data))


def load(journal: Journal, value: Value | None) -> JSON:
    """The JSON value behind a stored one; None for nothing."""
    if value is None:
        return None
    return _decode(journal.get_blob(value.sha256) if isinstance(value, Blob) else value)


class Facts(Mapping[str, JSON]):
    """A map whose fields are worked out when they are asked for."""

    __slots__ = ("_ask", "_names")

    def __init__(self, names: tuple[str, ...], ask: Callable[[str], JSON]) -> None:
        self._names = names
        self._ask = ask

    def __getitem__(self, key: str) -> JSON:
        if key not in self._names:
            raise KeyError(key)
        return self._ask(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


TASK_FACTS: Final = (
    "status", "reason", "error", "attempts", "duration", "cost", "stdout", "stderr", "exit_code", "response", "history",
    "answered_by", "items", "ok", "failed",
)  # fmt: skip
RUN_FACTS: Final = ("id", "status", "started_at", "scheduled_at", "trigger", "attempt", "workflow", "error", "cost")


class Values:
    """All values of one run. `inputs` and `secrets` are plain maps; `env` is rendered already."""

    def __init__(
        self,
        state: RunState,
        journal: Journal,
        *,
        inputs: dict[str, JSON],
        env: dict[str, str],
        secrets: Mapping[str, str],
    ) -> None:
        self.state = state
        self.journal = journal
        self.inputs = inputs
        self.env = env
        self.secrets = secrets
        self.locals: list[dict[str, int]] = _local_names(state.plan)
        """scope → id → local index"""
        self._cache: OrderedDict[int, JSON] = OrderedDict()
        self._items: dict[int, list[JSON]] = {}

    # --- values of tasks

    def of(self, task: int) -> JSON:
        """The value of a task, MISSING if it has none (not settled, failed, skipped)."""
        state = self.state
        if state.statuses[task] != SUCCEEDED:
            return MISSING
        stored = state.values[task]
        if stored == b"null":
            return None
        if task in self._cache:
            self._cache.move_to_end(task)
            return self._cache[task]
        value = self._derived(task) if stored is None else load(self.journal, stored)
        self._cache[task] = value
        if len(self._cache) > _CACHE_MAX:
            self._cache.popitem(last=False)
        return value

    def _whole(self, task: int) -> JSON:
        """The value as others may use it. Raises LimitError for one of which only head and tail were kept."""
        stored = self.state.values[task]
        if isinstance(stored, Blob) and self.state.nodes[task].verb == "run":
            meta = load(self.journal, self.state.metas.get(task)) or {}
            if meta.get("value_shortened"):
                raise LimitError(
                    f"`{self.state.name(task)}` printed more than is kept as a value",
                    0,
                    0,
                    "let it write a file, or one JSON value to $WHISPER_OUTPUT; `tasks.ID.stdout` is its beginning and end",
                )
        return self.of(task)

    def or_null(self, task: int) -> JSON:
        """The value of a task for people: null where there is none."""
        return _null_if_missing(self.of(task))

    def _derived(self, task: int) -> JSON:
        verb = self.state.nodes[task].verb
        if verb == "each":
            return self._of_each(task)
        opened = self.state.opened.get(task)
        if not opened:
            return None
        instance = self.state.scopes[opened[-1]]
        if verb == "loop":
            return _null_if_missing(self.of(instance.base))
        return self.inner(instance)

    def inner(self, instance: ScopeInstance) -> JSON:
        """`{id: value}` of a scope's tasks; null for those without a value."""
        nodes = self.state.nodes
        tasks = range(instance.base, instance.base + instance.size)
        return {nodes[task].id: _null_if_missing(self.of(task)) for task in tasks}

    def _of_each(self, task: int) -> JSON:
        each = self.state.each[task]
        found = [
            _null_if_missing(self.of(self.state.scopes[number].base)) if number >= 0 else None
            for number in each.instances
        ]
        return dict(zip((each.key(at) for at in range(each.count)), found, strict=True)) if each.mapping else found

    def items_of(self, task: int) -> list[JSON]:
        """The items an each runs over."""
        if task not in self._items:
            self._items[task] = load(self.journal, self.state.each[task].items)
        return self._items[task]

    # --- names

    def scope(self, task: int) -> Resolve:
        """What names mean for a task's own templates."""
        instance = self.state.instance_of(task)
        return lambda name: self._lookup(name, instance)

    def inside(self, instance: ScopeInstance) -> Resolve:
        """What names mean inside an opening of a composite: for `until`, `outputs` of a group, `key` and per-item expressions."""
        return lambda name: self._lookup(name, instance)

    def judging(self, task: int) -> Resolve:
        """For a loop's `until`: the names inside the round's body, and the task's own id for the round's value."""
        instance = self.state.scopes[self.state.loops[task].instances[-1]]
        body = self.state.opened.get(instance.base)
        innermost = self.state.scopes[body[-1]] if body else instance
        own = self.state.nodes[task].id

        def resolve(name: str) -> JSON:
            return _null_if_missing(self.of(instance.base)) if name == own else self._lookup(name, innermost)

        return resolve

    def for_item(self, task: int, item: JSON, index: int) -> Resolve:
        """For an each's `key` and `item_after`, before its items are open."""
        node = self.state.nodes[task]
        alias = node.each.alias if node.each else "item"
        outer = self.scope(task)
        given = {alias: item, "index": index}
        return lambda name: given[name] if name in given else outer(name)

    def run_scope(self) -> Resolve:
        """For the run's `outputs`."""
        main = self.state.scopes[0]
        return lambda name: self._lookup(name, main)

    def _lookup(self, name: str, instance: ScopeInstance) -> JSON:
        if name == "tasks":
            return _Tasks(self, instance)
        base, _, attribute = name.partition(".")
        task = self.task(base, instance)
        if task is not None:
            if not attribute:
                return self._whole(task)
            return self._fact(task, attribute) if self.state.nodes[task].verb == "each" else MISSING
        if attribute:
            return MISSING
        found = self._around(name, instance)
        return self._global(name) if found is MISSING else found

    def task(self, name: str, instance: ScopeInstance) -> int | None:
        """The task an id means from inside a scope: the nearest enclosing one that has it."""
        while True:
            local = self.locals[instance.scope].get(name)
            if local is not None:
                return instance.base + local
            if instance.parent < 0:
                return None
            instance = self.state.scopes[instance.parent]

    def _around(self, name: str, instance: ScopeInstance) -> JSON:
        """The item under its name, `index`, `previous`, `round`: of the nearest each or loop around."""
        while instance.owner != RUN:
            node = self.state.nodes[instance.owner]
            if node.each is not None and name in ("index", node.each.alias):
                return instance.index if name == "index" else self.items_of(instance.owner)[instance.index]
            if node.loop is not None and name in ("round", "previous"):
                return instance.index if name == "round" else self._previous(instance)
            instance = self.state.scopes[instance.parent]
        return MISSING

    def _previous(self, instance: ScopeInstance) -> JSON:
        loop = self.state.loops[instance.owner]
        if instance.index < 2:
            return MISSING
        return self._round_value(loop.instances[instance.index - 2])

    def _round_value(self, number: int) -> JSON:
        """What a round came to; of one whose group failed or has outputs of its own, what its inner tasks came to is not lost."""
        return self.of(self.state.scopes[number].base)

    def _global(self, name: str) -> JSON:
        if name == "inputs":
            return self.inputs
        if name == "env":
            return self.env
        if name == "secrets":
            return dict(self.secrets)
        if name == "run":
            return Facts(RUN_FACTS, self._run_fact)
        return MISSING

    # --- facts

    def _run_fact(self, name: str) -> JSON:
        state = self.state
        start = state.start
        assert start is not None
        match name:
            case "id":
                return start.run_id
            case "status":
                return state.outcome()[0] if state.phase not in ("", "main") else "running"
            case "started_at":
                return _instant(state.started_at)
            case "scheduled_at":
                return _instant(start.scheduled_at)
            case "trigger":
                return start.trigger
            case "attempt":
                return start.trigger.get("attempt", 1)
            case "workflow":
                return start.workflow
            case "error":
                failure = state.outcome()[1]
                return None if failure is None else {"type": failure.type, "message": failure.message}
            case _:
                return sum(state.costs.values()) if state.costs else None

    def fact(self, task: int, name: str) -> JSON:
        """`tasks.<id>.<name>`."""
        return self._fact(task, name)

    def _fact(self, task: int, name: str) -> JSON:
        state = self.state
        match name:
            case "status":
                return TASK_WORDS[state.statuses[task]]
            case "reason":
                return state.reasons.get(task, "")
            case "error":
                failure = state.failed_with.get(task)
                return None if failure is None else {"type": failure.type, "message": failure.message}
            case "attempts":
                return state.tries(task)
            case "duration":
                return state.ended[task] - state.started[task] if state.ended[task] and state.started[task] else None
            case "cost":
                return self.cost(task)
            case "history":
                loop = state.loops.get(task)
                return MISSING if loop is None else [_null_if_missing(self._round_value(n)) for n in loop.instances]
            case "answered_by":
                return state.by.get(task, MISSING)
            case "items" | "ok" | "failed":
                return self._items_fact(task, name)
            case _:
                return self._meta_fact(task, name)

    def cost(self, task: int) -> float | None:
        tasks = [task, *self.state.children(task)] if self.state.nodes[task].scope is not None else [task]
        costs = [self.state.costs[each] for each in tasks if each in self.state.costs]
        return sum(costs) if costs else None

    def _items_fact(self, task: int, name: str) -> JSON:
        each = self.state.each.get(task)
        if each is None:
            return MISSING
        items = self.items_of(task)
        found = []
        for at in range(each.count):
            state = each.states[at]
            entry: dict[str, JSON] = {"index": at, "key": each.key(at), "item": items[at]}
            inner = self.state.scopes[each.instances[at]].base if each.instances[at] >= 0 else None
            if name == "ok" and state == ITEM_OK and inner is not None:
                found.append(entry | {"value": _null_if_missing(self.of(inner))})
            elif name == "failed" and state == ITEM_FAILED and inner is not None:
                found.append(entry | {"error": self._fact(inner, "error")})
            elif name == "items":
                status = TASK_WORDS[self.state.statuses[inner]] if inner is not None else "waiting"
                found.append(entry | {"status": status})
        return found

    def _meta_fact(self, task: int, name: str) -> JSON:
        """`stdout`, `exit_code`, `response`: of the task, or of a loop's last round."""
        while task not in self.state.metas:
            opened = self.state.opened.get(task)
            if self.state.nodes[task].verb != "loop" or not opened:
                return MISSING
            task = self.state.scopes[opened[-1]].base
        return load(self.journal, self.state.metas[task]).get(name, MISSING)


class _Tasks(Mapping[str, JSON]):
    """`tasks` as a task sees it."""

    __slots__ = ("_instance", "_values")

    def __init__(self, values: Values, instance: ScopeInstance) -> None:
        self._values = values
        self._instance = instance

    def __getitem__(self, key: str) -> JSON:
        task = self._values.task(key, self._instance)
        if task is None:
            raise KeyError(key)
        return Facts(TASK_FACTS, lambda name: self._values.fact(task, name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._values.locals[self._instance.scope])

    def __len__(self) -> int:
        return len(self._values.locals[self._instance.scope])


def _null_if_missing(value: JSON) -> JSON:
    return None if value is MISSING else value


def _local_names(plan: Plan) -> list[dict[str, int]]:
    return [{node.id: local for local, node in enumerate(scope.nodes) if not node.inner} for scope in plan.scopes]


def _instant(at: float | None) -> str | None:
    """As `now()` writes it."""
    from orchestrator.core.expressions.dates import now_text  # most runs need no calendar

    return None if at is None else now_text(at, "UTC")
