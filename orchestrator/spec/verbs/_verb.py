"""What a file in this folder offers as `VERB`: what a task of that verb may say, and how it becomes a Plan node's `fields`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.core.plan import Effect
from orchestrator.spec.models_tasks import TaskBase

Task = dict[str, Any]
"""A task as the file has it, defaults merged, known to fit its model."""


class Lowering(Protocol):
    """What a verb may ask of the compiler while its fields are made. Paths are relative to the task."""

    def typed(self, value: Any, *path: str | int) -> str:
        """A scalar exactly as it was typed: `1.10` stays `1.10`."""
        ...

    def agent(self, inline: dict[str, Any]) -> str:
        """Declares an agent written inside a task; returns the id it got."""
        ...

    def child(self, path: str) -> str:
        """Compiles the workflow at that path; returns its identity (its path below the project)."""
        ...

    def shell(self, text: str) -> tuple[str, dict[str, str]]:
        """A script whose expressions became variables, and what each variable holds (a template)."""
        ...

    def schema(self, type_value: Any, *path: str | int) -> dict[str, Any]:
        """JSON Schema of a type."""
        ...

    def later(self, what: str, *path: str | int) -> None:
        """Notes something that the language has and this version cannot run; the run refuses to start."""
        ...


@dataclass(frozen=True, kw_only=True)
class Verb:
    name: str
    model: type[TaskBase]
    fields: Callable[[Task, Lowering], dict[str, Any]]
    """Makes the node's `fields`. Strings in it are templates; the verb's file says which keys there are."""
    value: str
    """What the task's value is, for the reference."""
    effect: Effect | Callable[[Task], Effect]
    """The default effect of such a task; a function's own words say when it is which."""
    slot: bool = True
    """Whether it counts against `max_parallel` while it runs."""
    verbatim: frozenset[str] = frozenset()
    """Fields that are never templates."""

    def effect_of(self, task: Task) -> Effect:
        return self.effect(task) if callable(self.effect) else self.effect

    @property
    def effect_words(self) -> str:
        return (self.effect.__doc__ or "").strip() if callable(self.effect) else f"`{self.effect}`"


def seconds(value: Any) -> Any:
    """A duration in seconds; a template stays, what it gives is read when the task runs."""
    from orchestrator.core.units import parse_duration

    if isinstance(value, str) and "${{" in value:
        return value
    return parse_duration(value)


def on_expired(value: Any) -> Any:
    return "fail" if value is None else value
