"""What an agent's loop may call: a tool, as small as the loop needs it."""

from __future__ import annotations

from typing import Any, Protocol

from orchestrator.core.plan import Effect
from orchestrator.ports.chat_model import ToolSpec


class Tool(Protocol):
    spec: ToolSpec
    effect: Effect
    """After a crash an interrupted call is made again, unless it is `at_most_once`: then the model is told so."""

    async def call(self, arguments: dict[str, Any]) -> Any:
        """JSON or text. Raises TaskError; its message goes back to the model, which may try something else.

        The arguments fit `spec.parameters`: the loop has checked them.
        """
        ...
