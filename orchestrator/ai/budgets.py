"""Budgets enforced: every request reserves its upper bound in all budgets it belongs to, before it is sent.

A request that would fit once others have settled waits for them; one that cannot fit at all is refused. All of it happens on
one event loop with no `await` between looking and booking, so no lock is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from orchestrator.core.budget import Account, Reservation, fits, money, refusal, reserve, settle, withdraw
from orchestrator.errors import TaskError, UsageError
from orchestrator.ports.journal import Journal

ROWS_MAX: Final = 1_000_000


class Budgets:
    """The accounts of one process, by name. A name is a run, or a task of one: whatever shares one pot."""

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal
        self._accounts: dict[str, Account] = {}
        self._waiting: list[asyncio.Future[None]] = []

    def account(self, name: str, limits: Mapping[str, Any], *, streams: str = "") -> Account:
        """The account of that name, opened with `limits` ({cost, currency, tokens, turns, allow_unpriced}) when first asked.

        `streams` names the conversations whose spending already counts, so that a resumed run begins with what it spent:
        one stream, or all below a prefix that ends in `/`; for `RUN/agent/` also those of the runs it called.
        """
        known = self._accounts.get(name)
        if known is not None:
            return known
        cost = limits.get("cost")
        account = Account(
            name=name,
            cost_max=_money(cost) if cost is not None else None,
            tokens_max=limits.get("tokens"),
            turns_max=limits.get("turns"),
            currency=limits.get("currency") or _currency(cost),
            allow_unpriced=bool(limits.get("allow_unpriced")),
        )
        if self._journal is not None and streams:
            _take_over(account, self._journal, streams)
        self._accounts[name] = account
        return account

    def close(self, name: str) -> None:
        """Forget an account whose run is over."""
        self._accounts.pop(name, None)

    async def reserve(self, accounts: Iterable[Account], wish: Reservation) -> None:
        """Take `wish` out of every account, waiting for other requests where that helps. Raises TaskError `budget`."""
        accounts = tuple(accounts)
        while True:
            for account in accounts:
                if (reason := refusal(account, wish)) is not None:
                    raise TaskError("budget", reason, help="raise `budget`, or lower `max_tokens`")
            if all(fits(account, wish) for account in accounts):
                for account in accounts:
                    reserve(account, wish)
                return
            await self._somebody_settles()

    def settle(self, accounts: Iterable[Account], wish: Reservation, *, tokens: int, cost: int) -> None:
        for account in accounts:
            settle(account, wish, tokens, cost)
        self._wake()

    def withdraw(self, accounts: Iterable[Account], wish: Reservation) -> None:
        for account in accounts:
            withdraw(account, wish)
        self._wake()

    async def _somebody_settles(self) -> None:
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(settled)
        await settled

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for settled in waiting:
            if not settled.done():
                settled.set_result(None)


def _take_over(account: Account, journal: Journal, streams: str) -> None:
    for row in journal.rows(prefix=streams, limit=ROWS_MAX):
        if not streams.endswith("/") and row.stream != streams:
            continue
        account.cost_spent += int(row.summary.get("cost_counted", 0))
        account.tokens_spent += int(row.summary.get("tokens", 0))
        account.turns_spent += int(row.summary.get("requests", 0))
    if streams.endswith("/agent/"):
        # What the runs it called have spent is its spending too.
        for row in journal.rows(parent=streams.removesuffix("/agent/"), limit=ROWS_MAX):
            if "/" not in row.stream:
                _take_over(account, journal, f"{row.stream}/agent/")


def _money(cost: Any) -> int:
    """`0.5`, `"$0.50"` or `"0.50 EUR"`."""
    text = str(cost).strip().removeprefix("$").split()[0]
    try:
        return money(text)
    except ArithmeticError:
        raise UsageError(f"budget `cost` is {cost!r}", help="for example $0.50 or 0.50 EUR") from None


def _currency(cost: Any) -> str:
    words = str(cost).split()
    return words[1] if len(words) == 2 else "USD"
