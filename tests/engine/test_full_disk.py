"""A full disk is a hold: nothing starts, looking works, and the run goes on when there is room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import ExecutionEngine
from orchestrator.core.plan import Plan
from orchestrator.errors import JournalFullError
from orchestrator.ports.journal import Batch, Done
from orchestrator.stores.memory import MemoryJournal

FLOW = """
    name: t
    tasks:
      first: {wait: 1ms}
      second: {after: first, set: 2}
    outputs: {said: "${{ second }}"}
"""


class Filling(MemoryJournal):
    """A journal whose disk fills up once a run is under way, or when it is told."""

    full = False
    fills_after: int | None = None

    def append(self, batch: Batch, done: Done) -> None:
        if self.fills_after is not None and batch.expected >= self.fills_after:
            self.full = True
        if self.full:
            done(JournalFullError("no space is left for the journal: nothing was written", help="free some space"))
        else:
            super().append(batch, done)

    def put_blob(self, data: bytes) -> str:
        if self.full:
            raise JournalFullError("no space is left", help="free some space")
        return super().put_blob(data)


async def held(engine: ExecutionEngine, journal: Filling, plan: Plan) -> str:
    """The id of a run that the disk has no more room for."""
    journal.fills_after = 1
    handle = await engine.start(plan)
    with pytest.raises(JournalFullError, match=r"is held .`disk_full`"):
        await handle.wait()
    journal.fills_after = None
    return handle.run_id


async def test_a_run_without_space_is_held_and_shown_so(plan: Callable[..., Plan], project: Path) -> None:
    journal = Filling()
    async with ExecutionEngine(project, journal=journal) as engine:
        run_id = await held(engine, journal, plan(FLOW))
        view = engine.inspect(run_id)
        assert view.status == "paused"
        assert view.driver is None
        assert view.holds["disk_full"]["by"] == "engine"
        (row,) = engine.runs(status=("paused",))
        assert row.stream == run_id
        assert str(row.summary["reason"]).startswith("disk_full: no space was left")
        assert engine.runs(status=("running",)) == []


async def test_nothing_starts_while_there_is_no_space(plan: Callable[..., Plan], project: Path) -> None:
    journal = Filling()
    async with ExecutionEngine(project, journal=journal) as engine:
        compiled = plan(FLOW)
        run_id = await held(engine, journal, compiled)
        with pytest.raises(JournalFullError):
            await engine.start(compiled)
        with pytest.raises(JournalFullError, match="no space is left"):
            await engine.resume(run_id)
        assert [row.stream for row in engine.runs()] == [run_id]
        assert engine.inspect(run_id).status == "paused"


async def test_resuming_with_space_lifts_the_hold(plan: Callable[..., Plan], project: Path) -> None:
    journal = Filling()
    async with ExecutionEngine(project, journal=journal) as engine:
        run_id = await held(engine, journal, plan(FLOW))
        journal.full = False
        handle = await engine.resume(run_id)
        assert journal.full_since(run_id) is None
        result = await handle.wait()
        assert result.outputs == {"said": 2}
        assert "disk_full" not in engine.inspect(run_id).holds


async def test_delegates_hear_that_the_run_was_held(plan: Callable[..., Plan], project: Path) -> None:
    journal = Filling()
    heard: list[dict[str, object]] = []
    async with ExecutionEngine(project, journal=journal) as engine:
        told = asyncio.Event()

        async def stopped(sender: object, event_type: str, **details: object) -> None:
            heard.append(details)
            told.set()

        engine.get_delegate_manager().register("engine_stopped", stopped)
        await held(engine, journal, plan(FLOW))
        await asyncio.wait_for(told.wait(), 5)
    assert heard[-1]["status"] == "paused"


async def test_a_value_that_finds_no_space_holds_the_run_too(plan: Callable[..., Plan], project: Path) -> None:
    (project / "large.py").write_text("def text():\n    return 'x' * 200_000\n")
    journal = Filling()
    compiled = plan("name: t\ntasks:\n  pause: {wait: 1ms}\n  large: {after: pause, python: large:text}\n")
    async with ExecutionEngine(project, journal=journal) as engine:
        before = journal.put_blob

        def refuse(data: bytes) -> str:
            if len(data) > 100_000:
                raise JournalFullError("no space is left")
            return before(data)

        journal.put_blob = refuse  # type: ignore[method-assign]
        handle = await engine.start(compiled)
        with pytest.raises(JournalFullError):
            await handle.wait()
        assert engine.inspect(handle.run_id).status == "paused"
        journal.put_blob = before  # type: ignore[method-assign]
        assert (await (await engine.resume(handle.run_id)).wait()).status == "succeeded"
