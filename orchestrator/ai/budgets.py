"""Budgets enforced: every request reserves its upper bound in all budgets it belongs to, before it is sent.

A request that would fit once others have settled waits for them; one that cannot fit at all is refused. What one run spends is
booked on one event loop with no `await` between looking and booking, so no lock is needed; a day's budget is drawn on meters
that all processes share.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakValueDictionary

from orchestrator.ai.accounts import day_draws, day_meter, open_account, raise_limits
from orchestrator.core.budget import (
    Account,
    Refusal,
    Reservation,
    Threshold,
    Word,
    cost_message,
    fits,
    passed,
    reached,
    refusal,
    reserve,
    settle,
    tokens_message,
    withdraw,
)
from orchestrator.errors import TaskError
from orchestrator.ports.journal import Journal
from orchestrator.ports.meters import Draw, MeterRefusal
from orchestrator.workers.metering import Metering

KEPT_MAX: Final = 4096

LOOK_S: Final = 0.25
"""How often it is looked whether another process let go of something of a day's budget."""

Tell = Callable[[Threshold], None]
Sleep = Callable[[float], Awaitable[None]]


class BudgetExceededError(TaskError):
    """The request cannot be sent within `account`."""

    def __init__(self, account: Account, refused: Refusal) -> None:
        help = "raise `budget`, or lower `max_tokens`"
        if refused.word in ("turns", "time"):
            help = f"raise `{refused.word}` in the budget"
        elif refused.word == "price":
            help = "give the worker `cost_metrics`, or set `allow_unpriced: true` in the budget"
        elif refused.word == "currency":
            help = f"write the budget in that currency, or give the worker prices in {account.currency}"
        super().__init__("budget", refused.message, help=help)
        self.account = account
        self.refused = refused


@dataclass(slots=True)
class Taken:
    """What one request has reserved. It ends in `Budgets.settle` or `Budgets.withdraw`, once."""

    accounts: tuple[Account, ...]
    wish: Reservation
    tickets: list[tuple[Account, str, dict[Word, str]]] = field(default_factory=list)
    """Of days: (account, ticket, limit → meter)."""


