"""An attempt that asks a person in its midst: it parks as a question does, and goes on with every answer it was given."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.bootstrap import ExecutionEngine, find_kind
from orchestrator.core.plan import Plan
from orchestrator.errors import JournalFullError, UsageError
from orchestrator.kinds._kind import WaitingKind
from orchestrator.kinds._tools import asking
from orchestrator.ports.journal import Batch, Done
from orchestrator.ports.task_kind import Asking, Attempt, Parked, Succeeded
from orchestrator.ports.tool import Question
from orchestrator.stores.memory import MemoryJournal

FORM: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "polite": {"type": "boolean", "default": True}},
    "required": ["name"],
}


class Interviewer(WaitingKind):
    """Stands in for `python`: asks what it does not know yet, one thing after the other, then tells all it heard."""

    verb = "python"

    def __init__(self, *questions: Question) -> None:
        self.questions = questions
        self.knew: list[list[str]] = []
        """What it knew whenever it began."""
        self.gate: asyncio.Event | None = None
        self.began = asyncio.Event()
        self.works: Callable[[], None] = lambda: None

    async def perform(self, attempt: Attempt) -> Succeeded | Asking | Parked:
        self.knew.append(sorted(attempt.answers))
        self.began.set()
        self.works()
        if self.gate is not None:
            await self.gate.wait()
        for question in self.questions:
            if question.key not in attempt.answers:
                return asking(question, attempt.now)
        return Succeeded(value=attempt.answers)


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.at = 1_900_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def question(key: str, **more: Any) -> Question:
    return Question(key=key, question=f"What of {key}?", schema=FORM, **more)


def interviewing(engine: ExecutionEngine, *questions: Question) -> Interviewer:
    kind = Interviewer(*questions)
    engine.adapters.find_kind = lambda verb: kind if verb == "python" else find_kind(verb)
    return kind


def flow(**task: Any) -> str:
    """One task that asks, and one that needs it."""
    fields = "".join(f", {name}: {value}" for name, value in task.items())
    return f"""
        name: t
        tasks:
          talk: {{python: 'x:y'{fields}}}
          told: {{set: "${{{{ tasks.talk.attempts }}}} ${{{{ tasks.talk.answered_by }}}} ${{{{ talk.a.name }}}}"}}
    """


async def seen(engine: ExecutionEngine, run_id: str) -> list[dict[str, Any]]:
    return [event async for event in engine.watch(run_id)]


async def test_questions_come_one_after_another_and_the_attempt_stays_the_same(
    engine: ExecutionEngine, plan: Callable[..., Plan]
) -> None:
    kind = interviewing(engine, question("a", show={"n": 1}, to=("ops",)), question("b"))
    handle = await engine.start(plan(flow()))
    first = await handle.wait()
    assert first.status == "waiting"
    assert engine.journal.holder(handle.run_id) is None
    asked = first.tasks["talk"].question
    assert asked is not None
    assert (asked["question"], asked["show"], asked["to"], asked["key"]) == ("What of a?", {"n": 1}, ["ops"], "a")
    with pytest.raises(UsageError, match="name"):
        engine.answer(handle.run_id, "talk", {"name": 7})

    engine.answer(handle.run_id, "talk", {"name": "Ann"}, by="ada")
    second = await (await engine.resume(handle.run_id)).wait()
    assert second.status == "waiting"
    assert second.tasks["talk"].question["key"] == "b"  # type: ignore[index]
    engine.answer(handle.run_id, None, {"name": "Bob", "polite": False}, by="ben")
    last = await (await engine.resume(handle.run_id)).wait()

    assert last.status == "succeeded", last.failure
    assert last.tasks["talk"].value == {"a": {"name": "Ann", "polite": True}, "b": {"name": "Bob", "polite": False}}
    assert last.tasks["told"].value == "1 ben Ann"
    assert kind.knew == [[], ["a"], ["a", "b"]]
    view = last.tasks["talk"]
    assert (view.attempts, view.question) == (1, None)
    assert [(one["key"], one["question"], one["value"]["name"], one["by"]) for one in view.answers] == [
        ("a", "What of a?", "Ann", "ada"),
        ("b", "What of b?", "Bob", "ben"),
    ]
    told = await seen(engine, handle.run_id)
    assert [event["attempt"] for event in told if event["type"] == "task_started" and event["task"] == "talk"] == [
        1,
        1,
        1,
    ]
    answered = [(event["key"], event["by"]) for event in told if event["type"] == "task_answered"]
    assert answered == [("a", "ada"), ("b", "ben")]


async def test_whoever_drives_the_run_may_answer_at_once(engine: ExecutionEngine, plan: Callable[..., Plan]) -> None:
    interviewing(engine, question("a"), question("b"))
    handle = await engine.start(plan(flow()), park=False)
    async for event in handle.watch():
        if event["type"] == "task_asked":
            handle.answer("talk", {"name": event["key"]}, by="ada", question=event["key"])
    assert (await handle.wait()).tasks["told"].value == "1 ada a"


async def test_an_answer_never_counts_for_the_next_question(engine: ExecutionEngine, plan: Callable[..., Plan]) -> None:
    interviewing(engine, question("a"), question("b"))
    handle = await engine.start(plan(flow()))
    await handle.wait()
    # Two people read the first question; both their answers are on their way before anybody drives the run.
    engine.answer(handle.run_id, "talk", {"name": "Ann"}, by="ada")
    engine.answer(handle.run_id, "talk", {"name": "Eve"}, by="eve")
    result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "waiting"
    assert result.tasks["talk"].question["key"] == "b"  # type: ignore[index]
    assert [one["by"] for one in result.tasks["talk"].answers] == ["ada"]
    with pytest.raises(UsageError, match="something else"):
        engine.answer(handle.run_id, "talk", {"name": "Eve"}, by="eve", question="a")


async def test_the_time_that_people_take_counts_against_no_limit(plan: Callable[..., Plan], project: Path) -> None:
    clock = Clock()
    async with ExecutionEngine(project, journal=MemoryJournal(), clock=clock) as engine:
        kind = interviewing(engine, question("a"), question("b"))

        def works() -> None:
            clock.at += 4.0

        kind.works = works
        handle = await engine.start(plan(flow(timeout="13s", retry="{max: 1, for: 15s}")))
        await handle.wait()
        for name in ("a", "b"):
            clock.at += 3600.0
            engine.answer(handle.run_id, "talk", {"name": name}, by="ada")
            result = await (await engine.resume(handle.run_id)).wait()
        assert result.status == "succeeded", result.failure
        assert len(kind.knew) == 3


async def test_the_time_worked_before_a_question_counts_against_the_timeout(
    plan: Callable[..., Plan], project: Path
) -> None:
    clock = Clock()
    async with ExecutionEngine(project, journal=MemoryJournal(), clock=clock) as engine:
        kind = interviewing(engine, question("a"))

        def works() -> None:
            clock.at += 8.0

        kind.works = works
        deadlines: list[float] = []
        perform = kind.perform

        async def noting(attempt: Attempt) -> Any:
            assert attempt.deadline is not None
            deadlines.append(attempt.deadline - attempt.now)
            return await perform(attempt)

        kind.perform = noting  # type: ignore[method-assign]
        handle = await engine.start(plan(flow(timeout="10s")))
        await handle.wait()
        engine.answer(handle.run_id, "talk", {"name": "Ann"})
        await (await engine.resume(handle.run_id)).wait()
        assert deadlines == [10.0, 2.0]


@pytest.mark.parametrize("silent", [True, False])
async def test_nobody_answers_in_time(engine: ExecutionEngine, plan: Callable[..., Plan], silent: bool) -> None:
    default = None if silent else {"name": "nobody", "polite": False}
    interviewing(engine, question("a", expires=0.05, on_expired=default))
    result = await (await engine.start(plan(flow(on_error="continue", retry="2")), park=False)).wait()
    talk = result.tasks["talk"]
    if silent:
        assert talk.failure is not None
        assert (talk.status, talk.failure["type"], talk.attempts) == ("failed", "timeout", 1)
    else:
        assert talk.value == {"a": default}
        assert [one["by"] for one in talk.answers] == ["expiry"]


async def test_a_question_expires_from_when_it_is_asked(plan: Callable[..., Plan], project: Path) -> None:
    clock = Clock()
    async with ExecutionEngine(project, journal=MemoryJournal(), clock=clock) as engine:
        kind = interviewing(engine, question("a", expires=60.0))

        def works() -> None:
            clock.at += 100.0

        kind.works = works
        handle = await engine.start(plan(flow()))
        result = await handle.wait()
        assert result.tasks["talk"].question["expires_at"] == clock.at + 60.0  # type: ignore[index]
        row = engine.journal.row(handle.run_id)
        assert row is not None
        assert row.wake_at == clock.at + 60.0


async def test_a_retry_still_knows_what_was_answered(engine: ExecutionEngine, plan: Callable[..., Plan]) -> None:
    kind = interviewing(engine, question("a"))
    calls = 0
    perform = kind.perform

    async def fails_once_it_knows(attempt: Attempt) -> Any:
        nonlocal calls
        calls += bool(attempt.answers)
        if calls == 1 and attempt.answers:
            raise ConnectionError("gone")
        return await perform(attempt)

    kind.perform = fails_once_it_knows  # type: ignore[method-assign]
    begun: list[int] = []
    engine.get_delegate_manager().register(
        "task_execution_started",
        lambda sender, event, **told: begun.append(told["task_details"]["attempt"]),
        where=lambda told: told["task_id"] == "talk",
    )
    handle = await engine.start(plan(flow(retry="{max: 1, delay: 1ms}")))
    await handle.wait()
    engine.answer(handle.run_id, "talk", {"name": "Ann"}, by="ada")
    result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "succeeded", result.failure
    assert result.tasks["talk"].attempts == 2
    assert begun == [1, 2]


async def test_asking_again_what_was_answered_fails_rather_than_going_round(
    engine: ExecutionEngine, plan: Callable[..., Plan]
) -> None:
    kind = interviewing(engine)

    async def deaf(attempt: Attempt) -> Asking:
        return asking(question("a"), attempt.now)

    kind.perform = deaf  # type: ignore[method-assign]
    handle = await engine.start(plan(flow()))
    await handle.wait()
    engine.answer(handle.run_id, "talk", {"name": "Ann"})
    result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "failed"
    assert "asks again" in result.failure["message"]  # type: ignore[index]


async def test_a_hold_keeps_an_answered_attempt_from_going_on(
    engine: ExecutionEngine, plan: Callable[..., Plan]
) -> None:
    kind = interviewing(engine, question("a"))
    handle = await engine.start(plan(flow()), park=False)
    async for event in handle.watch():
        if event["type"] == "task_asked":
            handle.pause("lunch", by="ada")
            handle.answer("talk", {"name": "Ann"}, by="ada")
        if event["type"] == "run_status" and event["status"] == "paused" and len(kind.knew) == 1:
            view = handle.view()
            if next(task for task in view.tasks if task.name == "talk").question is None:
                handle.unpause("lunch", by="ada")
    assert (await handle.wait()).status == "succeeded"
    assert kind.knew == [[], ["a"]]


async def test_a_run_is_cancelled_or_stopped_while_it_asks(engine: ExecutionEngine, plan: Callable[..., Plan]) -> None:
    interviewing(engine, question("a"))
    handle = await engine.start(plan(flow()))
    await handle.wait()
    engine.stop(handle.run_id, grace=0.0, by="ada")
    stopped = await (await engine.resume(handle.run_id)).wait()
    assert (stopped.status, stopped.tasks["talk"].question is not None) == ("paused", True)
    engine.cancel(handle.run_id, by="ada")
    result = await (await engine.resume(handle.run_id)).wait()
    assert (result.status, result.tasks["talk"].status) == ("cancelled", "cancelled")
    with pytest.raises(UsageError, match="over"):
        engine.answer(handle.run_id, "talk", {"name": "Ann"})


async def test_why_says_what_an_attempt_waits_for(engine: ExecutionEngine, plan: Callable[..., Plan]) -> None:
    interviewing(engine, question("a"))
    handle = await engine.start(plan(flow()))
    await handle.wait()
    why = engine.why(handle.run_id, "talk")
    assert (why["status"], why["question"]["question"], why["attempts"]) == ("sleeping", "What of a?", 1)


class Mortal(MemoryJournal):
    """Fails for good at one append, as a killed process does; its contents go on in the next life."""

    dies_at = 10**9
    appends = 0

    def append(self, batch: Batch, done: Done) -> None:
        self.appends += 1
        if self.appends >= self.dies_at:
            done(JournalFullError("killed"))
        else:
            super().append(batch, done)


async def lives(plan: Plan, project: Path, dies_at: int) -> tuple[Mortal, list[list[str]]]:
    """A run whose driver dies at one append, then is driven to its end; what the attempt knew at each start."""
    journal = Mortal()
    journal.dies_at = dies_at
    run_id, knew = "", []
    async with ExecutionEngine(project, journal=journal) as engine:
        kind = interviewing(engine, question("a"), question("b"))
        for _ in range(50):
            try:
                handle = await (engine.resume(run_id) if run_id else engine.start(plan))
                run_id = handle.run_id
                result = await handle.wait()
            except JournalFullError:
                journal.dies_at = 10**9
                rows = journal.rows()
                run_id = rows[0].stream if rows else ""
                continue
            if result.status != "waiting":
                break
            open_question = result.tasks["talk"].question
            assert open_question is not None
            engine.answer(run_id, "talk", {"name": open_question["key"]}, by="ada")
        knew = kind.knew
        assert result.status == "succeeded", result.failure
        assert result.tasks["talk"].value == {key: {"name": key, "polite": True} for key in ("a", "b")}
    return journal, knew


async def test_a_driver_that_dies_at_any_commit_loses_no_answer(plan: Callable[..., Plan], project: Path) -> None:
    compiled = plan(flow())
    whole, _ = await lives(compiled, project, 10**9)
    assert whole.appends >= 6
    for dies_at in range(1, whole.appends + 1):
        _, knew = await lives(compiled, project, dies_at)
        # Never forgotten once it was heard, and begun anew at most once for the one death.
        assert all(len(before) <= len(after) for before, after in itertools.pairwise(knew)), (dies_at, knew)
        assert len(knew) <= 4, (dies_at, knew)


@pytest.mark.parametrize("answered", [True, False])
async def test_what_an_attempt_cost_before_it_asked_is_told_at_once_and_once(
    engine: ExecutionEngine, plan: Callable[..., Plan], answered: bool
) -> None:
    kind = interviewing(engine, question("a"), question("b"))
    perform = kind.perform

    async def dearly(attempt: Attempt) -> Any:
        outcome = await perform(attempt)
        outcome.cost = 1.0 + len(attempt.answers)  # all of it, each time
        return outcome

    kind.perform = dearly  # type: ignore[method-assign]
    handle = await engine.start(plan(flow()))
    assert (await handle.wait()).cost == 1.0
    engine.answer(handle.run_id, "talk", {"name": "Ann"})
    assert (await (await engine.resume(handle.run_id)).wait()).cost == 2.0
    if answered:
        engine.answer(handle.run_id, "talk", {"name": "Bob"})
    else:
        engine.cancel(handle.run_id)
    result = await (await engine.resume(handle.run_id)).wait()
    assert result.tasks["talk"].cost == result.cost == (3.0 if answered else 2.0)
