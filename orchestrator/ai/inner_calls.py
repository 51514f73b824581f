"""What the agents behind an agent used: their conversations stand below the caller's key, however deep."""

from __future__ import annotations

from typing import Any

from orchestrator.ai.ledger import PaidCall, conversation_calls
from orchestrator.ai.record import read_session
from orchestrator.core.budget import amount
from orchestrator.core.session_state import usage_since_asked
from orchestrator.ports.journal import Journal
from orchestrator.ports.services import AgentCall

CONVERSATIONS_MAX = 100_000


def inner_calls(journal: Journal | None, call: AgentCall, stream: str) -> list[PaidCall]:
    """The requests of all agents that were asked on behalf of this call, since it was last asked for."""
    if journal is None or call.depth:  # whoever stands above them all counts for all
        return []
    rows = journal.rows(prefix=f"{call.run_id}/agent/{call.key}/", limit=CONVERSATIONS_MAX)
    if not rows:
        return []
    session = read_session(journal, stream)
    own = session.calls[session.exchanges[call.key].first_call - 1 :]
    since = own[0].sent_at if own else 0.0
    return [one for row in rows for one in conversation_calls(journal, row.stream) if one.sent_at >= since]


def cost_so_far(journal: Journal | None, call: AgentCall, stream: str) -> float | None:
    """What a call that waits has cost since it was last asked for, all agents behind it included; None if nothing is known."""
    if journal is None or call.depth:
        return None
    session = read_session(journal, stream)
    if call.key not in session.exchanges:
        return None
    _, cost, _ = usage_since_asked(session, call.key)
    return with_inner({}, None if cost is None else amount(cost), inner_calls(journal, call, stream))[1]


def with_inner(usage: dict[str, int], cost: float | None, calls: list[PaidCall]) -> tuple[dict[str, int], float | None]:
    """One's own usage and cost with theirs added; a cost is None only if nobody's is known."""
    total = dict(usage)
    for one in calls:
        total["requests"] = total.get("requests", 0) + 1
        total["input_tokens"] = total.get("input_tokens", 0) + (one.input_tokens or 0)
        total["output_tokens"] = total.get("output_tokens", 0) + (one.output_tokens or 0)
    known = [one.cost for one in calls if one.cost is not None]
    return total, (cost or 0.0) + sum(known) if known else cost


def meta_with_inner(meta: dict[str, Any], calls: list[PaidCall]) -> dict[str, Any]:
    """The same for what a failure says of itself."""
    usage, cost = with_inner(dict(meta.get("usage") or {}), meta.get("cost"), calls)
    return {**meta, "usage": usage, "cost": cost}
