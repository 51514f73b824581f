"""Hand-offs as tools: `handoffs: [ids]` of an agent become tools `transfer_to_<id>`; the loop does the rest (see `handoff`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.ai.handoff import HandOff
from orchestrator.ai.sub_agents import purpose
from orchestrator.core.plan import Effect
from orchestrator.ports.chat_model import ToolSpec
from orchestrator.tools._names import wire_name

JSON = Any


class TransferTool:
    """Gives the conversation to another agent."""

    effect: Effect = "pure"

    def __init__(self, agent_id: str, agent: Mapping[str, JSON]) -> None:
        self.name = f"transfer_to_{agent_id}"
        self._agent_id = agent_id
        self.spec = ToolSpec(
            name=wire_name(self.name),
            description=f"Hands this conversation over to another agent, who answers in your place. {purpose(agent_id, agent)}",
            parameters={
                "type": "object",
                "properties": {
                    "message": {
                        "type": "string",
                        "description": "What the other agent should know besides what was said.",
                    }
                },
                "additionalProperties": False,
            },
        )

    async def call(self, arguments: dict[str, JSON], call_id: str) -> JSON:
        """A HandOff, which the loop understands."""
        return HandOff(self._agent_id, arguments.get("message") or "")
