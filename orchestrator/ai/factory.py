"""AILoopFactory: from a config to a loop, for any registered provider. All it needs is handed to it; there are no globals."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from uuid import uuid4

from orchestrator.ai.budgets import Budgets
from orchestrator.ai.config import AILoopConfig, loop_config
from orchestrator.ai.delegation import LoopDelegates
from orchestrator.ai.loop import AILoop
from orchestrator.ai.masking import masked_model, masked_tool
from orchestrator.ai.pool import ProviderPool
from orchestrator.ai.prices import PriceBook
from orchestrator.ai.record import SessionRecord
from orchestrator.core.budget import Account
from orchestrator.delegates.manager import DelegateManager
from orchestrator.errors import UsageError
from orchestrator.host.clock import SystemClock
from orchestrator.host.redact import Redactor
from orchestrator.ports.chat_model import Provider, parse_model
from orchestrator.ports.clock import Clock
from orchestrator.ports.journal import Journal
from orchestrator.ports.tool import Tool
from orchestrator.workers.keys import KeyRing


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
        delegates: Callable[[str], LoopDelegates] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`delegates(run_id)` makes the manager of one loop, whose events bubble to that run's; `providers` adds some by name;
        `keys` are where workers' keys are kept once they are found."""
        self.journal = journal
        self.clock = clock or SystemClock()
        self.pool = ProviderPool(os.environ if environ is None else environ, providers, keys=keys)
        self.budgets = Budgets(journal)
        self._delegates = delegates or (lambda run_id: DelegateManager())
        self._sleep = sleep

    def config(self, mapping: Mapping[str, Any]) -> AILoopConfig:
        """An `ai_config` mapping, checked against what its provider knows. Raises UsageError, NotFoundError."""
        try:
            provider = self.pool.provider(parse_model(str(mapping.get("model") or ""))[0])
        except ValueError as error:
            raise UsageError(str(error)) from None
        return loop_config(mapping, provider.settings, takes_extra=provider.takes_extra)

    def create(
        self,
        agent_id: str,
        config: AILoopConfig | Mapping[str, Any],
        *,
        instructions: str = "",
        tools: Iterable[Tool] = (),
        worker: Mapping[str, Any] | None = None,
        accounts: Iterable[Account] = (),
        stream: str | None = None,
        run_id: str = "",
        task_id: str = "",
        secrets: Iterable[str] = (),
    ) -> AILoop:
        """A loop of its own. `stream` names its conversation in the journal, to be found again; by default a fresh one.
        `secrets` are masked in all that its model and tools say.

        Raises UsageError for a config that cannot be, NotFoundError for an unknown provider or model, CredentialsError.
        """
        if not isinstance(config, AILoopConfig):
            config = self.config(config)
        model = self.pool.open(config.provider, config.model_name, self.pool.options(worker))
        redactor = Redactor(secrets)
        stream = stream or f"{run_id or 'loop'}/agent/{uuid4().hex}"
        return AILoop(
            agent_id,
            config,
            model=masked_model(model, redactor),
            open_record=lambda: SessionRecord(self.journal, stream, parent=run_id),
            delegates=self._delegates(run_id),
            clock=self.clock,
            prices=PriceBook((worker or {}).get("cost_metrics")),
            budgets=self.budgets,
            accounts=accounts,
            tools=[masked_tool(tool, redactor) for tool in tools],
            instructions=instructions,
            worker=str((worker or {}).get("definition_id") or ""),
            run_id=run_id,
            task_id=task_id,
            sleep=self._sleep,
        )

    async def close(self) -> None:
        """Release all connections. Idempotent."""
        await self.pool.close()