class Budgets:
    """The accounts of one process, by name. A name is a run, or a task of one: whatever shares one pot."""

    def __init__(
        self,
        journal: Journal | None = None,
        *,
        metering: Metering | None = None,
        now: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._journal = journal
        self._metering = metering
        self._now = now
        self._sleep = sleep
        self._accounts: WeakValueDictionary[str, Account] = WeakValueDictionary()
        self._kept: dict[str, Account] = {}
        """The latest ones, so that not every task of a run has to read what was spent before."""
        self._waiting: list[asyncio.Future[None]] = []
        self._looking: set[asyncio.Future[None]] = set()

    def account(
        self, name: str, limits: Mapping[str, Any], *, streams: str = "", answers: Mapping[str, Any] | None = None
    ) -> Account:
        """The account of that name, opened with `limits` when first asked (see `AgentCall.budgets`).

        `streams` names the conversations whose spending already counts, so that a resumed run begins with what it spent:
        one stream with all below it, or all below a prefix that ends in `/`; for `RUN/agent/` also those of the runs it called.
        `answers` are what people said so far, by the key of the question: they may have raised a limit.
        """
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = open_account(name, limits, self._journal, streams)
        self._keep(name, account)
        raise_limits(account, {**(limits.get("answers") or {}), **(answers or {})})
        return account

    def _keep(self, name: str, account: Account) -> None:
        """An account that nobody uses may be forgotten: the journal knows it. One in use stays whatever happens."""
        self._kept.pop(name, None)
        self._kept[name] = account
        if self._journal is not None and len(self._kept) > KEPT_MAX:
            del self._kept[next(iter(self._kept))]

    async def reserve(
        self,
        accounts: Iterable[Account],
        wish: Reservation,
        *,
        after: Reservation | None = None,
        tell: Tell | None = None,
    ) -> Taken:
        """Take `wish` out of every account, waiting for other requests where that helps. Raises BudgetExceededError.

        `after` is what must still fit behind it in accounts whose `on_exceeded` is `wrap_up`.
        """
        accounts = tuple(accounts)
        while True:
            for account in accounts:
                if (refused := refusal(account, _whole(account, wish, after), self._now())) is not None:
                    raise self._exceeded(account, refused, tell)
            if all(fits(account, _whole(account, wish, after)) for account in accounts):
                for account in accounts:
                    reserve(account, wish, self._now())
                taken = Taken(accounts, wish)
                if await self._reserve_days(taken, after, tell):
                    return taken
            else:
                await self._somebody_settles()

    def _exceeded(self, account: Account, refused: Refusal, tell: Tell | None) -> BudgetExceededError:
        limit = account.limit(refused.word)
        if tell is not None and limit:
            for threshold in passed(account, refused.word, limit):
                tell(threshold._replace(refused=True))
        return BudgetExceededError(account, refused)

    async def _reserve_days(self, taken: Taken, after: Reservation | None, tell: Tell | None) -> bool:
        """Draw on the days of all accounts. False, and nothing is reserved any more, if it must be tried again."""
        for account in taken.accounts:
            now = self._now()
            draws = day_draws(account, taken.wish, _behind(account, after), now)
            if not draws:
                continue
            assert self._metering is not None, "a day's budget without meters"
            try:
                ticket = await self._metering.reserve(draws.values(), now)
            except MeterRefusal as refused:
                self.withdraw(taken)
                self._look_at_day(account, taken.wish, draws, refused, tell)
                await self._somebody_settles(LOOK_S)
                return False
            except BaseException:
                self.withdraw(taken)
                raise
            taken.tickets.append((account, ticket, {word: draw.meter for word, draw in draws.items()}))
        return True

    def _look_at_day(
        self,
        account: Account,
        wish: Reservation,
        draws: Mapping[Word, Draw],
        refused: MeterRefusal,
        tell: Tell | None,
    ) -> None:
        """Raises BudgetExceededError unless what others have reserved may still come to less."""
        settled = refused.drawn - refused.reserved
        if settled + refused.draw.amount <= (refused.draw.limit or 0):
            return
        word = next(word for word, draw in draws.items() if draw.meter == refused.draw.meter)
        limit = int(account.limit(word) or 0)
        message = (cost_message if word == "cost_per_day" else tokens_message)(
            account, wish, limit - settled, limit, " today"
        )
        raise self._exceeded(account, Refusal(word, message), tell)

    def settle(self, taken: Taken, *, tokens: int, cost: int, tell: Tell | None = None) -> None:
        """Book what was used. Thresholds that it reaches are told: those of a day a moment later."""
        for account in taken.accounts:
            settle(account, taken.wish, tokens, cost, self._now())
            if tell is not None:
                for threshold in reached(account):
                    tell(threshold)
        used: dict[str, int] = {"cost_per_day": cost, "tokens_per_day": tokens}
        for account, ticket, meters in taken.tickets:
            assert self._metering is not None
            self._metering.settle(ticket, {meter: used[word] for word, meter in meters.items()})
            if tell is not None:
                look = asyncio.ensure_future(self._look_at_thresholds(account, meters, tell))
                self._looking.add(look)
                look.add_done_callback(self._looking.discard)
        self._wake()

    async def _look_at_thresholds(self, account: Account, meters: Mapping[Word, str], tell: Tell) -> None:
        assert self._metering is not None
        for word, meter in meters.items():
            for threshold in passed(account, word, await self._metering.drawn(meter, self._now())):
                tell(threshold)

    async def day_left(self, account: Account, word: Word) -> int | None:
        """What of a day's limit is left; None if there is none. Another process may be quicker."""
        limit, meter = account.limit(word), day_meter(account, word, self._now())
        if limit is None or meter is None or self._metering is None:
            return None
        return int(limit) - await self._metering.drawn(meter, self._now())

    def withdraw(self, taken: Taken) -> None:
        """The request was never sent."""
        for account in taken.accounts:
            withdraw(account, taken.wish, self._now())
        for _, ticket, _ in taken.tickets:
            assert self._metering is not None
            self._metering.withdraw(ticket)
        taken.tickets.clear()
        self._wake()

    async def _somebody_settles(self, at_most: float | None = None) -> None:
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(settled)
        if at_most is None:
            await settled
            return
        slept = asyncio.ensure_future(self._sleep(at_most))
        try:
            await asyncio.wait([settled, slept], return_when=asyncio.FIRST_COMPLETED)
        finally:
            slept.cancel()
            settled.cancel()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for settled in waiting:
            if not settled.done():
                settled.set_result(None)


def _behind(account: Account, after: Reservation | None) -> Reservation | None:
    return after if account.on_exceeded == "wrap_up" else None


def _whole(account: Account, wish: Reservation, after: Reservation | None) -> Reservation:
    behind = _behind(account, after)
    return wish if behind is None else wish + behind
