"""Delegates and a real engine: what a run tells, in which order, and how pause and stop answers move it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator import ExecutionEngine, compile_plan, load_workflow
from orchestrator.delegates import catalogue, check_payload
from orchestrator.stores.memory import MemoryJournal

CHAIN = """\
name: chain
tasks:
  one: {set: 1}
  two: {set: '${{ one + 1 }}'}
  three: {run: 'echo "${{ two + 1 }}"', output: integer}
outputs: {last: '${{ three }}'}
"""

WITH_AGENT = """\
name: with-agent
agents:
  writer: {model: embedded/writer, instructions: Write one sentence.}
tasks:
  note: {agent: writer, prompt: The tide is high.}
outputs: {note: '${{ note }}'}
"""

FAILING = """\
name: failing
tasks:
  bad: {run: exit 3}
  after_bad: {after: bad, set: 1}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "workflows").mkdir()
    return tmp_path


def engine_for(project: Path) -> ExecutionEngine:
    return ExecutionEngine(project, journal=MemoryJournal())


def plan_of(project: Path, text: str) -> Any:
    file = project / "workflows" / "flow.yaml"
    file.write_text(text)
    return compile_plan(load_workflow(file, project))


class Everything:
    """Hears every notification and holds each against its published model."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.problems: list[str] = []

    def __call__(self, sender: object, event_type: str, /, **payload: Any) -> None:
        self.events.append((event_type, payload))
        try:
            check_payload(event_type, payload)
        except TypeError as error:
            self.problems.append(str(error))

    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    def of(self, name: str) -> list[dict[str, Any]]:
        return [payload for known, payload in self.events if known == name]


def hear_everything(engine: ExecutionEngine) -> Everything:
    everything = Everything()
    for entry in catalogue():
        if entry.kind == "notification":
            engine.delegate_manager.register(entry.name, everything)
    return everything


async def until(event: asyncio.Event | threading.Event) -> None:
    async with asyncio.timeout(20):
        if isinstance(event, asyncio.Event):
            await event.wait()
        else:
            await asyncio.to_thread(event.wait, 20)
    assert event.is_set()


async def test_a_run_tells_its_whole_story_in_order_with_the_payloads_it_promised(project):
    async with engine_for(project) as engine:
        everything = hear_everything(engine)
        result = await engine.run(plan_of(project, CHAIN))
    assert result.outputs == {"last": 3}
    assert everything.problems == []
    assert everything.names()[0] == "engine_started"
    assert everything.names()[-1] == "engine_stopped"
    assert everything.names().count("engine_started") == everything.names().count("engine_stopped") == 1
    completed = everything.of("task_execution_completed")
    assert [(c["task_id"], c["status"], c["result_summary"]["text"]) for c in completed] == [
        ("one", "succeeded", "1"),
        ("two", "succeeded", "2"),
        ("three", "succeeded", "3"),
    ]
    assert [s["task_id"] for s in everything.of("task_execution_started")] == ["one", "two", "three"]
    assert {payload["run_id"] for _, payload in everything.events} == {result.run_id}


async def test_a_failure_is_told_with_its_type_and_what_it_blocked(project):
    async with engine_for(project) as engine:
        everything = hear_everything(engine)
        result = await engine.run(plan_of(project, FAILING))
    assert (result.status, everything.problems) == ("failed", [])
    bad, after = everything.of("task_execution_completed")
    assert (bad["status"], bad["result_summary"]["error"]["type"]) == ("failed", "exit")
    assert (after["status"], bool(after["result_summary"]["reason"])) == ("blocked", True)
    assert everything.of("engine_stopped")[0]["status"] == "failed"


async def test_an_agents_loop_tells_the_run_that_it_belongs_to(project):
    async with engine_for(project) as engine:
        everything = hear_everything(engine)
        result = await engine.run(plan_of(project, WITH_AGENT))
    assert everything.problems == []
    names = everything.names()
    for name in ("ai_loop_started", "ai_request_prepared", "ai_response_received", "ai_loop_stopped"):
        assert names.count(name) == 1, names
    assert names.index("ai_request_prepared") < names.index("ai_response_received")
    (response,) = everything.of("ai_response_received")
    assert (response["agent_id"], response["run_id"]) == ("writer", result.run_id)
    assert response["synthetic"] is True
    chunks = "".join(c["chunk"] for c in everything.of("ai_loop.message.ai_chunk_received"))
    assert chunks.strip() == result.outputs["note"].strip()


async def test_a_pause_delegate_holds_what_is_about_to_start_and_lets_it_go_at_once_on_recheck(project):
    asked: list[list[str]] = []
    open_gate = threading.Event()

    def gate(sender: object, control_type: str, *, task_ids: list[str], **payload: object) -> bool:
        asked.append(task_ids)
        return "three" in task_ids and not open_gate.is_set()

    async with engine_for(project) as engine, asyncio.timeout(20):
        engine.delegate_manager.register("engine_request_pause", gate)
        handle = await engine.start(plan_of(project, CHAIN))
        async for event in handle.watch():
            if event["type"] == "hold_set":
                assert "gate" in event["by"]
                break
        assert handle.view().status == "paused"
        open_gate.set()
        engine.delegate_manager.recheck()
        result = await handle.wait()
    assert result.outputs == {"last": 3}
    assert ["one"] in asked, "the tasks about to start are named"


async def test_unregistering_a_delegate_that_holds_lets_the_run_go_on(project):
    asked = asyncio.Event()

    async def always(sender: object, control_type: str, **payload: object) -> bool:
        asked.set()
        return True

    async with engine_for(project) as engine:
        engine.delegate_manager.register("engine_request_pause", always)
        handle = await engine.start(plan_of(project, CHAIN))
        await until(asked)
        engine.delegate_manager.unregister("engine_request_pause", always)
        async with asyncio.timeout(20):
            assert (await handle.wait()).status == "succeeded"


async def test_a_stop_delegate_drains_the_run_which_can_be_resumed_when_nobody_objects(project):
    def stop(sender: object, control_type: str, *, task_ids: list[str], **payload: object) -> bool:
        return "three" in task_ids

    async with engine_for(project) as engine:
        everything = hear_everything(engine)
        engine.delegate_manager.register("engine_request_stop", stop)
        async with asyncio.timeout(20):
            stopped = await (await engine.start(plan_of(project, CHAIN))).wait()
            assert "three" not in [started["task_id"] for started in everything.of("task_execution_started")]
            assert everything.names()[-1] == "engine_stopped"
            engine.delegate_manager.unregister("engine_request_stop", stop)
            resumed = await (await engine.resume(stopped.run_id)).wait()
    assert (stopped.status, resumed.status, resumed.outputs) == ("paused", "succeeded", {"last": 3})
    assert [s["task_id"] for s in everything.of("task_execution_started")] == ["one", "two", "three"]


async def test_delegates_that_hang_raise_or_are_slow_change_nothing_about_the_run(project):
    release = threading.Event()

    def raises(*_: object, **__: object) -> bool:
        raise ValueError("boom")

    def hangs(*_: object, **__: object) -> None:
        release.wait(30)

    async def hangs_too(*_: object, **__: object) -> bool:
        await asyncio.Event().wait()
        return True

    async with engine_for(project) as engine:
        manager = engine.delegate_manager
        for delegate in (raises, hangs, hangs_too):
            for entry in catalogue():
                if entry.kind == "notification" or delegate is raises:
                    manager.register(entry.name, delegate)
        async with asyncio.timeout(20):
            result = await engine.run(plan_of(project, CHAIN))
    release.set()
    assert result.outputs == {"last": 3}


async def test_silence_holds_a_run_where_the_delegate_was_registered_so(project):
    answer_now, asked = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def thinks(sender: object, control_type: str, **payload: object) -> bool:
        loop.call_soon_threadsafe(asked.set)
        answer_now.wait(30)
        return False

    async with engine_for(project) as engine:
        engine.delegate_manager.register("engine_request_pause", thinks, on_error="hold")
        # The start itself is a turn, and the question in it takes its whole second.
        starting = asyncio.create_task(engine.start(plan_of(project, CHAIN)))
        await until(asked)
        handle = await starting
        assert handle.view().status == "paused"
        answer_now.set()
        async with asyncio.timeout(20):
            assert (await handle.wait()).status == "succeeded"
