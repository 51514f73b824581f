"""A whole run, cut at every write and every sync of its journal: by a kill (all written stays) and by a power cut (only synced stays)."""

from __future__ import annotations

import asyncio
import shutil
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

import pytest

from orchestrator.bootstrap import ExecutionEngine, find_kind
from orchestrator.core.plan import Plan
from orchestrator.core.status import SUCCEEDED
from orchestrator.engine.fold import fold
from orchestrator.host.project import find_project, open_state
from orchestrator.ports.task_kind import Attempt, Outcome, Succeeded, TaskKind
from orchestrator.spec.compile import compile_plan
from orchestrator.spec.load import load_workflow
from orchestrator.stores.sqlite import SqliteJournal, verify
from orchestrator.testing.power import Image, Operation, PowerDisk

WORKFLOW = """
    name: small
    max_parallel: 2
    tasks:
      a: {set: [1, 2, 3]}
      each: {foreach: a, max_parallel: 2, set: "${{ item * 10 }}"}
      rounds: {loop: {until: rounds >= 2, max: 3}, set: "${{ round }}"}
      large: {after: a, set: "${{ range(8000) }}"}
      group:
        tasks:
          inner: {set: "${{ each | sum }}"}
        outputs: {total: "${{ inner + rounds }}"}
      nap: {wait: 1ms}
    finally:
      note: {set: "${{ run.status }}"}
    outputs: {total: "${{ group.total }}", count: "${{ large | length }}"}
"""
OUTPUTS = {"total": 62, "count": 8000}


class Recorder:
    """Does what `set` does, a turn of the loop later, and remembers for whom."""

    verb = "set"
    immediate = False

    def __init__(self) -> None:
        self.performed: list[str] = []

    async def perform(self, attempt: Attempt) -> Outcome:
        self.performed.append(attempt.task)
        await asyncio.sleep(0)
        return Succeeded(value=attempt.fields["value"])

    def perform_now(self, attempt: Attempt) -> Outcome:
        raise AssertionError("not immediate")


def recording(engine: ExecutionEngine) -> Recorder:
    recorder = Recorder()

    def find(verb: str) -> TaskKind:
        return recorder if verb == "set" else find_kind(verb)

    engine.adapters.find_kind = find
    return recorder


@dataclass
class Cut:
    number: int
    image: Image
    performed: list[str] = field(default_factory=list)


async def run_with_cuts(
    plan: Plan, project: Path, state: Path, kind: Literal["kill", "power"]
) -> tuple[list[Cut], dict[str, object]]:
    """One whole run, and what the disk would hold if it were cut before each operation."""
    disk = PowerDisk(seed=1)
    cuts: list[Cut] = []
    recorder: Recorder | None = None

    def before_each(operation: Operation) -> None:
        image = disk.kill_image() if kind == "kill" else disk.power_image(Random(operation.number))
        cuts.append(Cut(operation.number, image, list(recorder.performed) if recorder else []))
        if (state / "blobs").exists():
            unfinished = shutil.ignore_patterns("new")  # a blob has its name once it is whole and synced
            shutil.copytree(state / "blobs", state.parent / "blobs" / str(operation.number), ignore=unfinished)

    try:
        journal = SqliteJournal(state, vfs=disk.name)
        async with ExecutionEngine(project, journal=journal, state=state) as engine:
            recorder = recording(engine)
            disk.before_each = before_each
            result = await engine.run(plan, run_id="run")
            disk.before_each = lambda operation: None
        journal.close()
    finally:
        disk.close()
    assert result.status == "succeeded", result.failure
    return cuts, result.outputs


async def resume_from(cut: Cut, plan: Plan, project: Path, folder: Path, blobs: Path) -> None:
    """What the cut left is folded and driven to its end; nothing recorded is done again, nothing unrecorded was done before."""
    folder.parent.mkdir(exist_ok=True)
    open_state(find_project(project), folder)
    cut.image.write_to(folder)
    if blobs.exists():  # noqa: ASYNC240  a test may wait for its own disk
        shutil.copytree(blobs, folder / "blobs")
    journal = SqliteJournal(folder)
    async with ExecutionEngine(project, journal=journal, state=folder) as engine:
        recorder = recording(engine)
        if journal.row("run") is None:
            assert not cut.performed, "work was done for a run that is not recorded"
            handle = await engine.start(plan, run_id="run")
            recorded: set[str] = set()
        else:
            state = fold(journal, "run")
            begun = {state.name(task) for task in range(len(state.nodes)) if state.attempts[task]}
            assert set(cut.performed) <= begun, "work began before its start was recorded"
            leaves = [
                task
                for task, status in enumerate(state.statuses)
                if status == SUCCEEDED and state.nodes[task].verb == "set"
            ]
            recorded = {state.name(task) for task in leaves}
            if state.over:
                assert state.status == "succeeded"
                return
            handle = await engine.resume("run")
        result = await handle.wait()
        assert result.status == "succeeded", result.failure
        assert result.outputs == OUTPUTS
        assert not recorded & set(recorder.performed), "a recorded result was computed again"
    journal.close()
    assert [finding for finding in verify(folder) if finding.level == "error"] == []


@pytest.mark.parametrize("kind", ["kill", "power"])
@pytest.mark.timeout(600)
async def test_a_run_cut_at_any_operation_goes_on_to_the_same_end(
    kind: Literal["kill", "power"], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / "workflows").mkdir(parents=True)
    (project / "workflows" / "small.yaml").write_text(textwrap.dedent(WORKFLOW))
    plan = compile_plan(load_workflow(project / "workflows" / "small.yaml"))
    state = tmp_path / "state"
    open_state(find_project(project), state)
    cuts, outputs = await run_with_cuts(plan, project, state, kind)
    assert outputs == OUTPUTS
    assert len(cuts) > 30
    assert any(cut.performed for cut in cuts)
    for cut in cuts:
        folder = tmp_path / "cuts" / str(cut.number)
        try:
            await resume_from(cut, plan, project, folder, tmp_path / "blobs" / str(cut.number))
        except BaseException as error:
            error.add_note(f"cut before operation {cut.number} of {len(cuts)}, by {kind}")
            raise
        shutil.rmtree(folder)
