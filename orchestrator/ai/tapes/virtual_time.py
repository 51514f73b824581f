"""Time as a replay has it: what was waited for when it was recorded passes at once.

Each agent's attempt has a time of its own, ahead of the real one by what it did not wait for; so an attempt that skips a long
back-off does not make the others' time run out.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass

from orchestrator.ports.clock import Clock
from orchestrator.ports.services import AgentAnswer, AgentCall, Sessions


@dataclass(slots=True)
class _Ahead:
    seconds: float = 0.0


_ahead: ContextVar[_Ahead | None] = ContextVar("ahead", default=None)


class VirtualClock:
    """Implements ports.Clock over the real one."""

    def __init__(self, real: Clock) -> None:
        self._real = real

    def now(self) -> float:
        return self._real.now() + self._seconds()

    def monotonic(self) -> float:
        return self._real.monotonic() + self._seconds()

    async def sleep(self, seconds: float) -> None:
        """Nobody waits; the time is later all the same."""
        pass_time(seconds)
        await asyncio.sleep(0)

    @staticmethod
    def _seconds() -> float:
        ahead = _ahead.get()
        return ahead.seconds if ahead is not None else 0.0


def pass_time(seconds: float) -> None:
    """Let the current attempt's time pass. Without an attempt nothing happens."""
    ahead = _ahead.get()
    if ahead is not None:
        ahead.seconds += max(seconds, 0.0)


class VirtualSessions:
    """Implements ports.Sessions: every call has its own time."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def run_turns(self, call: AgentCall) -> AgentAnswer:
        # A call within a call (an agent asked by an agent) passes the time of whoever waits for it.
        if _ahead.get() is None:
            _ahead.set(_Ahead())
        return await self._sessions.run_turns(call)

    async def close(self) -> None:
        await self._sessions.close()
