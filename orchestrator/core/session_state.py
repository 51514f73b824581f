"""What a conversation's machine knows: its messages, its exchanges, and the ledger of its paid calls.

Owned by the loop that drives it; only `session.evolve` changes it.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from orchestrator.core.events import Failure
from orchestrator.core.messages import Message, ToolCall, ToolResult, Usage
from orchestrator.core.session_events import HandedOff
from orchestrator.core.session_terms import Terms

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
    agent: str = ""
    """Who asked."""
    worker: str = ""
    """On which worker; empty if none is named."""
    currency: str = ""
    """Of `cost` and `cost_bound`; empty in records from before it was kept."""
    synthetic: bool = False
    """No AI model was asked: nothing was paid."""
    last: bool = False
    """A budget had room for this one only."""

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
    """Those that hold now: another model's after a fallback, another agent's after a hand-off."""
    first_message: int
    """Where its prompt stands in the conversation."""
    first_call: int
    """Number of the first call since it was last asked for."""
    started_at: float
    asked: Terms
    """Those of the present agent on its own model: where it begins when it is asked again on purpose."""
    first_context: int = 0
    """Where its prompt stands in what the model is sent."""
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
    place: int = 0
    """0: the agent's own model is asked; n: its n-th fallback."""
    begun: frozenset[str] = frozenset()
    """Pending calls that must not be made twice and have been started."""
    handoff: HandedOff | None = None
    """Takes effect when the turn's calls are done."""
    last_call: tuple[str, str] = ("", "")
    """Name and arguments of the latest tool call."""
    repeats: int = 0
    """How often in a row that very call was asked for."""
    warned: bool = False
    """The model was told that it repeats itself."""
    condensing: tuple[int, ...] = ()
    """Places in the context whose summary is being asked for."""
    summaries: int = 0
    """Summaries that stand before the prompt's own text."""
    left: bool = False
    """The conversation went on with another agent; this one is not resumed."""

    failures: int | None = None
    """How often its task had failed when it was asked last."""
    undone: bool = False
    """It was taken back."""

    @property
    def open(self) -> bool:
        return self.phase in OPEN


class Session(msgspec.Struct):
    """Owned by its loop; only `evolve` changes it."""

    id: str
    last: int = 0
    """Number of the last event."""
    messages: list[Message] = []
    """All that was said."""
    context: list[Message] = []
    """What of it the model is sent: less after an overflow, without foreign tool calls after a hand-off."""
    agent: str = ""
    """Whose tools the context may name: who was asked last."""
    handover: str = ""
    """What the agent before told this one; it goes before the next prompt."""
    bytes_per_token: float = 3.0
    """Of the context, as the provider counted the last request."""
    exchanges: dict[str, Exchange] = {}
    current: str = ""
    """Key of the latest exchange."""
    calls: list[Call] = []
    tool_call_ids: set[str] = set()
    """Of all tool calls that were ever asked for, taken back ones too."""

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


def unpriced_since_asked(session: Session, key: str) -> int:
    """Requests of the exchange since it was last asked for that may have been paid, and nobody knows how much."""
    calls = session.calls[session.exchanges[key].first_call - 1 :]
    return sum(call.key == key and call.cost is None and call.charged and not call.synthetic for call in calls)
