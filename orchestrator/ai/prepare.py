"""Before a request goes out: it is built, its upper bound is reserved, and it passes the worker's gate; after it, what it used is
settled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orchestrator.ai.accounts import question
from orchestrator.ai.budgets import BudgetExceededError, Taken
from orchestrator.ai.outgoing import Outgoing
from orchestrator.ai.record import SessionRecord
from orchestrator.ai.request import chat_request, input_tokens_bound
from orchestrator.core.budget import Account, Reservation, Threshold, Word
from orchestrator.core.messages import Usage
from orchestrator.core.session_events import AnswerArrived, Input, RequestFailed, RequestPrepared
from orchestrator.core.session_state import Exchange
from orchestrator.ports.chat_model import ChatRequest, parse_model
from orchestrator.ports.tool import PersonNeeded
from orchestrator.workers.gate import NoRoom, Passed, limited

if TYPE_CHECKING:
    from orchestrator.ai.surroundings import Surroundings

UNBOUNDED_TOKENS: Final = 16_384
"""Most output tokens of a request under a budget whose agent sets no `max_tokens`; the user is told."""
AFFORDABLE_MIN: Final = 64

LAST_TURN: Final = (
    "Your budget is used up: this is your last turn, and you have no tools any more. Answer now, as well as you can, with what "
    "you have found out so far. Say what is missing."
)
ANSWER_BYTES: Final = 8
"""What a token of an answer adds at most to the next request's bound, generously."""
RESULTS_BYTES: Final = 4_000
"""Room for what tools say between a request and the last one."""


class _Draft(NamedTuple):
    """A request that may go out, and its true upper bound."""

    request: ChatRequest
    wish: Reservation
    last: bool = False


