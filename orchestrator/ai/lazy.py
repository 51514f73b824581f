"""Sessions that come into being with the first agent task: a run without agents imports nothing of AI loops."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.ports.services import AgentAnswer, AgentCall, Sessions


class LazySessions:
    """Implements ports.Sessions by what `make` gives when it is first needed."""

    def __init__(self, make: Callable[[], Sessions]) -> None:
        self._make = make
        self._made: Sessions | None = None

    async def run_turns(self, call: AgentCall) -> AgentAnswer:
        if self._made is None:
            self._made = self._make()
        return await self._made.run_turns(call)

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()
