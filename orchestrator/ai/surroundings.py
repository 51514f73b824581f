"""What a loop works with. Only its seat changes: it is that of the exchange's present agent and model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.ai.breaker import Breaker, Breakers
from orchestrator.ai.budgets import Budgets
from orchestrator.ai.delegation import LoopVoice
from orchestrator.ai.fallback import Cooldowns
from orchestrator.ai.prices import PriceBook
from orchestrator.ai.seats import Seat, Seats
from orchestrator.core.budget import Account
from orchestrator.ports.chat_model import ChatModel
from orchestrator.ports.clock import Clock
from orchestrator.ports.tool import Tool
from orchestrator.workers.gate import RateGate


@dataclass(slots=True, kw_only=True)
class Surroundings:
    seat: Seat
    seats: Seats
    voice: LoopVoice
    budgets: Budgets
    gate: RateGate
    breakers: Breakers
    cooldowns: Cooldowns
    accounts: tuple[Account, ...]
    clock: Clock
    sleep: Callable[[float], Awaitable[None]]
    told: set[str] = field(default_factory=set)
    """What was said once and holds for the whole conversation."""

    @property
    def model(self) -> ChatModel:
        return self.seat.model

    @property
    def prices(self) -> PriceBook:
        return self.seat.prices

    @property
    def tools(self) -> Mapping[str, Tool]:
        """By the name that models see."""
        return self.seat.tools

    @property
    def worker(self) -> Mapping[str, Any] | None:
        """The definition whose key, prices and limits hold for the next request."""
        return self.seat.worker

    @property
    def breaker(self) -> Breaker:
        return self.breakers.of(self.seat.breaker)
