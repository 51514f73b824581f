"""`agent:` gives a prompt to an agent and takes its answer as the value.

Fields: `{agent, prompt, repair, instructions, model, files, session}`, and from the engine `agents`, `workers` and `mcp` of
the plan, `tool_settings` of the project, the `budgets` around the task and the `plan`'s workflow and timezone. The
conversation lives behind the `Sessions` port; its turns are recorded there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestrator.core.worker_choice import chosen_worker
from orchestrator.errors import TaskError
from orchestrator.kinds._kind import WaitingKind
from orchestrator.kinds._tools import asking, tool_context
from orchestrator.kinds._words import word_of
from orchestrator.ports.services import AgentCall
from orchestrator.ports.task_kind import Asking, Attempt, Parked, Succeeded
from orchestrator.ports.tool import ChildParked, PersonNeeded

JSON = Any


class AgentKind(WaitingKind):
    verb = "agent"

    async def perform(self, attempt: Attempt) -> Succeeded | Asking | Parked:
        call = _call(attempt)
        try:
            answer = await attempt.services.sessions.run_turns(call)
        except PersonNeeded as needed:
            return replace(asking(needed.question, attempt.now), cost=needed.cost)
        except ChildParked as parked:
            return Parked(reason=parked.reason, cost=parked.cost)
        return Succeeded(
            value=answer.value,
            meta={
                "text": answer.text,
                "model": answer.model,
                "synthetic": answer.synthetic,
                "turns": answer.turns,
                "finish": answer.finish,
                **({"wrapped_up": True} if answer.wrapped_up else {}),
                **({"agent": answer.agent} if answer.agent not in ("", call.agent_id) else {}),
            },
            cost=answer.cost,
            usage=answer.usage,
        )


def _call(attempt: Attempt) -> AgentCall:
    fields = attempt.fields
    agent_id, agent = _agent(fields)
    session = fields.get("session")
    call = AgentCall(
        run_id=attempt.run_id,
        task=attempt.task,
        key=attempt.key,
        agent_id=agent_id,
        agent=agent,
        worker=chosen_worker(agent_id, agent, fields.get("workers") or {}),
        prompt=word_of(fields["prompt"]),
        instructions=_text(fields.get("instructions")),
        model=_text(fields.get("model")),
        files=list(fields.get("files") or []),
        session=_text(session),
        output_schema=attempt.output_schema,
        repair=_repair(fields, agent),
        deadline=attempt.deadline,
        failures=attempt.failures,
        publish=attempt.publish,
        control=attempt.control,
        budgets=fields.get("budgets") or (),
        workflow=(fields.get("plan") or {}).get("workflow", ""),
        timezone=(fields.get("plan") or {}).get("timezone", "UTC"),
        project=attempt.project,
        agents=fields.get("agents") or {},
        workers=fields.get("workers") or {},
        context=tool_context(attempt),
    )
    call.context.call = call  # type: ignore[union-attr]  # given above
    return call


def _agent(fields: dict[str, JSON]) -> tuple[str, dict[str, JSON]]:
    agents: dict[str, dict[str, JSON]] = fields.get("agents") or {}
    agent_id = fields["agent"]
    if isinstance(agent_id, str) and agent_id in agents:
        return agent_id, agents[agent_id]
    known = ", ".join(sorted(name for name in agents if "." not in name)[:10]) or "none"
    raise TaskError("invalid_input", f"no agent is called {word_of(agent_id)!r}", help=f"declared are: {known}")


def _repair(fields: dict[str, JSON], agent: dict[str, JSON]) -> int:
    """How often an answer that does not fit is given back: the task's word, else the agent's, else twice."""
    said: int = fields["repair"] if "repair" in fields else agent.get("repair", 2)
    return said


def _text(value: JSON) -> str | None:
    return None if value is None else word_of(value)


KIND = AgentKind()
