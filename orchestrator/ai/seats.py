"""Seats: whom a loop asks, and with what. An exchange may move to another model (fallback) or agent (hand-off) midway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from orchestrator.ai.config import AILoopConfig
from orchestrator.ai.fallback import Fallback
from orchestrator.ai.prices import PriceBook
from orchestrator.core.plan import Retry
from orchestrator.core.session_terms import Terms
from orchestrator.errors import NotFoundError
from orchestrator.ports.chat_model import ChatModel, parse_model
from orchestrator.ports.tool import Tool

RETRY_WITHIN_S = 600.0
"""No try of a turn begins later than this after its first."""


@dataclass(slots=True, kw_only=True, frozen=True)
class Seat:
    """One agent on one model: everything a request of it needs. Made by `AILoopFactory.seat`."""

    agent: str
    config: AILoopConfig
    """Of this model: `config.model` says which."""
    model: ChatModel
    prices: PriceBook
    instructions: str = ""
    tools: Mapping[str, Tool] = field(default_factory=dict)
    """By the name in their `spec`."""
    worker: Mapping[str, Any] | None = None
    """The definition whose key, address, prices and limits hold here."""
    fallback: Fallback = field(default_factory=Fallback)
    breaker: str = ""
    """Which circuit breaker guards it: the provider, and the address where a worker names one."""

    @property
    def worker_id(self) -> str:
        return str((self.worker or {}).get("definition_id") or "")

    @property
    def who(self) -> str:
        """Who leaves a model alone after a fallback: all agents on one worker together, else each for itself."""
        return f"worker {self.worker_id}" if self.worker_id else f"agent {self.agent}"


FindAgent = Callable[[str], Awaitable[Seat]]
"""An agent's own seat by its id. Raises NotFoundError, UsageError, CredentialsError, TaskError."""

Reseat = Callable[[Seat, str, Mapping[str, Any]], Seat]
"""The same agent on another model, with the recorded settings. Raises as `AILoopFactory.create`."""


async def nobody_else(agent_id: str) -> Seat:
    raise NotFoundError(f"this conversation knows no agent {agent_id!r}")


class Seats:
    """The seats of one loop, found by an exchange's terms and kept."""

    def __init__(self, own: Seat, find_agent: FindAgent, reseat: Reseat) -> None:
        self._agents: dict[str, Seat] = {own.agent: own}
        self._find_agent = find_agent
        self._reseat = reseat
        self._moved: dict[tuple[str, str], Seat] = {}

    async def agent(self, agent_id: str) -> Seat:
        """The agent on its own model. Raises as `FindAgent`."""
        if agent_id not in self._agents:
            self._agents[agent_id] = await self._find_agent(agent_id)
        return self._agents[agent_id]

    async def of(self, terms: Terms) -> Seat:
        """Where an exchange under these terms sits. Raises as `FindAgent`."""
        own = await self.agent(terms.agent)
        if own.config.model == terms.model:
            return own
        key = (terms.agent, terms.model)
        if key not in self._moved:
            self._moved[key] = self._reseat(own, terms.model, terms.settings)
        return self._moved[key]


def breaker_key(model: str, worker: Mapping[str, Any] | None) -> str:
    """The provider; with its address, where the worker names one, since another address is another server."""
    address = ((worker or {}).get("base_config") or {}).get("base_url")
    provider = parse_model(model)[0]
    return f"{provider} at {address}" if address else provider


def asked_terms(seat: Seat, *, added: str | None, output_schema: dict[str, Any] | None, repair: int) -> Terms:
    """What a question is asked under that goes to this seat; `added` are the question's own instructions."""
    config = seat.config
    return Terms(
        agent=seat.agent,
        model=config.model,
        instructions="\n\n".join(text for text in (seat.instructions, added) if text),
        settings=config.recorded(),
        tools=tuple(seat.tools),
        output_schema=output_schema,
        repair=repair,
        retry=Retry(max=config.retries, delay=config.retry_delay, backoff=2.0, jitter=0.2, within=RETRY_WITHIN_S),
        turns_max=config.max_turns,
        worker=seat.worker_id,
        added=added or "",
        fallback=seat.fallback.models,
        fallback_on=seat.fallback.on,
        cooldown=seat.fallback.cooldown,
        identical_max=config.max_identical_calls,
        time_max=config.max_time,
        on_overflow=config.on_overflow,
        context_window=config.context_window,
    )


def handed_terms(seat: Seat, before: Terms) -> Terms:
    """What an open question goes on under with another agent: its own settings, the question's form and limits."""
    own = asked_terms(seat, added=before.added, output_schema=before.output_schema, repair=before.repair)
    return msgspec.structs.replace(own, turns_max=before.turns_max, time_max=before.time_max)


def same_provider(seat: Seat, model: str) -> bool:
    return parse_model(model)[0] == seat.config.provider
