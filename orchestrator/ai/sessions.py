"""`Sessions` for agent tasks: every call gets its loop, its conversation by name, its budgets, and gives back an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from orchestrator.ai.accounts import budget_answers, with_own_budget
from orchestrator.ai.attachments import attachments
from orchestrator.ai.config import AILoopConfig
from orchestrator.ai.factory import AILoopFactory
from orchestrator.ai.loop import AILoop, LoopAnswer
from orchestrator.ai.manager import AILoopManager
from orchestrator.ai.seats import Seat
from orchestrator.ai.settings import loop_settings
from orchestrator.ai.sub_agents import SubAgentTool, worker_of
from orchestrator.ai.transfers import TransferTool
from orchestrator.ai.used_behind import UNPRICED, cost_so_far, meta_with_behind, used_behind, with_behind
from orchestrator.core.budget import Account
from orchestrator.errors import CredentialsError, NotFoundError, TaskError, UsageError
from orchestrator.ports.services import AgentAnswer, AgentCall
from orchestrator.ports.tool import ChildParked, PersonNeeded, Tool
from orchestrator.tools._names import with_unique_wire_names

Tools = Callable[[AgentCall], Awaitable[Iterable[Tool]]]


async def tools_of_call(call: AgentCall) -> Iterable[Tool]:
    """What the agent's `tools:` name, and those of its `memory`, opened for this call. Raises TaskError `tool`."""
    wanted = list(call.agent.get("tools") or ())
    if call.agent.get("memory"):
        wanted.append("memory.*")
    if call.context is None or not wanted:
        return ()
    return await call.context.services.tools.open(call.context, wanted)


class AgentSessions:
    """Implements ports.Sessions over one AILoopManager."""

    def __init__(self, factory: AILoopFactory, *, tools: Tools = tools_of_call) -> None:
        self.manager = AILoopManager(factory)
        self._factory = factory
        self._tools = tools
        self._users: dict[str, int] = {}
        """How many calls use a conversation's loop now; the last one out closes it."""

    async def run_turns(self, call: AgentCall) -> AgentAnswer:
        """One agent task. Cancelled or crashed, it goes on at its last recorded turn when called again with the same key.

        Raises TaskError (`auth` and `invalid_input` where the agent cannot be asked at all), PersonNeeded, ChildParked.
        """
        try:
            stream = conversation(call)
            call.budgets = with_own_budget(call, stream)
            tools = await self._equipment(call)
            await self._factory.pool.find_key(call.worker)
            loop = self._loop(call, stream, tools)
        except CredentialsError as error:
            raise TaskError("auth", error.message, help=error.help) from error
        except (NotFoundError, UsageError) as error:
            raise TaskError("invalid_input", error.message, help=error.help) from error
        self._users[stream] = self._users.get(stream, 0) + 1
        try:
            return await self._ask(loop, call, stream)
        finally:
            self._users[stream] -= 1
            if not self._users[stream]:
                del self._users[stream]
                await self.manager.remove_ai_loop(stream)

    async def _equipment(self, call: AgentCall) -> list[Tool]:
        """All that the call's agent may use, each behind the agent's permissions. Raises TaskError."""
        agent = call.agent
        tools = list(await self._tools(call))
        tools += [SubAgentTool(other, call, self.run_turns) for other in _others(call, "sub_agents")]
        tools += [TransferTool(other, call.agents[other]) for other in _others(call, "handoffs")]
        tools = _told_apart(tools, call.agent_id)
        if call.context is None or not tools:
            return tools
        from orchestrator.ai.guarded import guarded  # most agents have no tools

        return guarded(tools, agent.get("permissions"), call.agent_id, call.context)

    async def _seat(self, call: AgentCall, agent_id: str) -> Seat:
        """Another agent in the place of the one that was called: its own settings and tools, the same task and budgets.

        Raises NotFoundError, UsageError, CredentialsError, TaskError.
        """
        if agent_id not in call.agents:
            raise NotFoundError(f"no agent is called {agent_id!r}")
        agent = call.agents[agent_id]
        taken = replace(call, agent_id=agent_id, agent=agent, worker=worker_of(agent_id, call), model=None)
        if call.context is not None:
            taken.context = replace(call.context, call=taken)
        await self._factory.pool.find_key(taken.worker)
        return self._factory.seat(
            agent_id,
            self.config(taken),
            instructions=agent.get("instructions") or "",
            tools=await self._equipment(taken),
            worker=taken.worker,
            fallback=agent.get("fallback"),
            secrets=call.context.secrets if call.context is not None else (),
        )

    async def _ask(self, loop: AILoop, call: AgentCall, stream: str) -> AgentAnswer:
        """The answer, or the failure, with what it and all behind it used."""
        try:
            answer = _agent_answer(await self._answer(loop, call))
        except TaskError as error:
            error.meta = meta_with_behind(error.meta, used_behind(self._factory.journal, call, stream))
            raise
        except (PersonNeeded, ChildParked) as waits:
            waits.cost = cost_so_far(self._factory.journal, call, stream)
            raise
        usage, cost = with_behind(answer.usage, answer.cost, used_behind(self._factory.journal, call, stream))
        return replace(answer, usage=usage, cost=cost)

    async def _answer(self, loop: AILoop, call: AgentCall) -> LoopAnswer:
        # What agent and worker always show goes along once, with a conversation's first prompt.
        shown = call.files if loop.conversation else [*always_shown(call), *call.files]
        files = await asyncio.to_thread(attachments, shown, call.project, self._factory.journal)
        return await loop.ask(
            call.prompt,
            key=call.key,
            files=files,
            instructions=call.instructions,
            output_schema=call.output_schema,
            repair=call.repair,
            deadline=call.deadline,
            failures=call.failures,
            publish=call.publish,
            control=call.control,
        )

    def _loop(self, call: AgentCall, stream: str, tools: Iterable[Tool]) -> AILoop:
        loop = self.manager.get_or_create_ai_loop(
            call.agent_id,
            self.config(call),
            loop_id=stream,
            instructions=call.agent.get("instructions") or "",
            tools=tools,
            worker=call.worker,
            fallback=call.agent.get("fallback"),
            agents=partial(self._seat, call),
            accounts=self._accounts(call),
            stream=stream,
            run_id=call.run_id,
            task_id=call.task,
            secrets=call.context.secrets if call.context is not None else (),
        )
        if loop.agent_id != call.agent_id:
            raise UsageError(f"conversation {call.session!r} is in use by agent {loop.agent_id!r}")
        return loop

    def config(self, call: AgentCall) -> AILoopConfig:
        """What this call asks its model with: worker, then agent, then the task's own `model`. The nearer wins."""
        return self._factory.config(loop_settings(call.agent, call.worker, call.model))

    def _accounts(self, call: AgentCall) -> tuple[Account, ...]:
        answers = budget_answers(call.answers)
        return tuple(
            self._factory.budgets.account(
                limits["name"], limits, streams=limits.get("streams") or f"{call.run_id}/agent/", answers=answers
            )
            for limits in call.budgets
        )

    async def free_at(self, worker: Mapping[str, Any]) -> float | None:
        """When the limits of a worker have room again (epoch seconds); None if they do now."""
        return await self._factory.gate.free_at(worker)

    async def close(self) -> None:
        await self.manager.cleanup()


