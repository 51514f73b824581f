"""A journal that fails: nothing of what it did not record is done, told or believed, and the run goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.bootstrap import ExecutionEngine, find_kind
from orchestrator.core.events import AttemptStarted, decode_batch
from orchestrator.core.evolve import evolve
from orchestrator.core.plan import Plan
from orchestrator.core.run_state import RunState, wanted
from orchestrator.core.status import SUCCEEDED
from orchestrator.engine.fold import fold
from orchestrator.engine.inbox import Message, encode
from orchestrator.errors import JournalConflictError, JournalError, JournalFullError
from orchestrator.ports.journal import Batch, Done, StreamRow
from orchestrator.ports.task_kind import Attempt, Outcome
from orchestrator.stores.memory import MemoryJournal

WORKLOAD = """
    name: t
    tasks:
      first: {python: 'tasks:one'}
      each: {foreach: [1, 2, 3], max_parallel: 2, set: "${{ item * first }}"}
      flaky: {run: 'echo x >> flaky.log; test "$(wc -l < flaky.log)" -ge 2', retry: {max: 1, delay: 1ms}}
      rounds: {loop: {until: n.v >= 2, max: 3}, tasks: {n: {set: {v: "${{ round }}"}}}}
      nap: {after: [flaky, each], wait: 5ms}
    finally:
      last: {set: "${{ run.status }}"}
    outputs: {sum: "${{ each | sum }}", rounds: "${{ rounds.n.v }}"}
"""


LEAVES = ("python", "set", "run", "wait")


class FailingJournal(MemoryJournal):
    """A memory journal that fails at one append and, as a full disk does, at all that follow until it is mended."""

    def __init__(self, at: int, error: Callable[[], JournalError]) -> None:
        super().__init__()
        self.at = at
        self.error = error
        self.appends = 0

    def append(self, batch: Batch, done: Done) -> None:
        self.appends += 1
        if self.appends >= self.at:
            done(self.error())
        else:
            super().append(batch, done)


class Witness:
    """Stands before every kind and notes each attempt that really began."""

    def __init__(self, engine: ExecutionEngine) -> None:
        self.began: list[tuple[str, int]] = []
        engine.adapters.find_kind = self._find

    def _find(self, verb: str) -> Any:
        return _Watched(find_kind(verb), self.began)


class _Watched:
    def __init__(self, kind: Any, began: list[tuple[str, int]]) -> None:
        self._kind, self._began = kind, began
        self.verb, self.immediate = kind.verb, kind.immediate

    async def perform(self, attempt: Attempt) -> Outcome:
        self._began.append((attempt.task, attempt.number))
        outcome: Outcome = await self._kind.perform(attempt)
        return outcome

    def perform_now(self, attempt: Attempt) -> Outcome:
        self._began.append((attempt.task, attempt.number))
        outcome: Outcome = self._kind.perform_now(attempt)
        return outcome


def recorded_starts(journal: MemoryJournal, run_id: str) -> set[tuple[str, int]]:
    state = RunState(fold(journal, run_id).plan)
    found = set()
    for batch in journal.read(run_id):
        for event in decode_batch(batch.payload).events:
            evolve(state, event)
            if isinstance(event, AttemptStarted):
                found.add((state.name(event.task), state.attempts[event.task]))
    return found


@pytest.fixture
def workload(plan: Callable[..., Plan], project: Path) -> Plan:
    (project / "tasks.py").write_text("def one():\n    return 1\n")
    return plan(WORKLOAD)


async def _appends_of_a_good_run(project: Path, workload: Plan) -> int:
    journal = FailingJournal(10**9, lambda: JournalFullError("never"))
    async with ExecutionEngine(project, journal=journal) as engine:
        result = await engine.run(workload)
        assert result.outputs == {"sum": 6, "rounds": 2}, result.failure
    return journal.appends


@pytest.mark.parametrize("error", [JournalFullError, JournalConflictError], ids=["full", "conflict"])
async def test_a_failing_append_undoes_its_turn_and_the_run_goes_on_later(
    project: Path, workload: Plan, error: type[JournalError]
) -> None:
    appends = await _appends_of_a_good_run(project, workload)
    assert appends > 8
    for at in range(1, appends + 2):
        (project / "flaky.log").unlink(missing_ok=True)
        await _fail_at(project, workload, at, lambda: error("as planned"))


async def _fail_at(project: Path, workload: Plan, at: int, error: Callable[[], JournalError]) -> None:
    journal = FailingJournal(at, error)
    async with ExecutionEngine(project, journal=journal) as engine:
        witness = Witness(engine)
        try:
            result = await engine.run(workload, run_id="r")
        except JournalError as raised:
            help = raised.help or ""
        else:  # the series of appends differs a little from run to run
            assert result.status == "succeeded"
            return
        assert ("resume r" in help or "watch r" in help) == (at > 1)
        assert engine.driving("r") is None
        assert journal.holder("r") is None
        if at == 1:
            assert witness.began == []
            assert engine.runs() == []
            return
        assert set(witness.began) <= recorded_starts(journal, "r"), f"append {at}: more was begun than was recorded"
        before = {name: task.value for name, task in _succeeded(engine).items()}
        journal.at = 10**9
        result = await (await engine.resume("r")).wait()
        assert result.status == "succeeded", (at, result.failure)
        assert result.outputs == {"sum": 6, "rounds": 2}
        assert set(witness.began) <= recorded_starts(journal, "r")
        assert len(witness.began) == len(set(witness.began)), "an attempt began twice"
        for name, value in before.items():
            assert result.tasks[name].value == value
            assert sum(task == name for task, _ in witness.began) == result.tasks[name].attempts


def _succeeded(engine: ExecutionEngine) -> dict[str, Any]:
    return {task.name: task for task in engine.inspect("r").tasks if task.status == "succeeded" and task.verb in LEAVES}


async def test_a_driver_whose_run_was_taken_over_stops_without_another_word(
    plan: Callable[..., Plan], project: Path
) -> None:
    """Somebody else's append: the old driver cannot record what it decided, so it must not act on it or tell of it."""
    journal = MemoryJournal()
    compiled = plan("""
        name: t
        tasks:
          gate: {run: 'echo open; until test -e gate; do sleep 0.02; done'}
          next: {after: gate, run: touch next}
    """)
    told: list[tuple[str, Any]] = []

    def tell(sender: Any, event_type: str, **facts: Any) -> None:
        told.append((event_type, facts))

    async with ExecutionEngine(project, journal=journal) as engine:
        # One delegate for all three: what one delegate is told keeps its order, two delegates have none between them.
        for name in ("engine_stopped", "engine_error_occurred", "task_execution_completed"):
            engine.delegate_manager.register(name, tell)
        handle = await engine.start(compiled, run_id="r")
        async for event in handle.watch():
            if event["type"] == "task_log":
                break
        _somebody_elses_append(journal, "r")
        (project / "gate").touch()
        with pytest.raises(JournalConflictError):
            await handle.wait()
        assert not (project / "next").exists()
        state = fold(journal, "r")
        assert state.statuses[0] != SUCCEEDED
        assert [name for name, _ in told] == ["engine_error_occurred", "engine_stopped"]
        assert told[1][1]["status"] == "running"


