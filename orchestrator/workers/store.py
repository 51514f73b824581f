"""The definitions somebody works with, by id. Every change is whole or does not happen; readers get values, never the shelf."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.workers.definitions import DefinitionStatus, Interaction, WorkerDefinition, changed, read_definition
from orchestrator.workers.errors import InvalidArgumentError, PreconditionFailedError, WorkerNotFoundError


class DefinitionStore:
    """Safe under threads. `declared` ones stand in a person's file: they are changed there, not here."""

    def __init__(self, declared: Iterable[WorkerDefinition] = (), places: Mapping[str, str] | None = None) -> None:
        """`places`: id → the file that declares it, for messages."""
        self._lock = threading.RLock()
        self._declared = {one.definition_id: one for one in declared}
        self._places = dict(places or {})
        self._added: dict[str, WorkerDefinition] = {}
        self._removed: set[str] = set()

    def beside(self, declared: Iterable[WorkerDefinition], place: str) -> DefinitionStore:
        """A view in which `declared` (a workflow's own) hide those of the same id. What is added to it is added here."""
        view = DefinitionStore()
        with self._lock:
            more = {one.definition_id: one for one in declared}
            view._declared = {**self._declared, **more}
            view._places = {**self._places, **dict.fromkeys(more, place)}
        view._lock, view._added, view._removed = self._lock, self._added, self._removed
        return view

    def add(self, definition: WorkerDefinition | Mapping[str, Any]) -> WorkerDefinition:
        """Raises InvalidArgumentError, PreconditionFailedError if the id is taken."""
        made = definition if isinstance(definition, WorkerDefinition) else read_definition(definition)
        with self._lock:
            if self._find(made.definition_id) is not None:
                where = self._places.get(made.definition_id)
                raise PreconditionFailedError(
                    f"there is a worker {made.definition_id!r} already" + (f", in {where}" if where else ""),
                    help="choose another id, or update that one",
                )
            self._added[made.definition_id] = made
            self._removed.discard(made.definition_id)
        return made

    def get(self, definition_id: str) -> WorkerDefinition:
        """Raises WorkerNotFoundError with near ids."""
        with self._lock:
            found = self._find(definition_id)
            known = [*self._declared, *self._added]
        if found is None:
            from orchestrator.spec.suggest import did_you_mean

            help = did_you_mean(definition_id, known) or ("there are none" if not known else "see the list")
            raise WorkerNotFoundError(f"no worker is called {definition_id!r}", help=help)
        return found

    def all(self) -> list[WorkerDefinition]:
        """By id."""
        with self._lock:
            found = {**self._added, **self._declared}
        return [found[one] for one in sorted(found)]

    def added(self) -> list[WorkerDefinition]:
        """Those that stand in no file of a person."""
        with self._lock:
            return [self._added[one] for one in sorted(self._added)]

    def removed(self) -> list[str]:
        """Ids that were removed here and not added again."""
        with self._lock:
            return sorted(self._removed)

    def place(self, definition_id: str) -> str | None:
        return self._places.get(definition_id)

    def update(self, definition_id: str, changes: Mapping[str, Any]) -> WorkerDefinition:
        """Raises WorkerNotFoundError, InvalidArgumentError, PreconditionFailedError for a declared one."""
        with self._lock:
            before = self.get(definition_id)
            self._refuse_declared(definition_id)
            self._added[definition_id] = made = changed(before, changes)
        return made

    def remove(self, definition_id: str) -> WorkerDefinition:
        """Raises as `update`."""
        with self._lock:
            before = self.get(definition_id)
            self._refuse_declared(definition_id)
            del self._added[definition_id]
            self._removed.add(definition_id)
        return before

    def take(self, definitions: Iterable[WorkerDefinition]) -> tuple[str, ...]:
        """Put all of them in, over earlier ones of the same id. Returns ids that a declared one hides."""
        with self._lock:
            made = {one.definition_id: one for one in definitions}
            self._added.update({name: one for name, one in made.items() if name not in self._declared})
            self._removed.difference_update(made)
            return tuple(name for name in made if name in self._declared)

    def _find(self, definition_id: str) -> WorkerDefinition | None:
        return self._declared.get(definition_id) or self._added.get(definition_id)

    def _refuse_declared(self, definition_id: str) -> None:
        if definition_id in self._declared:
            where = self._places.get(definition_id) or "a file"
            raise PreconditionFailedError(
                f"worker {definition_id!r} is declared in {where}",
                help=f"change it there, or with `whisper-flow workers update {definition_id}`",
            )


def fits(
    definition: WorkerDefinition,
    *,
    definition_id: str | None = None,
    name: str | None = None,
    provider: str | None = None,
    model: str | None = None,
    status: DefinitionStatus | None = None,
    interaction_model: Interaction | None = None,
    capabilities: Iterable[str] = (),
) -> bool:
    """Whether a definition passes every filter that is given: `model` with or without its provider, all `capabilities`."""
    if isinstance(capabilities, str):
        raise InvalidArgumentError("`capabilities` is a list of words")
    return (
        definition_id in (None, definition.definition_id)
        and (name is None or name.casefold() in (definition.name or definition.definition_id).casefold())
        and provider in (None, definition.provider)
        and model in (None, definition.model_name, definition.model)
        and status in (None, definition.status)
        and (interaction_model is None or definition.takes(interaction_model))
        and set(capabilities) <= set(definition.capabilities)
    )