class Preparation:
    """One loop's requests and what is reserved for the one that is out."""

    def __init__(self, around: Surroundings, record: SessionRecord, notice: Callable[[str], None]) -> None:
        self._around = around
        self._record = record
        self._notice = notice
        journal = record.journal
        self.outgoing = Outgoing(journal.get_blob if journal is not None else _no_blob)
        self._wish = Reservation(0, 0)
        self._last = False
        self._taken: Taken | None = None
        self._passed: tuple[Mapping[str, Any], Passed] | None = None
        self._place: tuple[Mapping[str, Any], str] | None = None

    @property
    def may_wait(self) -> bool:
        """Whether the next request may have to wait for others."""
        return bool(self._around.accounts) or limited(self._around.worker)

    @property
    def _exchange(self) -> Exchange:
        exchange = self._record.session.exchange
        assert exchange is not None
        return exchange

    async def request(self, timeout: float) -> ChatRequest:
        """The next request, with room for it in every budget and limit. It ends in `settle` or `withdraw`.

        Raises TaskError; PersonNeeded if a person may raise a budget; NoRoom if the worker's limits have room later only.
        """
        around = self._around
        await self._take_place()
        draft = await self._draft(self._in_time(timeout))
        try:
            self._taken = await self._reserve(draft)
        except BudgetExceededError as exceeded:
            draft = await self._instead(draft, exceeded)
        try:
            if around.worker is not None and (passed := await around.gate.enter(around.worker, draft.wish.tokens)):
                self._passed = around.worker, passed
        except BaseException as error:
            self.withdraw()
            if isinstance(error, NoRoom):
                self._give_place()
            raise
        self._wish, self._last = draft.wish, draft.last
        return draft.request

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
            last=self._last,
        )

    # The request

    async def _draft(self, timeout: float) -> _Draft:
        max_tokens: int | None = self._exchange.terms.settings.get("max_tokens")
        request = self._build(max_tokens, timeout)
        tokens_in = self._input_bound(request)
        if self._around.accounts and max_tokens is None:
            max_tokens = max(await self._affordable(tokens_in), AFFORDABLE_MIN)
            self._notice_limit(max_tokens)
            request = self._build(max_tokens, timeout)
        return _Draft(request, await self._bound(tokens_in, max_tokens or 0))

    def _notice_limit(self, max_tokens: int) -> None:
        """Once a conversation; again where it gets tight."""
        about = "budget's max_tokens" + ("" if max_tokens == UNBOUNDED_TOKENS else ", less")
        if about not in self._around.told:
            self._around.told.add(about)
            self._notice(f"no `max_tokens` is set: this answer is limited to {max_tokens} tokens by the budget")

    def _build(self, max_tokens: int | None, timeout: float) -> ChatRequest:
        return chat_request(
            self._record.session,
            self._exchange.terms,
            tools=[tool.spec for tool in self._around.tools.values()],
            outgoing=self.outgoing,
            max_tokens=max_tokens,
            timeout=timeout,
            number=len(self._record.session.calls) + 1,
            task=self._around.voice.task_id,
        )

    def _input_bound(self, request: ChatRequest) -> int:
        return input_tokens_bound(request, self.outgoing.tokens(request.messages))

    async def _bound(self, tokens_in: int, tokens_out: int) -> Reservation:
        usage = Usage(tokens_in, tokens_out)
        currency = "" if self._around.model.synthetic else self._around.prices.currency
        return Reservation(usage.total_tokens, await self.cost(usage), currency)

    def _in_time(self, timeout: float) -> float:
        """What budgets of time leave for one request."""
        now = self._around.clock.now()
        left = [account.time_left(now) for account in self._around.accounts]
        return max(min([timeout, *(seconds for seconds in left if seconds is not None)]), 0.0)

    async def _affordable(self, tokens_in: int, most: int = UNBOUNDED_TOKENS) -> int:
        """Most output tokens that all budgets leave beside an input; may be negative."""
        cap = most
        for account in self._around.accounts:
            for left in await self._left(account, "tokens", account.tokens_max, account.tokens_spent):
                cap = min(cap, left - tokens_in)
            for left in await self._left(account, "cost", account.cost_max, account.cost_spent):
                base, full = await self.cost(Usage(tokens_in)), await self.cost(Usage(tokens_in, most))
                if base is not None and full is not None and full > base:
                    cap = min(cap, (left - base) * most // (full - base))
        return cap

    async def _left(self, account: Account, word: str, limit: int | None, spent: int) -> list[int]:
        """What is left of a limit and of its day's."""
        day: Word = "cost_per_day" if word == "cost" else "tokens_per_day"
        today = await self._around.budgets.day_left(account, day)
        return [*([] if limit is None else [limit - spent]), *([] if today is None else [today])]

    async def cost(self, usage: Usage) -> int | None:
        """What that usage costs with the exchange's model; None if the price is unknown."""
        if self._around.model.synthetic:
            return 0
        provider, model = parse_model(self._exchange.terms.model)
        prices = self._around.prices
        if prices.at_hand:
            return prices.cost(provider, model, usage)
        # The public list takes 0.2 s to import the first time.
        return await asyncio.to_thread(prices.cost, provider, model, usage)

    # Budgets

    async def _reserve(self, draft: _Draft) -> Taken:
        around = self._around
        after = None
        if not draft.last and any(account.on_exceeded == "wrap_up" for account in around.accounts):
            after = await self._wrap_up_bound(draft)
        return await around.budgets.reserve(around.accounts, draft.wish, after=after, tell=self._tell)

    async def _wrap_up_bound(self, draft: _Draft) -> Reservation:
        """What a last request behind this one may come to: with its answer, and what tools say of it, in its input."""
        out = draft.request.max_tokens or UNBOUNDED_TOKENS
        tokens_in = self._input_bound(draft.request) + out * ANSWER_BYTES + RESULTS_BYTES + len(LAST_TURN)
        return await self._bound(tokens_in, out)

    async def _instead(self, draft: _Draft, exceeded: BudgetExceededError) -> _Draft:
        """What becomes of a request that does not fit: a question, a last turn, or the failure."""
        account, refused = exceeded.account, exceeded.refused
        if not refused.raisable or self._exchange.condensing:
            raise exceeded
        if account.on_exceeded == "ask" and (asked := question(account, refused)) is not None:
            raise PersonNeeded(asked) from exceeded
        if account.on_exceeded != "wrap_up" or refused.word == "time":
            raise exceeded
        last = await self._last_draft(draft, exceeded)
        self._taken = await self._reserve(last)
        self._notice(f"last turn within the budget of {account.name}")
        return last

    async def _last_draft(self, draft: _Draft, exceeded: BudgetExceededError) -> _Draft:
        """The same question without tools, with an answer as long as the budget lets it be."""
        instructions = "\n\n".join(text for text in (draft.request.instructions, LAST_TURN) if text)
        request = replace(draft.request, tools=(), instructions=instructions)
        tokens_in = self._input_bound(request)
        wanted = draft.request.max_tokens or UNBOUNDED_TOKENS
        cap = min(wanted, await self._affordable(tokens_in, wanted))
        if cap < min(AFFORDABLE_MIN, wanted):
            raise exceeded
        request = replace(request, max_tokens=cap, capped=cap != self._exchange.terms.settings.get("max_tokens"))
        return _Draft(request, await self._bound(tokens_in, cap), last=True)

    def _tell(self, threshold: Threshold) -> None:
        self._notice(threshold.shown())
        self._around.voice.budget_reached(threshold)

    # Places

    async def _take_place(self) -> None:
        worker = self._around.worker
        if self._place is not None and self._place[0] is not worker:
            self._give_place()
        if worker is None or self._place is not None:
            return
        ticket = await self._around.gate.take_place(worker, self._notice)
        if ticket is not None:
            self._place = worker, ticket

    def _give_place(self) -> None:
        if self._place is not None:
            (worker, ticket), self._place = self._place, None
            self._around.gate.give_place(worker, ticket)

    # After a request

    def withdraw(self) -> None:
        """The request was never sent."""
        if self._taken is not None:
            self._around.budgets.withdraw(self._taken)
            self._taken = None
        if self._passed is not None:
            (worker, passed), self._passed = self._passed, None
            self._around.gate.turn_back(worker, passed)

    def settle(self, given: Input) -> None:
        """Book what came of it; what cannot be known counts as its bound."""
        tokens, cost = self._used(given)
        if self._taken is not None:
            taken, self._taken = self._taken, None
            self._around.budgets.settle(taken, tokens=tokens, cost=cost, tell=self._tell)
        if self._passed is not None:
            (worker, passed), self._passed = self._passed, None
            self._around.gate.leave(worker, passed, tokens)
        if isinstance(given, AnswerArrived) and given.message.tool_calls:
            # While its tools run it is not active: they may ask agents on the same worker.
            self._give_place()

    def _used(self, given: Input) -> tuple[int, int]:
        """Tokens and cost that count."""
        match given:
            case AnswerArrived(usage=usage, cost=cost):
                return usage.total_tokens, cost or 0
            case RequestFailed(charged=False):
                return 0, 0
            case RequestFailed(usage=Usage() as usage, cost=cost):
                return usage.total_tokens, cost or 0
        return self._wish.tokens, self._wish.cost or 0

    def close(self) -> None:
        """The exchange is over, or left: what was taken for a request that never went out is given back. Idempotent."""
        self.withdraw()
        self._give_place()


def _no_blob(digest: str) -> bytes:
    raise AssertionError(f"a conversation without a journal refers to blob {digest}")
