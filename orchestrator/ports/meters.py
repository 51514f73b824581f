"""Amounts drawn over time and shared by every process of a state folder: rate limits and daily budgets stand on them.

A draw is reserved with its upper bound before something is done, and settled with what it came to. What a dead process
had reserved stays drawn at its bound, except for places (`Draw.place`), which come free with their owner.
Every backend passes `tests/stores/meters_conformance.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec


class Draw(msgspec.Struct, frozen=True, kw_only=True):
    meter: str
    """For example `worker fast openai/gpt-5-mini requests a minute` or `workflows/triage.yaml cost 2030-01-31`."""
    amount: int
    """Tokens, requests, or trillionths of a currency's unit."""
    limit: int | None = None
    """Most that may stand drawn, this draw included; None only counts."""
    window: float | None = None
    """Seconds. What was drawn longer ago counts no more; None: it counts until `expires`."""
    expires: float | None = None
    """Epoch seconds from which a meter without a window may be forgotten."""
    place: bool = False
    """It is held, not used up: gone when settled or withdrawn, or when its owner dies."""


class MeterRefusal(Exception):  # noqa: N818  an answer, not a fault
    """Nothing was drawn, because of `draw`."""

    def __init__(self, draw: Draw, drawn: int, reserved: int, free_at: float | None) -> None:
        super().__init__(f"{draw.meter}: {drawn} of {draw.limit} drawn, {draw.amount} more wanted")
        self.draw = draw
        self.drawn = drawn
        """What stands drawn in its window."""
        self.reserved = reserved
        """How much of it living processes have reserved and not settled: it may yet come to less."""
        self.free_at = free_at
        """When enough will have left the window if nothing else is drawn; None if that cannot be said (no window, a draw
        that is larger than its limit)."""


class Meters(Protocol):
    """Safe under threads. Raises JournalError where the disk does not work. Calls block for about a millisecond: make
    them off the loop."""

    def reserve(self, draws: Iterable[Draw], now: float) -> str:
        """Draw all of them or none, as one step among all processes; each meter at most once. Returns the ticket. Raises
        MeterRefusal.
        """
        ...

    def settle(self, ticket: str, amounts: Mapping[str, int]) -> None:
        """Replace what the ticket reserved by what was used; meters not named keep their bound. Places come free.

        A second settlement or withdrawal of a ticket changes nothing.
        """
        ...

    def withdraw(self, ticket: str) -> None:
        """What was reserved has not been used at all."""
        ...

    def drawn(self, meter: str, now: float, window: float | None = None) -> int:
        """What stands drawn, reservations included."""
        ...

    def close(self) -> None:
        """Idempotent. What is still reserved stays as a dead owner's does."""
        ...
