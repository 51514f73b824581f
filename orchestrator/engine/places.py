"""An attempt's place among those that may run at once, given back while it only waits for a run that it started.

Without that, callers could hold every place while the tasks of their child runs wait for one: nothing would ever go on.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from orchestrator.ports.services import ChildResult, Runs, WorkflowFace

JSON = Any


class Place:
    """One place of a semaphore; a context manager that holds it."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._held = False
        self._away = 0

    async def __aenter__(self) -> Place:
        await self._take()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give()

    def leave(self) -> None:
        """Somebody waits for a child run; several may at once."""
        self._away += 1
        self._give()

    async def come_back(self) -> None:
        """The last one that waited is back. Not called by one that was cancelled: then the place stays given back."""
        self._away -= 1
        if not self._away:
            await self._take()

    async def _take(self) -> None:
        if not self._held:
            await self._places.acquire()
            self._keep_one()

    def _keep_one(self) -> None:
        if self._held:  # another call of this attempt came back meanwhile
            self._places.release()
        self._held = True

    def _give(self) -> None:
        if self._held:
            self._held = False
            self._places.release()


class YieldingRuns:
    """Implements ports.Runs for one attempt: while a child runs, the attempt's place is free for others."""

    def __init__(self, runs: Runs, place: Place) -> None:
        self._runs = runs
        self._place = place

    def face(self, workflow: str, *, parent_run: str) -> WorkflowFace:
        return self._runs.face(workflow, parent_run=parent_run)

    async def call(
        self, workflow: str, inputs: dict[str, JSON], *, parent_run: str, key: str, detach: bool
    ) -> ChildResult:
        self._place.leave()
        try:
            result = await self._runs.call(workflow, inputs, parent_run=parent_run, key=key, detach=detach)
        except Exception:
            await self._place.come_back()
            raise
        await self._place.come_back()
        return result
