"""A budget as plain arithmetic: reserve the most a call can cost, settle what it did cost, never exceed the limit.

Money is in whole trillionths of the currency's unit, so that sums are exact; `money` and `amount` convert at the edges.
Time is what agents spend on asking models, in seconds; requests that are out together count once.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, Literal, NamedTuple

import msgspec

UNIT: Final = 1_000_000_000_000

Word = Literal["cost", "tokens", "turns", "time", "cost_per_day", "tokens_per_day", "price", "currency"]
OnExceeded = Literal["fail", "ask", "wrap_up"]


class Reservation(msgspec.Struct, frozen=True):
    """The true upper bound of one request, or of several."""

    tokens: int
    cost: int | None
    """None: the price is unknown."""
    currency: str = ""
    """Of `cost`; empty if nothing is paid."""
    turns: int = 1

    def __add__(self, other: Reservation) -> Reservation:
        cost = None if self.cost is None or other.cost is None else self.cost + other.cost
        return Reservation(self.tokens + other.tokens, cost, self.currency, self.turns + other.turns)


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a calendar day, which all runs share."""

    meter: str
    """What is counted: a workflow, or a task or agent of one."""
    timezone: str = "UTC"


class Account(msgspec.Struct, kw_only=True, weakref=True):
    """One budget. Limits of None do not limit."""

    name: str
    cost_max: int | None = None
    tokens_max: int | None = None
    turns_max: int | None = None
    """Model requests, failed ones included."""
    time_max: float | None = None
    day: Day | None = None
    cost_day_max: int | None = None
    tokens_day_max: int | None = None
    currency: str = "USD"
    allow_unpriced: bool = False
    on_exceeded: OnExceeded = "fail"
    cost_spent: int = 0
    tokens_spent: int = 0
    turns_spent: int = 0
    time_spent: float = 0.0
    cost_reserved: int = 0
    tokens_reserved: int = 0
    turns_reserved: int = 0
    out: int = 0
    """Requests that are out."""
    out_since: float = 0.0
    told: set[tuple[str, int]] = set()
    """(limit, percent) of the thresholds that were told."""
    raised: set[str] = set()
    """Keys of the answers by which people raised a limit, or did not."""

    def time_left(self, now: float) -> float | None:
        if self.time_max is None:
            return None
        return self.time_max - self.time_spent - (now - self.out_since if self.out else 0.0)

    def limit(self, word: str) -> float | None:
        """The limit of that name, as it is counted."""
        return {
            "cost": self.cost_max,
            "tokens": self.tokens_max,
            "turns": self.turns_max,
            "time": self.time_max,
            "cost_per_day": self.cost_day_max,
            "tokens_per_day": self.tokens_day_max,
        }.get(word)


class Refusal(NamedTuple):
    """A request that cannot be sent, whatever becomes of those that are out."""

    word: Word
    """Which limit it is."""
    message: str

    @property
    def raisable(self) -> bool:
        return self.word not in ("price", "currency")


class Threshold(NamedTuple):
    """A share of a limit that was reached."""

    name: str
    """The budget's."""
    word: str
    percent: int
    used: float
    limit: float
    currency: str
    refused: bool = False
    """A request did not fit into what was left of it: it counts as used up."""

    def shown(self) -> str:
        if self.refused:
            return (
                f"`{self.word}` is used up for {self.name}: the next request does not fit into {self._of(self.limit)}"
            )
        return f"{self.percent} % of `{self.word}` is used up for {self.name}: {self._of(self.used)} of {self._of(self.limit)}"

    def _of(self, value: float) -> str:
        if self.word.startswith("cost"):
            return shown(int(value), self.currency)
        return f"{value:.0f} s" if self.word == "time" else f"{int(value)}"


THRESHOLDS: Final = (100, 80)
"""Percent, highest first."""


def refusal(account: Account, wish: Reservation, now: float = 0.0) -> Refusal | None:
    """Why this request could not be sent even if no other were out; None if it could."""
    if (strange := _unpayable(account, wish)) is not None:
        return strange
    cost = wish.cost or 0
    if account.cost_max is not None and account.cost_spent + cost > account.cost_max:
        return Refusal("cost", cost_message(account, wish, account.cost_max - account.cost_spent, account.cost_max, ""))
    if account.tokens_max is not None and account.tokens_spent + wish.tokens > account.tokens_max:
        left = account.tokens_max - account.tokens_spent
        return Refusal("tokens", tokens_message(account, wish, left, account.tokens_max, ""))
    if account.turns_max is not None and account.turns_spent + wish.turns > account.turns_max:
        return Refusal("turns", f"0 of {account.turns_max} turns are left for {account.name}")
    left_s = account.time_left(now)
    if left_s is not None and left_s <= 0:
        return Refusal("time", f"0 of {account.time_max:g} s are left for {account.name}")
    return None


