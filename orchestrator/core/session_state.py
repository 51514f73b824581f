"""What a conversation's machine knows: its messages, its exchanges, and the ledger of its paid calls.

Owned by the loop that drives it; only `session.evolve` changes it.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from orchestrator.core.events import Failure
from orchestrator.core.messages import Message, ToolCall, ToolResult, Usage
from orchestrator.core.session_events import Terms

Phase = Literal["preparing", "calling", "deciding", "backing_off", "using_tools", "ended", "failed", "stopped"]

OPEN: Final[frozenset[Phase]] = frozenset({"preparing", "calling", "deciding", "backing_off", "using_tools"})


class Call(msgspec.Struct):
    """A row of the ledger of paid calls."""

    number: int
    key: str
    turn: int
    sent_at: float
    tokens_bound: int
    cost_bound: int | None
    model: str = ""
    status: Literal["in flight", "answered", "failed", "unknown"] = "in flight"
    ended_at: float | None = None
    usage: Usage | None = None
    cost: int | None = None
    charged: bool = True
    error: str = ""

    @property
    def tokens_counted(self) -> int:
        """What a budget must count: what was used where that is known, else the bound."""
        if self.usage is not None:
            return self.usage.total_tokens
        return self.tokens_bound if self.charged else 0

    @property
    def cost_counted(self) -> int:
        if self.cost is not None:
            return self.cost
        if self.usage is None and self.charged and self.cost_bound is not None:
            return self.cost_bound
        return 0


class Exchange(msgspec.Struct):
    key: str
    terms: Terms
    first_message: int
    """Where its prompt stands in the conversation."""
    first_call: int
    """Number of the first call since it was last asked for."""
    started_at: float
    phase: Phase = "preparing"
    deadline: float | None = None
    turn: int = 1
    turn_started_at: float = 0.0
    tries: int = 0
    """Failed requests of this turn."""
    lost: int = 0
    """Requests of this turn that a crash cut off."""
    repairs: int = 0
    wake_at: float | None = None
    pending: tuple[ToolCall, ...] = ()
    """Tool calls of the last answer that have no result yet."""
    results: tuple[ToolResult, ...] = ()
    failure: Failure | None = None
    partial: str = ""
    text: str = ""
    """The answer, once it ended."""
    finish: str = ""
    model: str = ""
    """What answered last, in the provider's own words."""

    @property
    def open(self) -> bool:
        return self.phase in OPEN


class Session(msgspec.Struct):
    """Owned by its loop; only `evolve` changes it."""

    id: str
    last: int = 0
    """Number of the last event."""
    messages: list[Message] = []
    exchanges: dict[str, Exchange] = {}
    current: str = ""
    """Key of the latest exchange."""
    calls: list[Call] = []

    @property
    def exchange(self) -> Exchange | None:
        return self.exchanges.get(self.current)


def usage_since_asked(session: Session, key: str) -> tuple[Usage, int | None, int]:
    """What the exchange used since it was last asked for: (tokens, cost or None if nothing is priced, requests)."""
    usage, cost, requests = Usage(), None, 0
    for call in session.calls[session.exchanges[key].first_call - 1 :]:
        if call.key != key:
            continue
        requests += 1
        usage += call.usage or Usage()
        if call.cost is not None:
            cost = (cost or 0) + call.cost
    return usage, cost, requests
