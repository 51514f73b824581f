"""The ledger of paid calls: one row for each model request of a run, read from its conversations' records."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from orchestrator.ai.record import read_session
from orchestrator.core.budget import amount
from orchestrator.ports.journal import Journal


class PaidCall(msgspec.Struct, frozen=True, kw_only=True):
    conversation: str
    """The stream that recorded it."""
    agent: str
    model: str
    number: int
    """From 1 in its conversation."""
    turn: int
    status: Literal["in flight", "answered", "failed", "unknown"]
    """`unknown`: a crash cut it off, nobody can know whether it was answered; it counts as its upper bound."""
    error: str
    sent_at: float
    ended_at: float | None
    input_tokens: int | None
    output_tokens: int | None
    tokens_counted: int
    """What budgets count: the usage where it is known, else the upper bound."""
    cost: float | None
    """None: nothing was paid, or the price or usage is unknown."""
    cost_counted: float
    charged: bool
    currency: str = "USD"
    synthetic: bool = False
    """No AI model was asked: nothing was paid."""
    key: str = ""
    """The prompt's, below the key of whom it was asked for."""
    last: bool = False
    """A budget had room for this one only."""

    def shown(self) -> dict[str, Any]:
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]


def paid_calls(journal: Journal, run_id: str) -> list[PaidCall]:
    """All model requests of a run's agents, in the order they were sent. Raises JournalError."""
    found: list[PaidCall] = []
    for row in journal.rows(prefix=f"{run_id}/agent/", limit=1_000_000):
        found += conversation_calls(journal, row.stream)
    return sorted(found, key=lambda call: (call.sent_at, call.conversation, call.number))


def conversation_calls(journal: Journal, stream: str) -> list[PaidCall]:
    """The requests of one conversation, in order."""
    session = read_session(journal, stream)
    return [
        PaidCall(
            conversation=stream,
            agent=session.exchanges[call.key].terms.agent,
            model=call.model,
            number=call.number,
            turn=call.turn,
            status=call.status,
            error=call.error,
            sent_at=call.sent_at,
            ended_at=call.ended_at,
            input_tokens=call.usage.input_tokens if call.usage is not None else None,
            output_tokens=call.usage.output_tokens if call.usage is not None else None,
            tokens_counted=call.tokens_counted,
            cost=amount(call.cost) if call.cost is not None else None,
            cost_counted=amount(call.cost_counted),
            charged=call.charged,
            currency=call.currency or "USD",
            synthetic=call.synthetic,
            key=call.key,
            last=call.last,
        )
        for call in session.calls
    ]
