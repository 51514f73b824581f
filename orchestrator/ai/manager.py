"""AILoopManager: which agent has which loop. Loops are made when first asked for and share their factory's connections."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from orchestrator.ai.config import AILoopConfig
from orchestrator.ai.factory import AILoopFactory
from orchestrator.ai.loop import AILoop
from orchestrator.errors import NotFoundError


class AILoopManager:
    """Registry of loops by agent id. All methods run on the event loop, with no `await` between looking and storing."""

    def __init__(self, factory: AILoopFactory) -> None:
        self.factory = factory
        self._loops: dict[str, AILoop] = {}

    def get_or_create_ai_loop(
        self,
        agent_id: str,
        config: AILoopConfig | Mapping[str, Any],
        *,
        loop_id: str | None = None,
        **how: Any,
    ) -> AILoop:
        """The agent's loop; `config` and `how` (as for `AILoopFactory.create`) count only when there is none yet.

        An agent with several conversations has a loop for each, told apart by `loop_id`; elsewhere it is the agent's id.
        A loop keeps the config it was made with: `remove_ai_loop` it to let a changed one take effect.
        """
        name = loop_id or agent_id
        loop = self._loops.get(name)
        if loop is None:
            loop = self._loops[name] = self.factory.create(agent_id, config, **how)
        return loop

    def get_ai_loop(self, agent_id: str) -> AILoop:
        """Raises NotFoundError."""
        loop = self._loops.get(agent_id)
        if loop is None:
            raise NotFoundError(f"agent {agent_id!r} has no loop")
        return loop

    async def switch_agent(self, loop_id: str, agent_id: str, message: str = "") -> AILoop:
        """Let another agent go on with a loop's conversation (see `AILoop.switch`); the loop is found by the name it had.

        Raises NotFoundError for a loop or an agent that is not known.
        """
        loop = self.get_ai_loop(loop_id)
        await loop.switch(agent_id, message)
        return loop

    async def remove_ai_loop(self, agent_id: str) -> bool:
        """Stop and forget the agent's loop; False if it had none. Its conversation's record stays."""
        loop = self._loops.pop(agent_id, None)
        if loop is None:
            return False
        await loop.close()
        return True

    def get_active_models(self) -> dict[str, str]:
        """agent id (or loop id) → `provider/model` of every loop there is."""
        return {agent_id: loop.config.model for agent_id, loop in sorted(self._loops.items())}

    async def cleanup(self) -> None:
        """Close every loop, then the connections. Idempotent."""
        loops, self._loops = list(self._loops.values()), {}
        await asyncio.gather(*(loop.close() for loop in loops))
        await self.factory.close()
