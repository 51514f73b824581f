"""Where the money went: the ledger of paid calls, summed by run, workflow, agent, worker, model, day or task.

Sums are exact. A request whose price or usage is unknown is counted beside the sum, never as 0 in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec

from orchestrator.core.budget import UNIT
from orchestrator.core.session_state import Call, Exchange
from orchestrator.ports.chat_model import parse_model
from orchestrator.ports.journal import Journal
from orchestrator.workers.derived import AGENT, CURRENCY, Conversation, Conversations, is_unknown
from orchestrator.workers.performance import task_name

By = Literal["run", "workflow", "agent", "worker", "model", "day", "task"]
GROUPS: Final[tuple[str, ...]] = get_args(By)


class Paid(NamedTuple):
    """One request and whom it belongs to."""

    call: Call
    exchange: Exchange
    run: str
    workflow: str


class Spent(msgspec.Struct, kw_only=True):
    """What one group came to."""

    name: str
    requests: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    costs: dict[str, int] = {}
    """Currency → whole trillionths of its unit, of what is known."""
    unknown: int = 0
    """Requests that may have been paid for at a price nobody knows."""
    at_most: dict[str, int] = {}
    """Currency → what those of them can have cost whose bound is known."""
    synthetic: int = 0
    """Requests that asked no AI model; they cost nothing."""
    last_at: float = 0.0

    def shown(self) -> dict[str, Any]:
        """For programs: money as decimal texts, so that nothing is rounded."""
        return {
            "name": self.name,
            "requests": self.requests,
            "failed": self.failed,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "costs": {currency: exact(cost) for currency, cost in sorted(self.costs.items())},
            "unknown_requests": self.unknown,
            "unknown_at_most": {currency: exact(cost) for currency, cost in sorted(self.at_most.items())},
            "synthetic_requests": self.synthetic,
        }


def exact(cost: int) -> str:
    """Trillionths as a decimal text without trailing zeros: `0.0123`."""
    text = f"{Decimal(cost) / UNIT:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def spending(
    journal: Journal | Conversations | None, by: By, *, since: float = 0.0, until: float | None = None
) -> list[Spent]:
    """Groups with the most money first (days: the latest first). Replayed runs are left out. Raises JournalError."""
    groups: dict[str, Spent] = {}
    name_of = _NAMES[by]
    for paid in paid_requests(journal, since=since):
        if paid.call.sent_at >= since and (until is None or paid.call.sent_at < until):
            name = name_of(paid)
            _add(groups.setdefault(name, Spent(name=name)), paid)
    if by == "day":
        return sorted(groups.values(), key=lambda spent: spent.name, reverse=True)
    return sorted(
        groups.values(), key=lambda spent: (-max(spent.costs.values(), default=0), -spent.requests, spent.name)
    )


def total(groups: Iterable[Spent]) -> Spent:
    """All groups as one."""
    whole = Spent(name="total")
    for spent in groups:
        whole.requests += spent.requests
        whole.failed += spent.failed
        whole.input_tokens += spent.input_tokens
        whole.output_tokens += spent.output_tokens
        whole.unknown += spent.unknown
        whole.synthetic += spent.synthetic
        whole.last_at = max(whole.last_at, spent.last_at)
        for sums, more in ((whole.costs, spent.costs), (whole.at_most, spent.at_most)):
            for currency, cost in more.items():
                sums[currency] = sums.get(currency, 0) + cost
    return whole


def paid_requests(journal: Journal | Conversations | None, *, since: float = 0.0) -> Iterator[Paid]:
    """Every request on record that was sent to a model; all of those since `since`, and some before."""
    conversations = journal if isinstance(journal, Conversations) else Conversations(journal, keep=0)
    workflows: dict[str, str] = {}
    for conversation in conversations.all(since=since):
        run = conversation.row.stream.split(AGENT)[0]
        if run not in workflows:
            workflows[run] = conversations.workflow(run)
        for call in conversation.session.calls:
            yield Paid(call, _exchange(conversation, call), run, workflows[run])


def _exchange(conversation: Conversation, call: Call) -> Exchange:
    return conversation.session.exchanges[call.key]


def _add(spent: Spent, paid: Paid) -> None:
    call = paid.call
    spent.requests += 1
    spent.failed += call.status in ("failed", "unknown")
    spent.last_at = max(spent.last_at, call.sent_at)
    if call.usage is not None:
        spent.input_tokens += call.usage.input_tokens
        spent.output_tokens += call.usage.output_tokens
    if call.synthetic:
        spent.synthetic += 1
        return
    currency = call.currency or CURRENCY
    if call.cost is not None:
        spent.costs[currency] = spent.costs.get(currency, 0) + call.cost
    elif is_unknown(call):
        spent.unknown += 1
        if call.usage is None and call.cost_bound is not None:
            spent.at_most[currency] = spent.at_most.get(currency, 0) + call.cost_bound


def _one_spelling(model: str) -> str:
    """`openai:gpt-5` is `openai/gpt-5`: whichever of the two signs comes first ends the provider's name."""
    try:
        return "/".join(parse_model(model))
    except ValueError:
        return model


def _task(paid: Paid) -> str:
    return task_name(paid.exchange.key).removeprefix(f"{paid.run}:")


_NAMES: Final[dict[str, Callable[[Paid], str]]] = {
    "run": lambda paid: paid.run,
    "workflow": lambda paid: paid.workflow or "(no workflow)",
    "agent": lambda paid: paid.call.agent or paid.exchange.terms.agent,
    "worker": lambda paid: paid.call.worker or "(none)",
    "model": lambda paid: _one_spelling(paid.call.model or paid.exchange.terms.model),
    "day": lambda paid: f"{datetime.fromtimestamp(paid.call.sent_at, UTC):%Y-%m-%d}",
    "task": lambda paid: f"{paid.workflow or '(no workflow)'} {_task(paid)}",
}