def _somebody_elses_append(journal: MemoryJournal, run_id: str) -> None:
    from orchestrator.core.events import HoldSet, encode_batch

    row = journal.row(run_id)
    assert row is not None
    refused: list[Any] = []
    payload = encode_batch(0.0, [HoldSet("theirs", "another driver")])
    journal.append(Batch(stream=run_id, expected=row.last, count=1, payload=payload, row=row), refused.append)
    assert refused == [None]


async def test_a_driver_that_loses_its_journal_neither_cancels_nor_ends_its_children(
    plan: Callable[..., Plan], project: Path
) -> None:
    plan("""
        name: child
        tasks:
          gate: {run: 'until test -e gate; do sleep 0.02; done; echo done'}
        outputs: {said: '${{ gate }}'}
    """, name="child")  # fmt: skip
    compiled = plan("""
        name: t
        tasks:
          call: {workflow: workflows/child.yaml}
          tick: {wait: 1ms}
        outputs: {said: "${{ call.said }}"}
    """)  # fmt: skip
    journal = MemoryJournal()
    async with ExecutionEngine(project, journal=journal) as engine:
        handle = await engine.start(compiled, run_id="r")
        while not (children := engine.runs(parent="r")):  # noqa: ASYNC110  the caller's stream says nothing of its child's birth
            await asyncio.sleep(0)
        child = engine.driving(children[0].stream)
        assert child is not None
        _somebody_elses_append(journal, "r")
        engine.unpause("r", name="nothing")
        with pytest.raises(JournalConflictError):
            await handle.wait()
        assert (await child.wait()).status == "paused"
        (project / "gate").touch()
        engine.unpause("r", name="theirs")
        result = await (await engine.resume("r")).wait()
        assert (result.status, result.outputs) == ("succeeded", {"said": "done"}), result.failure
        assert len(engine.runs(parent="r")) == 1


