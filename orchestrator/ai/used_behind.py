"""What stands behind an agent used: the agents it asked, whose conversations stand below its key, however deep, and the workflows
that were called as tools."""

from __future__ import annotations

from typing import Any, NamedTuple

from orchestrator.ai.ledger import PaidCall, conversation_calls
from orchestrator.ai.record import read_session
from orchestrator.ai.spent import runs_called
from orchestrator.core.budget import amount
from orchestrator.core.plan import agents_behind
from orchestrator.core.session_state import usage_since_asked
from orchestrator.ports.journal import Journal
from orchestrator.ports.services import AgentCall
from orchestrator.workers.performance import SPAWNED

CONVERSATIONS_MAX = 100_000
UNPRICED = "unpriced"
"""Of a task's usage: requests that may have been paid, and nobody knows how much. Left out where there are none."""


class Behind(NamedTuple):
    calls: list[PaidCall]
    """Requests of other agents."""
    runs: list[float]
    """What runs cost; one that has no cost, or no known one, is left out."""


NOTHING = Behind([], [])


def used_behind(journal: Journal | None, call: AgentCall, stream: str) -> Behind:
    """What was used on behalf of this call since it was last asked for."""
    if journal is None or call.depth:  # whoever stands above them all counts for all
        return NOTHING
    rows = journal.rows(prefix=f"{call.run_id}/agent/{call.key}/", limit=CONVERSATIONS_MAX)
    # Instances of workers have a conversation of their own, in which others may ask as well.
    rows += journal.rows(prefix=f"{call.run_id}/agent/@{SPAWNED}", limit=CONVERSATIONS_MAX)
    calls_workflows = _may_call_workflows(call)
    if not rows and not calls_workflows:
        return NOTHING
    session = read_session(journal, stream)
    if call.key not in session.exchanges:
        return NOTHING
    own = session.calls[session.exchanges[call.key].first_call - 1 :]
    since = own[0].sent_at if own else 0.0
    calls = [
        one
        for row in rows
        for one in conversation_calls(journal, row.stream)
        if one.sent_at >= since and one.key.startswith(f"{call.key}/")
    ]
    return Behind(calls, _costs_of_runs(journal, call, since) if calls_workflows else [])


def _may_call_workflows(call: AgentCall) -> bool:
    agents = [call.agent, *(call.agents[name] for name in agents_behind([call.agent_id], call.agents))]
    return any(tool.endswith((".yaml", ".yml")) for agent in agents for tool in agent.get("tools") or ())


def _costs_of_runs(journal: Journal, call: AgentCall, since: float) -> list[float]:
    task = call.key.partition(":")[2]
    costs = [row.summary.get("cost") for row in runs_called(journal, call.run_id, task, since)]
    return [cost for cost in costs if cost is not None]


def cost_so_far(journal: Journal | None, call: AgentCall, stream: str) -> float | None:
    """What a call that waits has cost since it was last asked for, all behind it included; None if nothing is known."""
    if journal is None or call.depth:
        return None
    session = read_session(journal, stream)
    if call.key not in session.exchanges:
        return None
    _, cost, _ = usage_since_asked(session, call.key)
    return with_behind({}, None if cost is None else amount(cost), used_behind(journal, call, stream))[1]


def with_behind(usage: dict[str, int], cost: float | None, behind: Behind) -> tuple[dict[str, int], float | None]:
    """One's own usage and cost with theirs added; a cost is None only if nobody's is known."""
    total = dict(usage)
    for one in behind.calls:
        total["requests"] = total.get("requests", 0) + 1
        total["input_tokens"] = total.get("input_tokens", 0) + (one.input_tokens or 0)
        total["output_tokens"] = total.get("output_tokens", 0) + (one.output_tokens or 0)
        if one.cost is None and one.charged and not one.synthetic:
            total[UNPRICED] = total.get(UNPRICED, 0) + 1
    known = [*(one.cost for one in behind.calls if one.cost is not None), *behind.runs]
    return total, (cost or 0.0) + sum(known) if known else cost


def meta_with_behind(meta: dict[str, Any], behind: Behind) -> dict[str, Any]:
    """The same for what a failure says of itself."""
    usage, cost = with_behind(dict(meta.get("usage") or {}), meta.get("cost"), behind)
    return {**meta, "usage": usage, "cost": cost}
