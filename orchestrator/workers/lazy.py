"""Worker operations that come into being with their first use: a run that asks for none imports nothing of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.ports.workers import Asker, WorkerOperations

JSON = Any


class LazyWorkers:
    """Implements ports.workers.WorkerOperations by what `make` gives when it is first needed."""

    def __init__(self, make: Callable[[], WorkerOperations]) -> None:
        self._make = make
        self._made: WorkerOperations | None = None

    async def perform(self, operation: str, arguments: Mapping[str, JSON], asker: Asker | None = None) -> JSON:
        if self._made is None:
            self._made = self._make()
        return await self._made.perform(operation, arguments, asker)