async def test_a_run_that_died_while_evaluating_evaluates_again(plan: Callable[..., Plan], project: Path) -> None:
    """Every prefix of a journal is where a crash may have left it."""
    compiled = plan("""
        name: t
        inputs: {n: {type: integer, default: 1}}
        tasks:
          a: {when: inputs.n == 1, set: 1}
          each: {foreach: [1, 2], set: "${{ item + a }}"}
          rounds: {loop: {until: round >= 2, max: 3}, set: "${{ round }}"}
          group: {tasks: {x: {set: 1}}, outputs: {y: "${{ x + 1 }}"}}
        outputs: {each: "${{ each }}", y: "${{ group.y }}", rounds: "${{ rounds }}"}
    """)
    whole = MemoryJournal()
    async with ExecutionEngine(project, journal=whole) as engine:
        handle = await engine.start(compiled, run_id="r")
        assert (await handle.wait()).outputs == {"each": [2, 3], "y": 2, "rounds": 2}
    batches, evaluating = list(whole.read("r")), 0
    for cut in range(1, len(batches)):
        journal = MemoryJournal()
        journal._blobs.update(whole._blobs)
        row = StreamRow(stream="r", status="running", workflow=compiled.workflow)
        for batch in batches[:cut]:
            journal.append(
                Batch(stream="r", expected=batch.first - 1, count=batch.count, payload=batch.payload, row=row),
                _must_hold,
            )
        evaluating += bool(wanted(fold(journal, "r")))
        async with ExecutionEngine(project, journal=journal) as engine:
            result = await (await engine.resume("r")).wait()
            assert result.outputs == {"each": [2, 3], "y": 2, "rounds": 2}, f"cut after batch {cut}"
    assert evaluating > 2


def _must_hold(error: BaseException | None) -> None:
    assert error is None, error


async def test_a_child_that_ends_before_its_caller_parks_still_wakes_it(
    plan: Callable[..., Plan], project: Path
) -> None:
    """The word of the child's end comes while the caller's attempt, which saw it waiting, is not recorded yet."""
    plan("name: child\ntasks:\n  ok: {ask: 'Go on?'}\noutputs: {ok: '${{ ok.approve }}'}\n", name="child")
    compiled = plan("""
        name: t
        tasks:
          call: {workflow: workflows/child.yaml}
        outputs: {ok: "${{ call.ok }}"}
    """)
    async with ExecutionEngine(project, journal=MemoryJournal()) as engine:
        calls = engine.services.runs
        call = calls.call

        async def slow_call(*words: Any, **options: Any) -> Any:
            result = await call(*words, **options)
            if result.status == "waiting":
                engine.answer(result.run_id, None, {"approve": True}, by="ada")
                assert (await (await engine.resume(result.run_id)).wait()).status == "succeeded"
                for _ in range(20):  # turns of the loop in which the caller may read it, too early
                    await asyncio.sleep(0)
            return result

        calls.call = slow_call  # type: ignore[method-assign]
        result = await engine.run(compiled, run_id="r")
        assert (result.status, result.outputs) == ("succeeded", {"ok": True})
        assert engine.journal.inbox("r") == []


class LateLetter(MemoryJournal):
    """Somebody answers just after the driver's last look at the inbox, and the knock is late."""

    sent = False

    def append(self, batch: Batch, done: Done) -> None:
        super().append(batch, done)
        if batch.row.status == "waiting" and not self.sent:
            self.sent = self.send(batch.stream, "k", encode(Message(kind="answer", value={"go": True}, by="ada")))

    def listen(self, stream: str, callback: Callable[[str], None], *, events: bool = False) -> Callable[[], None]:
        return lambda: None


async def test_a_message_that_comes_while_a_run_parks_is_not_missed(plan: Callable[..., Plan], project: Path) -> None:
    compiled = plan("""
        name: t
        tasks:
          ok: {ask: 'Go on?', form: {go: boolean}}
          b: {set: "${{ ok.go }}"}
    """)
    async with ExecutionEngine(project, journal=LateLetter()) as engine:
        result = await engine.run(compiled)
    assert result.status == "succeeded"
    assert result.tasks["b"].value is True
