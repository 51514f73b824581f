"""The conversations that an agent task held: its own, and below it those of the agents that were asked on its behalf."""

from __future__ import annotations

from typing import Any, Final

from orchestrator.ports.journal import Journal, StreamRow

JSON = Any

CONVERSATIONS_MAX: Final = 10_000


def conversations(journal: Journal, run_id: str, task: str) -> list[dict[str, JSON]]:
    """Each right below the one that asked it, in the order they began: {stream, depth, agent, model, status, requests, tokens,
    cost, unknown, started_at, ended_at}.

    `cost` is in the conversation's `currency`, `unknown` counts requests that a crash cut off: they count at their upper bound.
    A conversation with a name of its own (`session:`) belongs to no single task and is not among them.
    """
    base = f"{run_id}/agent/{run_id}:{task}"
    rows = {row.stream: row for row in journal.rows(prefix=base, limit=CONVERSATIONS_MAX)}
    found = [row for stream, row in rows.items() if stream == base or stream.startswith(f"{base}/")]
    return [_told(row, base) for row in sorted(found, key=lambda row: _place(row, base, rows))]


def _place(row: StreamRow, base: str, rows: dict[str, StreamRow]) -> tuple[tuple[float, str], ...]:
    """When the conversation and each above it began, outermost first."""
    place: list[tuple[float, str]] = []
    stream = row.stream
    while len(stream) >= len(base):
        place.append((rows[stream].started_at if stream in rows else 0.0, stream))
        stream = stream.rpartition("/")[0]
    return tuple(reversed(place))


def _told(row: StreamRow, base: str) -> dict[str, JSON]:
    summary = row.summary
    return {
        "stream": row.stream,
        "depth": row.stream.removeprefix(base).count("/"),
        "agent": summary.get("agent", ""),
        "model": summary.get("model", ""),
        "status": row.status,
        "requests": summary.get("requests", 0),
        "tokens": summary.get("tokens", 0),
        "cost": summary.get("cost"),
        "currency": summary.get("currency", ""),
        "unknown": summary.get("unknown", 0),
        "started_at": row.started_at,
        "ended_at": row.ended_at,
    }
