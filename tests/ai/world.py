"""A world for loops: scripted models, time that passes when somebody sleeps, a journal that outlives a "process"."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.ai.factory import AILoopFactory
from orchestrator.ai.sessions import AgentSessions
from orchestrator.ports.services import AgentCall
from orchestrator.ports.tool import Tool
from orchestrator.stores.memory import MemoryJournal
from orchestrator.testing.scripted import ScriptedModel, ScriptedProvider


class SleepersClock:
    """Time passes only by sleeping, at once."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.time = start
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


class World:
    def __init__(self, *turns: Any, journal: Any = None, **models: ScriptedModel) -> None:
        self.model = ScriptedModel(*turns)
        self.models = {"m": self.model, **models}
        self.clock = SleepersClock()
        self.journal = MemoryJournal() if journal is None else journal
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.control: str | None = None
        self.factory = self.start()

    def start(self) -> AILoopFactory:
        """A new process over the same journal."""
        self.factory = AILoopFactory(
            journal=self.journal,
            clock=self.clock,
            environ={},
            providers={"scripted": ScriptedProvider(self.models)},
            sleep=self.clock.sleep,
        )
        return self.factory

    def loop(self, agent: str = "a", model: str = "scripted/m", **how: Any) -> Any:
        settings = {"model": model, **how.pop("config", {})}
        return self.factory.create(agent, settings, stream=how.pop("stream", "r1/agent/k"), run_id="r1", **how)

    def sessions(self, tools: list[Tool] | None = None) -> AgentSessions:
        async def given(call: AgentCall) -> list[Tool]:
            return tools or []

        return AgentSessions(self.factory, tools=given)

    def call(self, **changes: Any) -> AgentCall:
        agent: Mapping[str, Any] = changes.pop("agent", {"model": "scripted/m"})
        known: dict[str, Any] = {
            "run_id": "r1",
            "task": "t",
            "key": "t:1",
            "agent_id": "writer",
            "agent": dict(agent),
            "prompt": "Hello?",
            "files": [],
            "publish": lambda type, data: self.published.append((type, data)),
            "control": lambda: self.control,
            "project": Path.cwd(),
        }
        return AgentCall(**(known | changes))

    def said(self, type: str) -> list[dict[str, Any]]:
        return [data for kind, data in self.published if kind == type]
