"""What conversations have on record already: a replay that goes on passes over it."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.ai.record import read_session
from orchestrator.core.messages import ToolCall, ToolResult
from orchestrator.ports.journal import Journal

JSON = Any
ROWS_MAX = 1_000_000


def conversations(journal: Journal, run_id: str) -> list[str]:
    """The streams of a run's conversations, and of those it called."""
    own = [row.stream for row in journal.rows(prefix=f"{run_id}/agent/", limit=ROWS_MAX)]
    called = [row.stream for row in journal.rows(parent=run_id, limit=ROWS_MAX) if "/" not in row.stream]
    return own + [stream for child in called for stream in conversations(journal, child)]


def settled(journal: Journal, stream: str) -> int:
    """How many requests of a conversation have been answered, or have failed by themselves."""
    calls = read_session(journal, stream).calls
    return sum(call.status == "answered" or (call.status == "failed" and call.error != "cancelled") for call in calls)


def tools_done(journal: Journal, stream: str) -> list[tuple[str, JSON]]:
    """(name as models see it, arguments) of the tool calls that have their results."""
    session = read_session(journal, stream)
    parts = [part for message in session.messages for part in message.parts]
    calls = {part.id: part for part in parts if isinstance(part, ToolCall)}
    results = [part for part in parts if isinstance(part, ToolResult)]
    results += session.exchange.results if session.exchange is not None else ()
    found = [calls[result.call_id] for result in results if result.call_id in calls]
    return [(call.name, json.loads(call.arguments)) for call in found]
