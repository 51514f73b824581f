"""Rerun: which finished results of an earlier run a new one takes over, and why the others are done again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.core.inputs import AttemptSucceeded
from orchestrator.core.plan import Plan, Scope
from orchestrator.core.run_state import RUN, RunState
from orchestrator.core.status import SKIPPED, SUCCEEDED
from orchestrator.engine.task_names import no_such_task

JSON = Any


def reusable(old: RunState, plan: Plan, *, from_task: str | None = None, failed: bool = False) -> list[str]:
    """Names of the leaf results of `old` that stay valid in a new run of `plan`.

    A task is done again if it did not succeed, if it is `from_task` or comes after it (in its own scope, or after the group,
    foreach or loop around it), if what it does has changed between the plans, or if it comes after any of those. `failed` asks for
    nothing more than that: what failed and what follows from it. Raises NotFoundError for an unknown `from_task`.
    """
    counted = set(_counted(old, RUN))
    again = _stale(old, plan, counted)
    if from_task is not None:
        wanted = [task for task in counted if _is_or_below(old, task, from_task)]
        if not wanted:
            raise no_such_task(old, from_task)
        again.update(wanted)
    _spread(old, again)
    return [
        old.name(task, attempts=False)
        for task in sorted(counted)
        if old.nodes[task].scope is None and old.statuses[task] == SUCCEEDED and task not in again
    ]


def _counted(old: RunState, owner: int) -> Iterator[int]:
    """All tasks but those of a group's earlier attempts: what came of those was given up."""
    opened = old.opened.get(owner, [])
    retried = owner != RUN and old.nodes[owner].verb == "group"
    for number in opened[-1:] if retried else opened:
        instance = old.scopes[number]
        for task in range(instance.base, instance.base + instance.size):
            yield task
            yield from _counted(old, task)


def _is_or_below(old: RunState, task: int, name: str) -> bool:
    while True:
        if name in (old.name(task), old.name(task, attempts=False)):
            return True
        task = old.instance_of(task).owner
        if task == RUN:
            return False


def _stale(old: RunState, plan: Plan, counted: set[int]) -> set[int]:
    """Leaves that came to no result, and tasks that the new plan does differently or not at all.

    A skipped task is decided about again and comes to the same as long as nothing before it changed.
    """
    digests = _digests(plan)
    found: set[int] = set()
    for task in counted:
        node = old.nodes[task]
        leaf_failed = node.scope is None and old.statuses[task] not in (SUCCEEDED, SKIPPED)
        if leaf_failed or digests.get(static_path(old, task)) != node.digest:
            found.add(task)
    return found


def static_path(state: RunState, task: int) -> str:
    """The task's place in the file: `build.rounds.code`, without items and rounds; a composite's layers apart by their verb."""
    parts: list[str] = []
    while task != RUN:
        node = state.nodes[task]
        parts.append(f"{node.id}:{node.verb}")
        task = state.instance_of(task).owner
    return ".".join(reversed(parts))


def _digests(plan: Plan) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for top in (0, plan.on_failure, plan.on_finally):
        if top is not None:
            _collect(plan, plan.scopes[top], "", found)
    return found


def _collect(plan: Plan, scope: Scope, prefix: str, found: dict[str, str]) -> None:
    for node in scope.nodes:
        path = prefix + f"{node.id}:{node.verb}"
        found[path] = node.digest
        if node.scope is not None:
            _collect(plan, plan.scopes[node.scope], path + ".", found)


def _spread(old: RunState, again: set[int]) -> None:
    """Everything that comes after a task done again is done again: in its scope, then after its owner, outwards."""
    queue = list(again)
    while queue:
        task = queue.pop()
        instance = old.instance_of(task)
        later = [instance.base + local for local in old.layout.successors[instance.scope][task - instance.base]]
        if instance.owner != RUN:
            later.append(instance.owner)
            later.extend(_after_in_owner(old, task))
        for other in later:
            if other not in again:
                again.add(other)
                queue.append(other)
                if old.nodes[other].scope is not None and other != instance.owner:
                    below = set(old.children(other)) - again
                    again |= below
                    queue.extend(below)


def _after_in_owner(old: RunState, task: int) -> list[int]:
    """Later rounds of the loop around a task see what it came to."""
    instance = old.instance_of(task)
    loop = old.loops.get(instance.owner)
    if loop is None:
        return []
    later = [old.scopes[number] for number in loop.instances if old.scopes[number].index > instance.index]
    return [inner for other in later for inner in range(other.base, other.base + other.size)]


def results(old: RunState, names: list[str], old_run: str) -> dict[str, AttemptSucceeded]:
    """name → the recorded result, as the report of an attempt that took no time and cost nothing."""
    wanted = set(names)
    found: dict[str, AttemptSucceeded] = {}
    for task in _counted(old, RUN):
        if old.nodes[task].scope is None and old.statuses[task] == SUCCEEDED:
            name = old.name(task, attempts=False)
            value = old.values[task]
            if name in wanted and value is not None:
                found[name] = AttemptSucceeded(task, 0, value, old.metas.get(task), None, None, old_run)
    return found
