"""Meters of one process, for tests and for runs whose journal is in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.ports.meters import Draw, MeterRefusal
from orchestrator.stores._meter_slots import EVER, leaves_at, slot_of, window_start


@dataclass(slots=True)
class _Ticket:
    draws: list[tuple[Draw, int]] = field(default_factory=list)
    """Each with its slot."""


class MemoryMeters:
    """Implements `Meters`. Nothing outlives the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[str, dict[int, int]] = {}
        """meter → slot → amount"""
        self._open: dict[str, _Ticket] = {}
        self._count = 0

    def reserve(self, draws: Iterable[Draw], now: float) -> str:
        draws = tuple(draws)
        with self._lock:
            for draw in draws:
                self._check(draw, now)
            self._count += 1
            ticket = _Ticket()
            for draw in draws:
                slot = slot_of(now, draw.window)
                slots = self._slots.setdefault(draw.meter, {})
                slots[slot] = slots.get(slot, 0) + draw.amount
                ticket.draws.append((draw, slot))
            self._open[str(self._count)] = ticket
            return str(self._count)

    def _check(self, draw: Draw, now: float) -> None:
        slots = self._slots.setdefault(draw.meter, {})
        self._tidy(slots, draw, now)
        drawn = sum(slots.values())
        if draw.limit is None or drawn + draw.amount <= draw.limit:
            return
        reserved = sum(d.amount for ticket in self._open.values() for d, _ in ticket.draws if d.meter == draw.meter)
        raise MeterRefusal(draw, drawn, min(reserved, drawn), free_at(draw, drawn, sorted(slots.items())))

    def _tidy(self, slots: dict[int, int], draw: Draw, now: float) -> None:
        """Forget what left the window; what lies in the future, after a step of the clock, counts as drawn now."""
        here, start = slot_of(now, draw.window), window_start(now, draw.window)
        for slot in [slot for slot in slots if slot <= start or slot > here]:
            amount = slots.pop(slot)
            if slot > here:
                slots[here] = slots.get(here, 0) + amount

    def settle(self, ticket: str, amounts: Mapping[str, int]) -> None:
        self._close(ticket, amounts, withdrawn=False)

    def withdraw(self, ticket: str) -> None:
        self._close(ticket, {}, withdrawn=True)

    def _close(self, ticket: str, amounts: Mapping[str, int], *, withdrawn: bool) -> None:
        with self._lock:
            known = self._open.pop(ticket, None)
            for draw, slot in known.draws if known is not None else ():
                used = 0 if withdrawn or draw.place else amounts.get(draw.meter, draw.amount)
                slots = self._slots[draw.meter]
                if slot in slots:
                    slots[slot] += used - draw.amount

    def drawn(self, meter: str, now: float, window: float | None = None) -> int:
        with self._lock:
            start = window_start(now, window)
            return sum(amount for slot, amount in self._slots.get(meter, {}).items() if slot > start)

    def close(self) -> None:
        pass


def free_at(draw: Draw, drawn: int, slots: Iterable[tuple[int, int]]) -> float | None:
    """When the window has let go of enough, oldest slots first."""
    if draw.window is None or draw.limit is None or draw.amount > draw.limit:
        return None
    left = drawn
    for slot, amount in slots:
        left -= amount
        if slot != EVER and left + draw.amount <= draw.limit:
            return leaves_at(slot, draw.window)
    return None