def _unpayable(account: Account, wish: Reservation) -> Refusal | None:
    if account.cost_max is None and account.cost_day_max is None:
        return None
    if wish.cost is None:
        if account.allow_unpriced:
            return None
        return Refusal("price", f"the price of this model is unknown, so the budget of {account.name} cannot be kept")
    if wish.cost and wish.currency and wish.currency != account.currency:
        said = f"the budget of {account.name} is in {account.currency}, and this model's prices are in {wish.currency}"
        return Refusal("currency", said)
    return None


def cost_message(account: Account, wish: Reservation, left: int, limit: int, when: str) -> str:
    return (
        f"this request may cost up to {shown(wish.cost or 0, account.currency)}; {shown(max(left, 0), account.currency)} "
        f"of {shown(limit, account.currency)} is left for {account.name}{when}"
    )


def tokens_message(account: Account, wish: Reservation, left: int, limit: int, when: str) -> str:
    return (
        f"this request may use up to {wish.tokens} tokens; {max(left, 0)} of {limit} are left for {account.name}{when}"
    )


def fits(account: Account, wish: Reservation) -> bool:
    """Whether it fits beside the requests that are out now."""
    cost = account.cost_spent + account.cost_reserved + (wish.cost or 0)
    tokens = account.tokens_spent + account.tokens_reserved + wish.tokens
    turns = account.turns_spent + account.turns_reserved + wish.turns
    return (
        (account.cost_max is None or cost <= account.cost_max)
        and (account.tokens_max is None or tokens <= account.tokens_max)
        and (account.turns_max is None or turns <= account.turns_max)
    )


def reserve(account: Account, wish: Reservation, now: float = 0.0) -> None:
    assert fits(account, wish), "reserved without asking whether it fits"
    account.tokens_reserved += wish.tokens
    account.cost_reserved += wish.cost or 0
    account.turns_reserved += 1
    if not account.out:
        account.out_since = now
    account.out += 1


def settle(account: Account, wish: Reservation, tokens: int, cost: int, now: float = 0.0) -> None:
    """Give the reservation back and book what was used; a request that was not sent uses nothing."""
    withdraw(account, wish, now)
    account.tokens_spent += tokens
    account.cost_spent += cost
    account.turns_spent += 1


def withdraw(account: Account, wish: Reservation, now: float = 0.0) -> None:
    """Give a reservation back whose request was never sent."""
    account.tokens_reserved -= wish.tokens
    account.cost_reserved -= wish.cost or 0
    account.turns_reserved -= 1
    account.out -= 1
    if not account.out:
        account.time_spent += max(now - account.out_since, 0.0)


def reached(account: Account) -> list[Threshold]:
    """Thresholds that what was spent has reached and that were not told yet; from now on they are."""
    used = {
        "cost": account.cost_spent,
        "tokens": account.tokens_spent,
        "turns": account.turns_spent,
        "time": account.time_spent,
    }
    return [found for word, value in used.items() for found in passed(account, word, value)]


def passed(account: Account, word: str, used: float) -> list[Threshold]:
    """The highest threshold that `used` has reached of one limit, if it was not told yet."""
    limit = account.limit(word)
    if not limit:
        return []
    for percent in THRESHOLDS:
        if used * 100 >= limit * percent:
            if (word, percent) in account.told:
                return []
            account.told.update((word, lower) for lower in THRESHOLDS if lower <= percent)
            return [Threshold(account.name, word, percent, used, limit, account.currency)]
    return []


def money(amount: float | str | Decimal) -> int:
    """An amount in the currency's unit as whole trillionths."""
    return int((Decimal(str(amount)) * UNIT).to_integral_value(rounding=ROUND_HALF_EVEN))


def amount(value: int) -> float:
    """Whole trillionths as an amount in the currency's unit."""
    return value / UNIT


def shown(value: int, currency: str) -> str:
    """For people: `$0.0123`, `0.50 EUR`; small sums keep two digits that count."""
    number = Decimal(value) / UNIT
    digits = 2 if number == 0 or number >= 1 else min(1 - number.adjusted(), 12)
    text = f"{number:.{digits}f}"
    return f"${text}" if currency == "USD" else f"{text} {currency}"
