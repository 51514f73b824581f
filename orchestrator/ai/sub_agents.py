"""Agents as tools of other agents: `sub_agents: [ids]` of an agent become tools `ask_<id>`.

Each call is a conversation of its own (`<run>/agent/<the caller's key>/<call id>`), on the other agent's config, with its tools and
permissions, drawing on the very budgets of its caller. It is found again by the call's id, so after a crash no turn of it is
paid twice. What a person is asked in it is asked of the task that stands above all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from orchestrator.core.plan import Effect
from orchestrator.core.worker_choice import chosen_worker
from orchestrator.errors import TaskError
from orchestrator.ports.chat_model import ToolSpec
from orchestrator.ports.services import AgentAnswer, AgentCall
from orchestrator.ports.tool import PersonNeeded, Question, ToolContext
from orchestrator.tools._names import wire_name

JSON = Any
RunTurns = Callable[[AgentCall], Awaitable[AgentAnswer]]

DEPTH_MAX: Final = 5
"""Most agents that may stand between the one that is asked and the task; two that call each other come to their end here."""
PURPOSE_MAX: Final = 1000


class SubAgentTool:
    """One agent that another may ask."""

    effect: Effect = "at_least_once"

    def __init__(self, agent_id: str, caller: AgentCall, run_turns: RunTurns) -> None:
        agent = caller.agents[agent_id]
        self.name = f"ask_{agent_id}"
        self.spec = ToolSpec(
            name=wire_name(self.name),
            description=f"Asks another agent, who sees only the prompt. {purpose(agent_id, agent)}",
            parameters={
                "type": "object",
                "properties": {
                    "prompt": {"type": "string", "description": "Everything it must know, and what you want of it."}
                },
                "required": ["prompt"],
                "additionalProperties": False,
            },
        )
        self._agent_id = agent_id
        self._caller = caller
        self._run_turns = run_turns

    def needs_no_permission(self, arguments: Mapping[str, JSON]) -> bool:
        """Whoever wrote `sub_agents` means it; what the other agent does has permissions of its own."""
        return True

    async def call(self, arguments: dict[str, JSON], call_id: str) -> JSON:
        """The other agent's answer, as text. Raises TaskError of its kind, PersonNeeded, ChildParked."""
        if self._caller.depth >= DEPTH_MAX:
            raise TaskError(
                "refused", f"agent `{self._agent_id}` is not asked: {DEPTH_MAX} agents stand between you and the task"
            )
        asked = self._call(arguments["prompt"], call_id)
        try:
            answer = await self._run_turns(asked)
        except PersonNeeded as needed:
            raise PersonNeeded(_outside(needed.question, call_id)) from None
        except TaskError as error:
            if error.type == "cancelled" and self._caller.control() == "stop":
                # It is stopped with everything else: no result that the caller's record should hold.
                raise asyncio.CancelledError(error.message) from error
            raise TaskError(error.type, f"agent `{self._agent_id}`: {error.message}", help=error.help) from error
        return answer.text

    def _call(self, prompt: str, call_id: str) -> AgentCall:
        caller = self._caller
        asked = AgentCall(
            run_id=caller.run_id,
            task=caller.task,
            key=f"{caller.key}/{call_id}",
            agent_id=self._agent_id,
            agent=caller.agents[self._agent_id],
            prompt=prompt,
            files=[],
            repair=caller.agents[self._agent_id].get("repair", 2),
            deadline=caller.deadline,
            failures=caller.failures,
            publish=named(caller.publish, self._agent_id, caller.depth + 1),
            control=caller.control,
            worker=worker_of(self._agent_id, caller),
            budgets=caller.budgets,
            project=caller.project,
            agents=caller.agents,
            workers=caller.workers,
            workflow=caller.workflow,
            timezone=caller.timezone,
            depth=caller.depth + 1,
        )
        if caller.context is not None:
            asked.context = _inside(caller.context, asked, call_id)
        return asked


def purpose(agent_id: str, agent: Mapping[str, JSON]) -> str:
    """What an agent is good for, told to other agents."""
    said = str(agent.get("description") or "").strip()
    return f"{agent.get('name') or agent_id}: {said}"[:PURPOSE_MAX] if said else f"It is called {agent_id}."


def worker_of(agent_id: str, call: AgentCall) -> dict[str, JSON] | None:
    """The definition of the worker that an agent of the plan names. Raises TaskError `invalid_input` if it cannot be used."""
    return chosen_worker(agent_id, call.agents[agent_id], call.workers)


def named(
    publish: Callable[[str, dict[str, JSON]], None], agent: str, depth: int
) -> Callable[[str, dict[str, JSON]], None]:
    """What an inner agent says is told with its name, and how deep it stands."""
    return lambda type, data: publish(type, {"agent": agent, "depth": depth, **data})


def _inside(context: ToolContext, asked: AgentCall, call_id: str) -> ToolContext:
    """The caller's context as the other agent's tools see it. Each level has its own names for calls and questions."""
    prefix = f"{call_id}/"
    return replace(
        context,
        # Below the first line, which names the task that waits for what is started under this key.
        key=f"{context.key}\n{call_id}",
        answers={key.removeprefix(prefix): said for key, said in context.answers.items() if key.startswith(prefix)},
        publish=asked.publish,
        call=asked,
    )


def _outside(question: Question, call_id: str) -> Question:
    return replace(question, key=f"{call_id}/{question.key}")
