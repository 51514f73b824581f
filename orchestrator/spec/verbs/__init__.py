"""Task verbs: one file each, found by its name. `verb("run")` imports only that file."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from orchestrator import registry

if TYPE_CHECKING:
    from orchestrator.spec.verbs._verb import Verb

VERBS: frozenset[str] = frozenset(registry.names(__name__))


@cache
def verb(name: str) -> Verb:
    """The verb of that name. Raises NotFoundError."""
    found: Verb = registry.load(__name__, name, "VERB", noun="verb")
    return found


def verb_of(task: dict[str, Any]) -> Verb:
    """The one verb of a task whose shape is right."""
    for key in task:
        if key in VERBS:
            return verb(key)
    raise AssertionError("a task without a verb passed the shape check")
