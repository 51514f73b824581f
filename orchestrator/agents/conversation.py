"""A person's talk with the agents of a plan: one conversation, many turns, kept in the journal like any other.

    talk = Conversation(engine, plan, "helper")
    answer = await talk.say("Hello", publish=show, ask=form)

Everything an agent has in a run it has here: its own model, tools, permissions, sub-agents and budget. A conversation has an
id like a run's; opened again under it, it goes on where it stood.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from orchestrator.core.expressions import render_tree
from orchestrator.core.messages import Message
from orchestrator.core.plan import Node, Plan, Scope
from orchestrator.engine.children import ChildRuns
from orchestrator.errors import NotFoundError, TaskError
from orchestrator.host.environment import base_environment
from orchestrator.ports.services import AgentAnswer, AgentCall
from orchestrator.ports.tool import ChildParked, PersonNeeded, Question, ToolContext

if TYPE_CHECKING:
    from orchestrator.ai.ledger import PaidCall
    from orchestrator.core.session_state import Session
    from orchestrator.engine.engine import Engine

JSON = Any
Publish = Callable[[str, dict[str, JSON]], None]
Ask = Callable[[Question], Awaitable[JSON]]

SESSION: Final = "talk"


class Conversation:
    """One at a time: a turn ends before the next begins."""

    def __init__(self, engine: Engine, plan: Plan, agent_id: str, *, id: str | None = None) -> None:
        """Raises NotFoundError for an agent that the plan has not."""
        self.id = id or f"chat-{secrets.token_hex(4)}"
        self.plan = plan
        self._engine = engine
        self._secrets = engine.secrets_of(plan)
        self._keys: tuple[str, ...] = ()
        """What its models are asked with: masked like the secrets."""
        self.attended = True
        """Whether somebody can be asked; where not, calls that want a person's permission are denied."""
        self._services = replace(engine.services, runs=ChildRuns(engine, lambda caller: plan))
        engine.talks[self.id] = self._budgets
        self.agent_id = ""
        self.switch(agent_id)

    @property
    def agents(self) -> dict[str, dict[str, JSON]]:
        """The agents one can talk to; those written inside a task belong to it alone."""
        return {name: agent for name, agent in self.plan.agents.items() if "." not in name}

    @property
    def stream(self) -> str:
        return f"{self.id}/agent/@{SESSION}"

    @property
    def _session(self) -> Session:
        from orchestrator.ai.record import read_session

        return read_session(self._engine.journal, self.stream)

    @property
    def messages(self) -> tuple[Message, ...]:
        """What has been said so far."""
        return tuple(self._session.messages)

    @property
    def partial(self) -> str:
        """What had arrived of the last answer, if it was stopped; it is said once the conversation goes on."""
        exchange = self._session.exchange
        return exchange.partial if exchange is not None and exchange.phase == "stopped" and not exchange.left else ""

    @property
    def calls(self) -> list[PaidCall]:
        """Every model request of the conversation, those of sub-agents included."""
        from orchestrator.ai.ledger import paid_calls

        return paid_calls(self._engine.journal, self.id)

    def switch(self, agent_id: str) -> None:
        """Talk to another agent from the next turn on; it sees what was said. Raises NotFoundError."""
        if agent_id not in self.agents:
            known = ", ".join(f"`{name}`" for name in self.agents) or "none"
            raise NotFoundError(f"no agent is called `{agent_id}`", help=f"there are: {known}")
        self.agent_id = agent_id

    def check(self) -> None:
        """Raises CredentialsError or UsageError if the agent's model cannot be asked at all."""
        asking = Node(id="chat", verb="agent", fields={"agent": self.agent_id})
        plan = msgspec.structs.replace(self.plan, scopes=(Scope(nodes=(asking,)),), children={})
        self._keys = tuple(key.reveal() for key in self._engine.adapters.check_agents(plan))

    async def say(self, text: str, *, publish: Publish, ask: Ask) -> AgentAnswer:
        """One turn. `publish` gets `chunk`, `tool` and `progress` as they come; `ask` puts a question to the person.

        Cancelled, what has arrived is kept in the record, marked as partial. Raises TaskError.
        """
        key = f"{self.id}:{len(self._session.exchanges) + 1}"
        answers: dict[str, JSON] = {}
        while True:
            try:
                answer = await self._engine.services.sessions.run_turns(self._call(text, key, answers, publish))
            except PersonNeeded as needed:
                answers[needed.question.key] = await ask(needed.question)
            except ChildParked as parked:
                help = "answer it with `whisper-flow answer`; what it comes to is not told in this conversation"
                raise TaskError("tool", parked.reason, help=help) from None
            else:
                if answer.agent:
                    self.agent_id = answer.agent
                return answer

    async def undo(self) -> str | None:
        """Take back the last turn; what was asked in it, None if there is nothing to take back.

        Its paid calls stay in the ledger. Further calls take back the turns before.
        """
        from orchestrator.ai.record import SessionRecord
        from orchestrator.core.session import decide
        from orchestrator.core.session_events import ExchangeUndone, UndoAsked

        record = SessionRecord(self._engine.journal, self.stream, parent=self.id)
        events = decide(record.session, UndoAsked(), self._engine.clock.now())
        if not events:
            return None
        (undone,) = events
        assert isinstance(undone, ExchangeUndone)
        prompt = record.session.messages[record.session.exchanges[undone.key].first_message]
        record.note(events)
        await record.commit()
        return prompt.text

    def _call(self, text: str, key: str, answers: dict[str, JSON], publish: Publish) -> AgentCall:
        plan, agent = self.plan, self.agents[self.agent_id]
        context = self._context(key, answers, publish)
        worker_id = agent.get("worker")
        call = AgentCall(
            run_id=self.id,
            task="chat",
            key=key,
            agent_id=self.agent_id,
            agent=agent,
            prompt=text,
            files=[],
            session=SESSION,
            publish=publish,
            control=lambda: None,
            worker={**plan.workers[worker_id], "definition_id": worker_id} if worker_id else None,
            budgets=self._budgets(),
            workflow=plan.workflow,
            timezone=plan.timezone,
            project=context.project,
            agents=plan.agents,
            workers=plan.workers,
            context=context,
        )
        context.call = call
        return call

    def _budgets(self) -> tuple[dict[str, JSON], ...]:
        if not self.plan.budget:
            return ()
        days = {"day": self.plan.workflow, "timezone": self.plan.timezone}
        return ({"name": f"run {self.id}", "streams": f"{self.id}/agent/", **days, **self.plan.budget},)

    def _context(self, key: str, answers: dict[str, JSON], publish: Publish) -> ToolContext:
        engine, plan = self._engine, self.plan
        adapters, now = engine.adapters, engine.clock.now()
        outside = {"secrets": dict(self._secrets), "inputs": {}}
        own_env = render_tree(plan.env, outside.get, now=now) if plan.env else {}
        return ToolContext(
            run_id=self.id,
            task="chat",
            key=key,
            project=adapters.project.root,
            cwd=adapters.project.root,
            run_dir=self._folder(),
            env={**base_environment(adapters.environ, adapters.pass_env), **own_env},
            secrets=(*self._secrets.values(), *self._keys),
            services=self._services,
            publish=publish,
            answers=answers,
            attended=self.attended,
            mcp=render_tree(plan.mcp, outside.get, now=now) if plan.mcp else {},
            settings=adapters.tool_settings,
        )

    def _folder(self) -> Path:
        folder = self._engine.adapters.state / "runs" / self.id
        for one in (folder.parent, folder):
            one.mkdir(mode=0o700, exist_ok=True)
        return folder
