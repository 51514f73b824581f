"""A run of an agent with tools, cut at every write and sync of its journal: nothing was paid or done that the disk does not know of."""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

import pytest
from crash.session_world import mark_of

from orchestrator.ai.factory import AILoopFactory
from orchestrator.ai.ledger import paid_calls
from orchestrator.ai.sessions import AgentSessions
from orchestrator.bootstrap import ExecutionEngine, verify
from orchestrator.core.messages import Usage
from orchestrator.core.plan import Plan
from orchestrator.core.session_events import CallAnswered, decode_events
from orchestrator.host.project import find_project, open_state
from orchestrator.ports.chat_model import (
    ChatEvent,
    ChatRequest,
    Finished,
    TextDelta,
    ToolCallDelta,
    ToolSpec,
    UsageReported,
)
from orchestrator.ports.services import AgentCall
from orchestrator.spec.compile import compile_plan
from orchestrator.spec.load import load_workflow
from orchestrator.stores.sqlite import SqliteJournal
from orchestrator.testing.power import Image, Operation, PowerDisk
from orchestrator.testing.scripted import ScriptedModel, ScriptedProvider

WORKFLOW = """
    name: small
    budget: {turns: 20}
    agents:
      chief: {model: scripted/m, sub_agents: [scout]}
      scout: {model: scripted/m}
    tasks:
      t: {agent: chief, prompt: Go}
    outputs: {t: "${{ t }}"}
"""
QUIET = 5
"""Requests of a run that nobody cuts."""


@dataclass
class Witness:
    """What a model service and a tool saw."""

    requests: list[str] = field(default_factory=list)
    effects: Counter[str] = field(default_factory=Counter)


class Story(ScriptedModel):
    """The chief does something, asks the scout, who does something, and answers."""

    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self._witness = witness

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        mark = mark_of("m", request)
        self._witness.requests.append(mark)
        turn = sum(message.role == "assistant" for message in request.messages)
        wanted = [["once"], ["ask_scout"]] if len(request.tools) > 1 else [["once"]]
        for index, name in enumerate(wanted[turn] if turn < len(wanted) else ()):
            arguments = '{"prompt": "Look."}' if name == "ask_scout" else "{}"
            yield ToolCallDelta(index, arguments, f"call_{mark}_{index}", name)
        if turn >= len(wanted):
            yield TextDelta("Done.")
        yield UsageReported(Usage(10, 5))
        yield Finished("stop" if turn >= len(wanted) else "tool_calls", f"story {mark}")


class Once:
    name = "once"
    effect: Any = "at_most_once"
    spec = ToolSpec(name="once", description="", parameters={"type": "object", "properties": {}})

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    def needs_no_permission(self, arguments: dict[str, Any]) -> bool:
        return True

    async def call(self, arguments: dict[str, Any], call_id: str) -> str:
        self._witness.effects[call_id] += 1
        return "done"


def open_engine(project: Path, journal: SqliteJournal, state: Path, witness: Witness) -> ExecutionEngine:
    async def tools(call: AgentCall) -> list[Any]:
        return [Once(witness)]

    engine = ExecutionEngine(project, journal=journal, state=state)
    engine.adapters.check_agents = lambda plan: ()
    provider = ScriptedProvider({"m": Story(witness)})
    factory = AILoopFactory(journal=journal, clock=engine.clock, environ={}, providers={"scripted": provider})
    engine.services.sessions = AgentSessions(factory, tools=tools)
    return engine


@dataclass
class Cut:
    number: int
    image: Image
    blobs: Path
    before: Witness


async def run_with_cuts(plan: Plan, project: Path, state: Path, kind: Literal["kill", "power"]) -> list[Cut]:
    """One whole run, and what the disk would hold, and the world had seen, if it were cut before each operation."""
    disk = PowerDisk(seed=1)
    cuts: list[Cut] = []
    witness = Witness()

    def before_each(operation: Operation) -> None:
        image = disk.kill_image() if kind == "kill" else disk.power_image(Random(operation.number))
        blobs = state.parent / "blobs" / str(operation.number)
        if (state / "blobs").exists():
            shutil.copytree(state / "blobs", blobs, ignore=shutil.ignore_patterns("new"))
        seen = Witness([*witness.requests], Counter(witness.effects))
        cuts.append(Cut(operation.number, image, blobs, seen))

    try:
        journal = SqliteJournal(state, vfs=disk.name)
        async with open_engine(project, journal, state, witness) as engine:
            disk.before_each = before_each
            result = await engine.run(plan, run_id="run")
            disk.before_each = lambda operation: None
        journal.close()
    finally:
        disk.close()
    assert (result.status, result.outputs) == ("succeeded", {"t": "Done."}), result.failure
    assert len(witness.requests) == QUIET
    return cuts


def recorded(journal: SqliteJournal) -> set[str]:
    """Marks of the requests whose answers are on this disk."""
    return {
        event.model.split()[-1]
        for row in journal.rows(prefix="run/agent/")
        for batch in journal.read(row.stream)
        for event in decode_events(batch.payload)
        if isinstance(event, CallAnswered)
    }


async def go_on_from(cut: Cut, plan: Plan, project: Path, folder: Path) -> None:
    open_state(find_project(project), folder)
    cut.image.write_to(folder)
    if cut.blobs.exists():
        shutil.copytree(cut.blobs, folder / "blobs")
    journal = SqliteJournal(folder)
    after = Witness()
    known = recorded(journal)
    assert len(cut.before.requests) <= len(paid_calls(journal, "run")), "a request went out that the disk does not know"
    async with open_engine(project, journal, folder, after) as engine:
        row = journal.row("run")
        if row is None:
            assert not cut.before.requests, "a request went out for a run that is not recorded"
            handle = await engine.start(plan, run_id="run")
        elif row.ended_at is None:
            handle = await engine.resume("run")
        else:
            handle = None
        if handle is not None:
            result = await handle.wait()
            assert (result.status, result.outputs) == ("succeeded", {"t": "Done."}), result.failure
    assert not known & set(after.requests), "a recorded answer is requested again"
    assert len(cut.before.requests) + len(after.requests) <= QUIET + 1
    assert max((cut.before.effects + after.effects).values()) == 1, "done twice what must be done once"
    assert {call.status for call in paid_calls(journal, "run")} <= {"answered", "unknown"}
    journal.close()
    assert [finding for finding in verify(folder) if finding.level == "error"] == []


@pytest.mark.parametrize("kind", ["kill", "power"])
@pytest.mark.timeout(600)
async def test_an_agents_run_cut_at_any_operation_goes_on_and_pays_for_at_most_one_request_more(
    kind: Literal["kill", "power"], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / "workflows").mkdir(parents=True)
    (project / "workflows" / "small.yaml").write_text(textwrap.dedent(WORKFLOW))
    plan = compile_plan(load_workflow(project / "workflows" / "small.yaml"))
    state = tmp_path / "state"
    open_state(find_project(project), state)
    cuts = await run_with_cuts(plan, project, state, kind)
    assert len(cuts) > 30
    for cut in cuts:
        folder = tmp_path / "cuts" / str(cut.number)
        folder.parent.mkdir(exist_ok=True)
        try:
            await go_on_from(cut, plan, project, folder)
        except BaseException as error:
            error.add_note(f"cut before operation {cut.number} of {len(cuts)}, by {kind}")
            raise
        shutil.rmtree(folder)
