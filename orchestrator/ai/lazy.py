"""Sessions that come into being with the first agent task: a run without agents imports nothing of AI loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.ports.services import AgentAnswer, AgentCall, Sessions


class LazySessions:
    """Implements ports.Sessions by what `make` gives when it is first needed."""

    def __init__(self, make: Callable[[], Sessions]) -> None:
        self._make = make
        self._made: Sessions | None = None

    async def run_turns(self, call: AgentCall) -> AgentAnswer:
        return await self._sessions().run_turns(call)

    async def free_at(self, worker: Mapping[str, Any]) -> float | None:
        """When the limits of a worker have room again (epoch seconds); None if they do now, or if none are kept here."""
        look = getattr(self._sessions(), "free_at", None)
        return await look(worker) if look is not None else None

    def _sessions(self) -> Sessions:
        if self._made is None:
            self._made = self._make()
        return self._made

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()
