"""AILoopFactory: from a config to a loop, for any registered provider. All it needs is handed to it; there are no globals."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from orchestrator.ai.breaker import Breakers
from orchestrator.ai.budgets import Budgets
from orchestrator.ai.config import AILoopConfig, loop_config
from orchestrator.ai.delegation import LoopDelegates
from orchestrator.ai.fallback import Cooldowns, Fallback, cooldown_of, errors_of, models_of
from orchestrator.ai.loop import AILoop
from orchestrator.ai.masking import masked_model, masked_tool
from orchestrator.ai.pool import ProviderPool, Tape
from orchestrator.ai.record import SessionRecord
from orchestrator.ai.seats import FindAgent, Seat, Seats, breaker_key, nobody_else
from orchestrator.core.budget import Account
from orchestrator.core.session_terms import Backup
from orchestrator.delegates.manager import DelegateManager
from orchestrator.errors import UsageError
from orchestrator.host.clock import SystemClock
from orchestrator.host.redact import Redactor
from orchestrator.ports.chat_model import Provider, parse_model
from orchestrator.ports.clock import Clock
from orchestrator.ports.journal import Journal
from orchestrator.ports.meters import Meters
from orchestrator.ports.tool import Tool
from orchestrator.stores._meters_memory import MemoryMeters
from orchestrator.workers.gate import RateGate
from orchestrator.workers.keys import KeyRing
from orchestrator.workers.metering import Metering


class AILoopFactory:
    """Builds loops that share one journal, one set of budgets and one pool of connections."""

    def __init__(
        self,
        *,
        journal: Journal | None = None,
        clock: Clock | None = None,
        environ: Mapping[str, str] | None = None,
        providers: Mapping[str, Provider] | None = None,
        keys: KeyRing | None = None,
        tape: Tape | None = None,
        meters: Callable[[], Meters] | None = None,
        delegates: Callable[[str], LoopDelegates] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`delegates(run_id)` makes the manager of one loop, whose events bubble to that run's; `providers` adds some by name;
        `keys` are where workers' keys are kept once they are found; `tape` records the models, or answers in their place;
        `meters` opens what days' budgets and rate limits are counted on (by default in memory: for this factory alone)."""
        self.journal = journal
        self.clock = clock or SystemClock()
        self.pool = ProviderPool(os.environ if environ is None else environ, providers, tape, keys)
        self._metering = Metering(meters or MemoryMeters)
        self.budgets = Budgets(journal, metering=self._metering, now=self.clock.now, sleep=sleep)
        self.gate = RateGate(self._metering, self.clock, sleep)
        self.breakers = Breakers(self.clock)
        self.cooldowns = Cooldowns(self.clock)
        self._delegates = delegates or (lambda run_id: DelegateManager())
        self._sleep = sleep

    def config(self, mapping: Mapping[str, Any]) -> AILoopConfig:
        """An `ai_config` mapping, checked against what its provider knows. Raises UsageError, NotFoundError."""
        try:
            provider = self.pool.provider(parse_model(str(mapping.get("model") or ""))[0])
        except ValueError as error:
            raise UsageError(str(error)) from None
        return loop_config(mapping, provider.settings, takes_extra=provider.takes_extra)

    def seat(
        self,
        agent_id: str,
        config: AILoopConfig | Mapping[str, Any],
        *,
        instructions: str = "",
        tools: Iterable[Tool] = (),
        worker: Mapping[str, Any] | None = None,
        fallback: Any = None,
        secrets: Iterable[str] = (),
    ) -> Seat:
        """One agent on its own model, for a loop to begin with or to hand its conversation to.

        `fallback` is what the agent declares: [models], or {models, on, cooldown in seconds}. `secrets` are masked in all that
        the model and the tools say. Raises UsageError for a config that cannot be, NotFoundError for an unknown provider or
        model, CredentialsError.
        """
        if not isinstance(config, AILoopConfig):
            config = self.config(config)
        redactor = Redactor(secrets)
        model = self.pool.open(config.provider, config.model_name, self.pool.options(worker))
        return Seat(
            agent=agent_id,
            config=config,
            model=masked_model(model, redactor),
            prices=self.pool.prices((worker or {}).get("cost_metrics")),
            instructions=redactor.text(instructions),
            tools={tool.spec.name: masked_tool(tool, redactor) for tool in tools},
            worker=worker,
            fallback=self._fallback(config, fallback),
            breaker=breaker_key(config.model, worker),
        )

    def _fallback(self, config: AILoopConfig, said: Any) -> Fallback:
        dropped: dict[str, tuple[str, ...]] = {}
        backups: list[Backup] = []
        for model in models_of(said):
            known, unknown = self._settings_for(model, config)
            backups.append(Backup(model, known))
            dropped[model] = unknown
        return Fallback(models=tuple(backups), on=errors_of(said), cooldown=cooldown_of(said), dropped=dropped)

    def _settings_for(self, model: str, config: AILoopConfig) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The config as another model is asked with it, and the names of what its provider does not know."""
        try:
            provider = self.pool.provider(parse_model(model)[0])
        except ValueError as error:
            raise UsageError(f"`fallback`: {error}") from None
        same = parse_model(model)[0] == config.provider
        kept = {name: value for name, value in config.settings.items() if same or name in provider.settings}
        return {**config.recorded(), "settings": kept}, tuple(sorted(config.settings.keys() - kept.keys()))

    def _reseat(self, seat: Seat, model: str, settings: Mapping[str, Any], redactor: Redactor) -> Seat:
        """The same agent on another model: on the worker's key and address if the provider is the same, else on its usual ones."""
        config = AILoopConfig(model=model, **settings)
        worker = seat.worker if config.provider == seat.config.provider else None
        opened = self.pool.open(config.provider, config.model_name, self.pool.options(worker))
        return replace(
            seat,
            config=config,
            model=masked_model(opened, redactor),
            prices=self.pool.prices(None),
            worker=None,
            breaker=breaker_key(model, worker),
        )

    def create(
        self,
        agent_id: str,
        config: AILoopConfig | Mapping[str, Any],
        *,
        instructions: str = "",
        tools: Iterable[Tool] = (),
        worker: Mapping[str, Any] | None = None,
        fallback: Any = None,
        agents: FindAgent = nobody_else,
        accounts: Iterable[Account] = (),
        stream: str | None = None,
        run_id: str = "",
        task_id: str = "",
        secrets: Iterable[str] = (),
    ) -> AILoop:
        """A loop of its own. `stream` names its conversation in the journal, to be found again; by default a fresh one.

        `agents` finds the seats of those it may be handed to or switched to. The rest is as for `seat`, and so is what is raised.
        """
        secrets = tuple(secrets)
        seat = self.seat(
            agent_id,
            config,
            instructions=instructions,
            tools=tools,
            worker=worker,
            fallback=fallback,
            secrets=secrets,
        )
        stream = stream or f"{run_id or 'loop'}/agent/{uuid4().hex}"
        redactor = Redactor(secrets)
        return AILoop(
            seat,
            seats=Seats(seat, agents, lambda seat, model, settings: self._reseat(seat, model, settings, redactor)),
            open_record=lambda: SessionRecord(self.journal, stream, parent=run_id, replayed=self.pool.replaying),
            delegates=self._delegates(run_id),
            clock=self.clock,
            budgets=self.budgets,
            gate=self.gate,
            breakers=self.breakers,
            cooldowns=self.cooldowns,
            accounts=accounts,
            run_id=run_id,
            task_id=task_id,
            redactor=redactor,
            sleep=self._sleep,
        )

    async def close(self) -> None:
        """Release all connections. Idempotent."""
        await self.pool.close()
        await self._metering.close()
