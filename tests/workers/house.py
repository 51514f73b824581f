"""A manager on a journal in memory, with scripted models behind real loops."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from orchestrator.ai.factory import AILoopFactory
from orchestrator.ai.sessions import AgentSessions
from orchestrator.ports.journal import Batch, Journal, StreamRow
from orchestrator.stores.memory import MemoryJournal
from orchestrator.testing.scripted import ScriptedModel, ScriptedProvider
from orchestrator.workers.definitions import WorkerDefinition, read_definition
from orchestrator.workers.manager import WorkerManager

PRICES = {"currency": "USD", "input_per_million": 1.0, "output_per_million": 2.0}


def worker(definition_id: str = "fast", **more: Any) -> WorkerDefinition:
    said: dict[str, Any] = {
        "definition_id": definition_id,
        "provider": "scripted",
        "model_name": "m",
        "auth": {"none": True},
        "interaction_models": ["both"],
        "cost_metrics": PRICES,
    }
    return read_definition({name: value for name, value in (said | more).items() if value is not None})


class SleepersClock:
    """Time passes by sleeping, at once, and a little with each look."""

    def __init__(self, start: float = 1_900_000_000.0) -> None:
        self.time = start

    def now(self) -> float:
        self.time += 0.001
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


class House:
    def __init__(self, root: Path, *turns: Any, **models: ScriptedModel) -> None:
        self.root = root
        self.model = ScriptedModel(*turns)
        self.models = {"m": self.model, **models}
        self.journal: Journal = MemoryJournal()
        self.clock = SleepersClock()
        self.sessions = self.loops()

    def loops(self) -> AgentSessions:
        """A new process over the same journal."""
        factory = AILoopFactory(
            journal=self.journal,
            clock=self.clock,
            environ={},
            providers={"scripted": ScriptedProvider(self.models)},
            sleep=self.clock.sleep,
        )
        return AgentSessions(factory)

    def manager(self, *definitions: WorkerDefinition, **more: Any) -> WorkerManager:
        given: dict[str, Any] = {
            "project": self.root,
            "journal": self.journal,
            "sessions": self.sessions,
            "environ": {},
            "now": self.clock.now,
        }
        manager = WorkerManager(**(given | more))
        for one in definitions or (worker(),):
            manager.add_definition(one)
        return manager

    def run_row(self, run_id: str, status: str = "running", workflow: str = "workflows/w.yaml") -> None:
        """A run stands in the journal, in that status."""
        known = self.journal.row(run_id)
        row = StreamRow(
            stream=run_id,
            status=status,
            workflow=workflow,
            started_at=1.0,
            ended_at=None if status == "running" else 2.0,
        )
        batch = Batch(stream=run_id, expected=known.last if known else 0, count=0, payload=b"", row=row)
        failed: list[BaseException] = []
        self.journal.append(batch, lambda error: failed.append(error) if error is not None else None)
        assert not failed
