"""Every tool of an agent stands behind its permissions: a call is let through, refused, or waits for a person's word.

What a person says counts for the one call that was shown: its name holds the call's id and a digest of the tool and its
arguments. A refusal goes back to the model as the call's error. Answers come from people only: no tool gives one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from orchestrator.ai.permissions import CallArguments, Decision, Permissions, read_permissions
from orchestrator.errors import TaskError
from orchestrator.ports.tool import PersonNeeded, Question, Tool, ToolContext

JSON = Any

FORM: Final[dict[str, JSON]] = {
    "type": "object",
    "properties": {
        "approve": {"type": "boolean"},
        "comment": {"type": "string", "description": "what the agent is told, if you like", "x-unless": "approve"},
    },
    "required": ["approve"],
    "additionalProperties": False,
}
SHOWN_MAX: Final = 200
"""Characters of a call's arguments within the question; all of them stand in `show`."""


class Guarded:
    """A tool behind one agent's permissions."""

    def __init__(self, tool: Tool, permissions: Permissions, agent: str, context: ToolContext) -> None:
        self.name = tool.name
        self.spec = tool.spec
        self.effect = tool.effect
        self._tool = tool
        self._needs_no_permission: Callable[[dict[str, JSON]], bool] = getattr(tool, "needs_no_permission", _never)
        self._permissions = permissions
        self._agent = agent
        self._context = context

    async def call(self, arguments: dict[str, JSON], call_id: str) -> JSON:
        """As the tool's own. Raises TaskError `denied`, and PersonNeeded."""
        key = question_key(self.name, arguments, call_id)
        answer = self._context.answers.get(key)
        decision = self._decide(arguments, attended=self._context.attended or answer is not None)
        if decision.verdict == "deny":
            raise TaskError("denied", self._refusal(decision))
        if decision.verdict == "ask":
            if answer is None:
                raise PersonNeeded(self._question(key, arguments))
            if answer.get("approve") is not True:
                comment = str(answer.get("comment") or "").strip()
                raise TaskError("denied", f"a person refused this call{f': {comment}' if comment else ''}")
        return await self._tool.call(arguments, call_id)

    def _decide(self, arguments: dict[str, JSON], *, attended: bool) -> Decision:
        context = self._context
        texts = CallArguments(arguments, self.spec.parameters, context.project, context.cwd)
        free = self.effect == "pure" or self._needs_no_permission(arguments)
        return self._permissions.decide(self.name, texts, free=free, attended=attended)

    def _refusal(self, decision: Decision) -> str:
        if decision.pattern:
            return f"agent `{self._agent}` may not do this: `deny` has `{decision.pattern}`"
        return (
            f"`{self.name}` wants a person's permission, and nobody is here to be asked; go on without it "
            f"(whoever runs the workflow may put it under `permissions: {{allow: […]}}` of agent `{self._agent}`)"
        )

    def _question(self, key: str, arguments: dict[str, JSON]) -> Question:
        told = ", ".join(f"{name}: {_short(value)}" for name, value in arguments.items())
        told = told if len(told) <= SHOWN_MAX else f"{told[: SHOWN_MAX - 1]}…"
        return Question(
            key=key,
            question=f"May agent `{self._agent}` call {self.name}({told})?",
            schema=FORM,
            show={"agent": self._agent, "tool": self.name, "arguments": arguments, "effect": self.effect},
        )


def guarded(
    tools: Iterable[Tool], said: Mapping[str, list[str]] | None, agent: str, context: ToolContext
) -> list[Tool]:
    """The tools that an agent may use at all, each behind its `permissions`."""
    permissions = read_permissions(said)
    return [Guarded(tool, permissions, agent, context) for tool in tools if permissions.offered(tool.name)]


def question_key(tool: str, arguments: dict[str, JSON], call_id: str) -> str:
    """Names the question about one call; the same after a crash, another for any other arguments."""
    said = json.dumps([tool, arguments], ensure_ascii=False, sort_keys=True)
    return f"approve {call_id} {hashlib.sha256(said.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _never(arguments: dict[str, JSON]) -> bool:
    return False


def _short(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
