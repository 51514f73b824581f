"""Before a request goes out: it is built, and its upper bound is reserved; after it, what it used is settled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from orchestrator.ai.record import SessionRecord
from orchestrator.ai.request import chat_request, input_tokens_bound
from orchestrator.core.budget import Reservation
from orchestrator.core.messages import Usage
from orchestrator.core.session_events import AnswerArrived, Input, RequestFailed, RequestPrepared
from orchestrator.core.session_state import Exchange
from orchestrator.ports.chat_model import ChatRequest, parse_model

if TYPE_CHECKING:
    from orchestrator.ai.drive import Surroundings

UNBOUNDED_TOKENS: Final = 16_384
"""Most output tokens of a request under a budget whose agent sets no `max_tokens`; the user is told."""
AFFORDABLE_MIN: Final = 64


class Preparation:
    """One loop's requests and what is reserved for the one that is out."""

    def __init__(self, around: Surroundings, record: SessionRecord, notice: Callable[[str], None]) -> None:
        self._around = around
        self._record = record
        self._notice = notice
        self._wish = Reservation(0, 0)

    @property
    def _exchange(self) -> Exchange:
        exchange = self._record.session.exchange
        assert exchange is not None
        return exchange

    async def request(self, timeout: float) -> ChatRequest:
        """The next request, with room for it in every budget. It ends in `settle` or `withdraw`. Raises TaskError."""
        around, terms = self._around, self._exchange.terms
        max_tokens: int | None = terms.settings.get("max_tokens")
        request = self._build(max_tokens, timeout)
        tokens_in = input_tokens_bound(request)
        if around.accounts and max_tokens is None:
            max_tokens = await self._affordable(tokens_in)
            request = self._build(max_tokens, timeout)
        usage = Usage(tokens_in, max_tokens or 0)
        self._wish = Reservation(usage.total_tokens, await self.cost(usage))
        await around.budgets.reserve(around.accounts, self._wish)
        return request

    def prepared(self) -> RequestPrepared:
        """What the record must know before the request goes out."""
        around, terms = self._around, self._exchange.terms
        return RequestPrepared(
            self._wish.tokens,
            self._wish.cost,
            terms.model,
            worker=terms.worker,
            currency=around.prices.currency,
            synthetic=around.model.synthetic,
        )

    def _build(self, max_tokens: int | None, timeout: float) -> ChatRequest:
        journal = self._record.journal
        return chat_request(
            self._record.session,
            self._exchange.terms,
            tools=[tool.spec for tool in self._around.tools.values()],
            blob=journal.get_blob if journal is not None else _no_blob,
            max_tokens=max_tokens,
            timeout=timeout,
            number=len(self._record.session.calls) + 1,
            task=self._around.voice.task_id,
        )

    async def _affordable(self, tokens_in: int) -> int:
        """A cap for an agent without `max_tokens`, so that its budget can be kept: what is left, at most 16,384."""
        cap = UNBOUNDED_TOKENS
        for account in self._around.accounts:
            if account.tokens_max is not None:
                cap = min(cap, account.tokens_max - account.tokens_spent - tokens_in)
            if account.cost_max is None:
                continue
            base, full = await self.cost(Usage(tokens_in)), await self.cost(Usage(tokens_in, cap))
            if base is not None and full is not None and full > base:
                left = account.cost_max - account.cost_spent - base
                cap = min(cap, left * cap // (full - base))
        self._notice(
            f"no `max_tokens` is set: this answer is limited to {max(cap, AFFORDABLE_MIN)} tokens by the budget"
        )
        return max(cap, AFFORDABLE_MIN)

    async def cost(self, usage: Usage) -> int | None:
        """What that usage costs with the exchange's model; None if the price is unknown."""
        if self._around.model.synthetic:
            return 0
        provider, model = parse_model(self._exchange.terms.model)
        # The public list takes 0.2 s to import the first time.
        return await asyncio.to_thread(self._around.prices.cost, provider, model, usage)

    def withdraw(self) -> None:
        """The request was never sent."""
        self._around.budgets.withdraw(self._around.accounts, self._wish)

    def settle(self, given: Input) -> None:
        """Book what came of it; what cannot be known counts as its bound."""
        around, wish = self._around, self._wish
        match given:
            case AnswerArrived(usage=usage, cost=cost):
                around.budgets.settle(around.accounts, wish, tokens=usage.total_tokens, cost=cost or 0)
            case RequestFailed(charged=False):
                around.budgets.settle(around.accounts, wish, tokens=0, cost=0)
            case RequestFailed(usage=Usage() as usage, cost=cost):
                around.budgets.settle(around.accounts, wish, tokens=usage.total_tokens, cost=cost or 0)
            case _:
                around.budgets.settle(around.accounts, wish, tokens=wish.tokens, cost=wish.cost or 0)


def _no_blob(digest: str) -> bytes:
    raise AssertionError(f"a conversation without a journal refers to blob {digest}")