def _told_apart(tools: list[Tool], agent_id: str) -> list[Tool]:
    """No two with one name for models. Raises TaskError `invalid_input` for two that people cannot tell apart either."""
    names = [tool.name for tool in tools]
    for name in names:
        if names.count(name) > 1:
            raise TaskError(
                "invalid_input", f"agent {agent_id!r} has two tools named {name!r}", help="rename one of them"
            )
    return with_unique_wire_names(tools)


def _others(call: AgentCall, word: str) -> list[str]:
    """The agents that stand under `sub_agents` or `handoffs`. Raises TaskError `invalid_input` for one that nobody declared."""
    names = list(dict.fromkeys(call.agent.get(word) or ()))
    for name in names:
        if name not in call.agents:
            raise TaskError(
                "invalid_input", f"`{word}` of agent {call.agent_id!r} names {name!r}, which is not declared"
            )
    return names


def always_shown(call: AgentCall) -> list[str]:
    """Files that the worker's every conversation sees, then the agent's own, each once; paths from the project's root."""
    ours = (call.worker or {}).get("default_file_contexts") or ()
    return list(dict.fromkeys([*ours, *(call.agent.get("files") or ())]))


def conversation(call: AgentCall) -> str:
    """The stream's name in the journal: by the session's name where there is one, else by the task's own key."""
    return f"{call.run_id}/agent/{'@' + call.session if call.session else call.key}"


def _agent_answer(answer: LoopAnswer) -> AgentAnswer:
    usage = {
        "input_tokens": answer.usage.input_tokens,
        "output_tokens": answer.usage.output_tokens,
        "requests": answer.requests,
    }
    if answer.unpriced:
        usage[UNPRICED] = answer.unpriced
    if answer.usage.cached_tokens:
        usage["cached_tokens"] = answer.usage.cached_tokens
    if answer.usage.reasoning_tokens:
        usage["reasoning_tokens"] = answer.usage.reasoning_tokens
    return AgentAnswer(
        value=answer.value,
        text=answer.text,
        model=answer.model,
        usage=usage,
        cost=answer.cost,
        synthetic=answer.synthetic,
        turns=answer.turns,
        finish=answer.finish,
        wrapped_up=answer.wrapped_up,
        agent=answer.agent,
    )
