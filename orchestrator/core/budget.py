"""A budget as plain arithmetic: reserve the most a call can cost, settle what it did cost, never exceed the limit.

Money is in whole trillionths of the currency's unit, so that sums are exact; `money` and `amount` convert at the edges.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

import msgspec

UNIT: Final = 1_000_000_000_000


class Reservation(msgspec.Struct, frozen=True):
    """The true upper bound of one request."""

    tokens: int
    cost: int | None
    """None: the price is unknown."""


class Account(msgspec.Struct, kw_only=True):
    """One budget. Limits of None do not limit."""

    name: str
    cost_max: int | None = None
    tokens_max: int | None = None
    turns_max: int | None = None
    """Model requests, failed ones included."""
    currency: str = "USD"
    allow_unpriced: bool = False
    cost_spent: int = 0
    tokens_spent: int = 0
    turns_spent: int = 0
    cost_reserved: int = 0
    tokens_reserved: int = 0
    turns_reserved: int = 0


def refusal(account: Account, wish: Reservation) -> str | None:
    """Why this request could not be sent even if no other were out; None if it could."""
    if account.cost_max is not None:
        if wish.cost is None:
            if not account.allow_unpriced:
                return f"the price of this model is unknown, so the budget of {account.name} cannot be kept"
        elif account.cost_spent + wish.cost > account.cost_max:
            left = max(account.cost_max - account.cost_spent, 0)
            return (
                f"this request may cost up to {shown(wish.cost, account.currency)}; "
                f"{shown(left, account.currency)} of {shown(account.cost_max, account.currency)} is left for {account.name}"
            )
    if account.tokens_max is not None and account.tokens_spent + wish.tokens > account.tokens_max:
        left = max(account.tokens_max - account.tokens_spent, 0)
        return f"this request may use up to {wish.tokens} tokens; {left} of {account.tokens_max} are left for {account.name}"
    if account.turns_max is not None and account.turns_spent + 1 > account.turns_max:
        return f"{account.name} has used its {account.turns_max} turns"
    return None


def fits(account: Account, wish: Reservation) -> bool:
    """Whether it fits beside the requests that are out now."""
    cost = account.cost_spent + account.cost_reserved + (wish.cost or 0)
    tokens = account.tokens_spent + account.tokens_reserved + wish.tokens
    turns = account.turns_spent + account.turns_reserved + 1
    return (
        (account.cost_max is None or cost <= account.cost_max)
        and (account.tokens_max is None or tokens <= account.tokens_max)
        and (account.turns_max is None or turns <= account.turns_max)
    )


def reserve(account: Account, wish: Reservation) -> None:
    assert fits(account, wish), "reserved without asking whether it fits"
    account.tokens_reserved += wish.tokens
    account.cost_reserved += wish.cost or 0
    account.turns_reserved += 1


def settle(account: Account, wish: Reservation, tokens: int, cost: int) -> None:
    """Give the reservation back and book what was used; a request that was not sent uses nothing."""
    account.tokens_reserved -= wish.tokens
    account.cost_reserved -= wish.cost or 0
    account.turns_reserved -= 1
    account.tokens_spent += tokens
    account.cost_spent += cost
    account.turns_spent += 1


def withdraw(account: Account, wish: Reservation) -> None:
    """Give a reservation back whose request was never sent."""
    account.tokens_reserved -= wish.tokens
    account.cost_reserved -= wish.cost or 0
    account.turns_reserved -= 1


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
