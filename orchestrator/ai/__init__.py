"""AI loops: conversations with models, each by its own config and on its own record.

    sessions ── what an `agent:` task asks; its tools, sub-agents, budgets      manager, factory ── make loops and keep them
        loop ── one conversation, asked by one caller at a time                 seats, fallback, handoff ── whom it asks
            drive ── does what core's session machine wants, one turn after another
                prepare ── a request is built, reserved (budgets, accounts), let through (workers' gate, breaker)
                answer, output ── a stream becomes an answer, its text a value
                tool_calls ── calls of one answer, each behind guarded and permissions
                record ── everything above stands there before anybody sees it
    ledger, spent, used_behind ── read what was paid      masking ── no secret passes      tapes ── record and replay

The whole picture is in docs/explanation/agents.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.ai.config import AILoopConfig
    from orchestrator.ai.factory import AILoopFactory
    from orchestrator.ai.handoff import HandOff
    from orchestrator.ai.loop import AILoop, LoopAnswer
    from orchestrator.ai.manager import AILoopManager
    from orchestrator.ai.seats import Seat
    from orchestrator.ai.sessions import AgentSessions

__all__ = ["AILoop", "AILoopConfig", "AILoopFactory", "AILoopManager", "AgentSessions", "HandOff", "LoopAnswer", "Seat"]

_HOMES = {
    "AILoop": "loop",
    "AILoopConfig": "config",
    "AILoopFactory": "factory",
    "AILoopManager": "manager",
    "AgentSessions": "sessions",
    "HandOff": "handoff",
    "LoopAnswer": "loop",
    "Seat": "seats",
}


def __getattr__(name: str) -> Any:
    """Imported when first asked for: a run without agents pays for none of it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
