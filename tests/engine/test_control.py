"""Steering a run: holds, stop, cancel, answers, resume, rerun, several processes' words to one run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.bootstrap import ExecutionEngine
from orchestrator.core.inputs import AttemptSucceeded
from orchestrator.core.plan import Plan
from orchestrator.engine.handle import RunHandle
from orchestrator.engine.queueing import ConcurrencySkippedError
from orchestrator.errors import (
    CredentialsError,
    InvalidInputsError,
    JournalFullError,
    NotFoundError,
    NotYetError,
    RunBusyError,
    UsageError,
)
from orchestrator.ports.journal import Batch, Done
from orchestrator.stores.memory import MemoryJournal


async def until(handle: RunHandle, type: str, **fields: Any) -> dict[str, Any]:
    """The first event of a type (with these fields) in a run's stream."""
    async for event in handle.watch():
        if event["type"] == type and all(event.get(name) == value for name, value in fields.items()):
            return event
    raise AssertionError(f"the run ended without {type} {fields}")


GATED = """
    name: t
    tasks:
      first: {run: 'until test -e gate; do sleep 0.02; done; echo one'}
      second: {set: "${{ first }} two"}
"""


async def test_a_hold_lets_running_work_finish_and_starts_nothing_new(
    engine: ExecutionEngine, plan: Callable[..., Plan], project: Path
) -> None:
    handle = await engine.start(plan(GATED))
    await until(handle, "task_started", task="first")
    handle.pause("lunch", by="ada", reason="away")
    await until(handle, "hold_set", name="lunch")
    (project / "gate").touch()
    await until(handle, "run_status", status="paused")
    view = handle.view()
    assert {task.name: task.status for task in view.tasks} == {"first": "succeeded", "second": "ready"}
    assert view.holds["lunch"]["by"] == "ada"
    assert "lunch" in engine.why(handle.run_id, "second")["reason"]
    handle.unpause("lunch", by="ada")
    result = await handle.wait()
    assert result.status == "succeeded"
    assert result.tasks["second"].value == "one two"


async def test_a_stopped_run_is_resumable_and_repeats_only_what_was_cut(
    engine: ExecutionEngine, plan: Callable[..., Plan], project: Path
) -> None:
    text = """
        name: t
        tasks:
          done: {run: 'echo x >> done.log; echo ok'}
          slow: {after: done, run: 'echo x >> slow.log; echo begun; test -e gate || sleep 60; echo slow'}
    """
    handle = await engine.start(plan(text))
    await until(handle, "task_log", task="slow")
    handle.stop(grace=0.0, by="ada")
    result = await handle.wait()
    assert result.status == "paused"
    assert result.tasks["slow"].status == "ready"
    (project / "gate").touch()
    result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "succeeded"
    assert (project / "done.log").read_text() == "x\n"
    assert (project / "slow.log").read_text() == "x\nx\n"
    assert result.tasks["slow"].attempts == 2


async def test_a_first_stop_drains_running_work(
    engine: ExecutionEngine, plan: Callable[..., Plan], project: Path
) -> None:
    handle = await engine.start(plan(GATED))
    await until(handle, "task_started", task="first")
    handle.stop(grace=30.0, by="ada")
    await until(handle, "stop_requested")
    (project / "gate").touch()
    result = await handle.wait()
    assert result.status == "paused"
    assert result.tasks["first"].status == "succeeded"
    assert result.tasks["second"].status == "ready"
    assert (await (await engine.resume(handle.run_id)).wait()).status == "succeeded"


async def test_a_stop_leaves_a_run_resumable_whose_agent_waits_or_answers(
    engine: ExecutionEngine, plan: Callable[..., Plan]
) -> None:
    text = """
        name: t
        agents:
          waits: {model: embedded/writer, ai_config: {retry_delay: 60s, extra: {fail: overloaded, fail_times: 1}}}
          talks: {model: embedded/writer, ai_config: {extra: {pace: 0.05}}}
        tasks:
          a: {agent: waits, prompt: Bridges hum. They are long and thin.}
          b: {agent: talks, prompt: Bridges hum. They are long and thin.}
    """
    handle = await engine.start(plan(text))
    seen: set[str] = set()
    async for event in handle.watch():
        seen.add(event["type"])
        if {"task_progress", "task_chunk"} <= seen:
            break
    handle.stop(grace=30.0, by="ada")
    assert (await handle.wait()).status == "paused"
    result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "succeeded"
    assert [result.tasks[task].attempts for task in "ab"] == [2, 2]


async def test_an_at_most_once_task_that_was_cut_asks_a_person(
    engine: ExecutionEngine, plan: Callable[..., Plan]
) -> None:
    text = """
        name: t
        tasks:
          pay: {run: sleep 60, effect: at_most_once}
          after: {set: "${{ pay }}"}
    """
    handle = await engine.start(plan(text))
    await until(handle, "task_started", task="pay")
    handle.stop(grace=0.0, by="ada")
    result = await handle.wait()
    assert result.tasks["pay"].status == "unknown"
    handle = await engine.resume(handle.run_id)
    assert (await handle.wait()).status == "waiting"
    engine.resolve(handle.run_id, "pay", "succeeded", value={"receipt": 7}, by="ada")
    result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "succeeded"
    assert result.tasks["after"].value == {"receipt": 7}
    assert result.tasks["pay"].by == "ada"


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_a_result_that_comes_with_a_stop_or_a_cancel_still_counts(
    engine: ExecutionEngine, plan: Callable[..., Plan], how: str
) -> None:
    compiled = plan("name: t\ntasks:\n  pay: {run: sleep 60, effect: at_most_once}\n  b: {after: pay, run: sleep 60}\n")
    handle = await engine.start(compiled)
    await until(handle, "task_started", task="pay")
    actor = handle._running.actor
    assert actor is not None
    if how == "stop":
        handle.stop(grace=0.0, by="ada")
    else:
        handle.cancel(by="ada")
    actor.post(AttemptSucceeded(0, 1, b'"paid"'))
    result = await handle.wait()
    assert result.tasks["pay"].status == "succeeded"
    assert result.status == {"stop": "paused", "cancel": "cancelled"}[how]


async def test_cancel_ends_everything_and_finally_still_runs(
    engine: ExecutionEngine, plan: Callable[..., Plan]
) -> None:
    text = """
        name: t
        tasks:
          slow: {run: sleep 60}
        finally:
          note: {set: "${{ run.status }}"}
    """
    handle = await engine.start(plan(text))
    await until(handle, "task_started", task="slow")
    handle.cancel(by="ada", reason="no more")
    result = await handle.wait()
    assert result.status == "cancelled"
    assert result.tasks["slow"].status == "cancelled"
    assert result.tasks["note"].value == "cancelled"


ASKS = """
    name: t
    tasks:
      ok: {ask: 'Go on?', form: {go: boolean, note: {type: string, default: none}}}
      then: {when: ok.go, set: "${{ ok.note }} ${{ tasks.ok.answered_by }}"}
"""


async def test_a_question_parks_the_run_and_an_answer_goes_on(
    engine: ExecutionEngine, plan: Callable[..., Plan]
) -> None:
    handle = await engine.start(plan(ASKS))
    result = await handle.wait()
    assert result.status == "waiting"
    assert engine.journal.holder(handle.run_id) is None
    with pytest.raises(UsageError, match="go"):
        engine.answer(handle.run_id, "ok", {"go": "perhaps"})
    with pytest.raises(NotFoundError):
        engine.answer(handle.run_id, "nothing", {"go": True})
    engine.answer(handle.run_id, None, {"go": True}, by="ada")
    result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "succeeded"
    assert result.tasks["then"].value == "none ada"


async def test_a_question_nobody_answers_expires(engine: ExecutionEngine, plan: Callable[..., Plan]) -> None:
    text = """
        name: t
        tasks:
          ok: {ask: 'Go on?', form: {go: boolean}, expires: 50ms, on_expired: {go: false}}
          skipped: {ask: 'And?', expires: 50ms, on_expired: skip}
          failed: {ask: 'So?', expires: 50ms, on_error: continue}
    """
    handle = await engine.start(plan(text), park=False)
    result = await handle.wait()
    assert result.status == "succeeded", result.failure
    assert result.tasks["ok"].value == {"go": False}
    assert result.tasks["skipped"].status == "skipped"
    assert result.tasks["failed"].failure["type"] == "timeout"


async def test_only_one_driver_at_a_time(engine: ExecutionEngine, plan: Callable[..., Plan], project: Path) -> None:
    handle = await engine.start(plan(GATED))
    async with ExecutionEngine(project, journal=engine.journal) as other:
        with pytest.raises(RunBusyError, match="pid"):
            await other.resume(handle.run_id)
        other.pause(handle.run_id, by="other")
        await until(handle, "hold_set", name="user")
        (project / "gate").touch()
        await until(handle, "run_status", status="paused")
        other.unpause(handle.run_id, by="other")
        assert (await handle.wait()).status == "succeeded"


async def test_a_finished_run_cannot_be_resumed_or_cancelled(
    engine: ExecutionEngine, plan: Callable[..., Plan]
) -> None:
    result = await engine.run(plan("name: t\ntasks:\n  a: {set: 1}\n"))
    with pytest.raises(UsageError, match="over"):
        await engine.resume(result.run_id)
    with pytest.raises(UsageError, match="over"):
        engine.cancel(result.run_id)


PARTIAL = """
    name: t
    tasks:
      list: {run: 'echo x >> list.log; echo ''["a", "b", "c"]''', output: [string]}
      each:
        foreach: list
        max_parallel: 1
        key: item
        on_item_error: collect
        run: 'echo "${{ item }}" >> each.log; test "${{ item }}" != b || test -e fixed'
      count: {run: 'echo x >> count.log; echo "${{ each.ok | length }}"'}
"""


async def test_rerun_does_only_what_failed_and_what_follows(
    engine: ExecutionEngine, plan: Callable[..., Plan], project: Path
) -> None:
    compiled = plan(PARTIAL)
    first = await engine.run(compiled)
    assert first.tasks["count"].value == "2"
    (project / "fixed").touch()
    second = await (await engine.rerun(first.run_id, failed=True)).wait()
    assert second.status == "succeeded"
    assert second.tasks["count"].value == "3"
    assert second.tasks["each[a]"].reused == first.run_id
    assert (project / "each.log").read_text().split() == ["a", "b", "c", "b"]
    assert (project / "list.log").read_text() == "x\n"
    assert (project / "count.log").read_text() == "x\nx\n"


async def test_rerun_from_a_task_or_an_item_reuses_what_stands_before(
    engine: ExecutionEngine, plan: Callable[..., Plan], project: Path
) -> None:
    compiled = plan(PARTIAL)
    (project / "fixed").touch()
    first = await engine.run(compiled)
    await (await engine.rerun(first.run_id, from_task="count")).wait()
    assert (project / "each.log").read_text().split() == ["a", "b", "c"]
    one = await (await engine.rerun(first.run_id, from_task="each[c]")).wait()
    assert one.status == "succeeded"
    assert (project / "each.log").read_text().split() == ["a", "b", "c", "c"]
    with pytest.raises(NotFoundError, match="eech"):
        await engine.rerun(first.run_id, from_task="eech")


async def test_rerun_with_the_latest_file_reuses_what_still_does_the_same(
    engine: ExecutionEngine, plan: Callable[..., Plan], project: Path
) -> None:
    first = await engine.run(
        plan("name: t\ntasks:\n  a: {run: 'echo x >> a.log; echo 1'}\n  b: {run: 'echo old ${{ a }}'}\n")
    )
    latest = plan("name: t\ntasks:\n  a: {run: 'echo x >> a.log; echo 1'}\n  b: {run: 'echo new ${{ a }}'}\n")
    second = await (await engine.rerun(first.run_id, failed=True, plan=latest)).wait()
    assert second.tasks["b"].value == "new 1"
    assert (project / "a.log").read_text() == "x\n"


async def test_inputs_are_checked_before_anything_starts(engine: ExecutionEngine, plan: Callable[..., Plan]) -> None:
    compiled = plan(
        "name: t\ninputs: {n: integer 1.., s: {type: string, default: x}}\ntasks:\n  a: {set: '${{ inputs.n }}'}\n"
    )
    with pytest.raises(InvalidInputsError) as caught:
        await engine.start(compiled, {"m": 1, "s": 3})
    assert len(caught.value.problems) == 3
    assert engine.runs() == []


async def test_a_missing_secret_is_named_before_anything_starts(
    engine: ExecutionEngine, plan: Callable[..., Plan]
) -> None:
    compiled = plan(
        "name: t\nsecrets: [DEPLOY_KEY]\ntasks:\n  a: {run: 'true', env: {K: '${{ secrets.DEPLOY_KEY }}'}}\n"
    )
    with pytest.raises(CredentialsError, match="DEPLOY_KEY"):
        await engine.start(compiled)


async def test_a_secret_never_reaches_a_result(plan: Callable[..., Plan], project: Path) -> None:
    compiled = plan("""
        name: t
        secrets: [DEPLOY_KEY]
        tasks:
          a: {run: 'echo "$K"; echo "$K" | base64; echo "$K" >&2', env: {K: '${{ secrets.DEPLOY_KEY }}'}}
          b: {run: 'echo "$K" >&2; exit 3', env: {K: '${{ secrets.DEPLOY_KEY }}'}, on_error: continue}
    """)  # fmt: skip
    journal = MemoryJournal()
    secret = "canary-8f3a-not-to-be-seen"
    environ = {"DEPLOY_KEY": secret, "PATH": "/usr/bin:/bin"}
    async with ExecutionEngine(project, journal=journal, environ=environ) as engine:
        handle = await engine.start(compiled)
        result = await handle.wait()
        assert result.status == "succeeded", result.failure
        stored = b"".join(batch.payload for batch in journal.read(handle.run_id))
        logs = b"".join(path.read_bytes() for path in engine.adapters.state.rglob("*.log"))
    assert secret.encode() not in stored + logs
    assert b"***" in logs


async def test_what_a_later_version_owns_is_refused_and_named(
    engine: ExecutionEngine, plan: Callable[..., Plan]
) -> None:
    compiled = plan("name: t\nmailboxes: [inbox]\ntasks:\n  a: {send: {mail: inbox, body: hello}}\n")
    with pytest.raises(NotYetError, match="send"):
        await engine.start(compiled)


async def test_one_run_of_a_key_at_a_time(engine: ExecutionEngine, plan: Callable[..., Plan], project: Path) -> None:
    compiled = plan(
        "name: t\nconcurrency: {key: deploy}\n" + GATED.replace("    name: t\n", "").replace("\n    ", "\n")
    )
    first = await engine.start(compiled)
    await until(first, "task_started", task="first")
    second = await engine.start(compiled)
    await until(second, "run_status", status="paused")
    assert "concurrency" in second.view().holds
    (project / "gate").touch()
    assert (await first.wait()).status == "succeeded"
    assert (await second.wait()).status == "succeeded"


EXCLUSIVE = """
    name: t
    concurrency: {key: deploy, max: 2}
    tasks:
      a: {run: 'mkdir "place-$$"; test "$(ls -d place-* | wc -l)" -le 2 || touch crowded; sleep 0.05; rmdir "place-$$"'}
"""


async def test_runs_that_begin_in_the_same_instant_share_the_places_of_their_key(
    engine: ExecutionEngine, plan: Callable[..., Plan], project: Path
) -> None:
    compiled = plan(EXCLUSIVE)
    results = await asyncio.gather(*(engine.run(compiled) for _ in range(5)))
    assert [result.status for result in results] == ["succeeded"] * 5
    assert not (project / "crowded").exists()


async def test_a_resumed_run_waits_for_a_place_of_its_key(
    engine: ExecutionEngine, plan: Callable[..., Plan], project: Path
) -> None:
    compiled = plan("""
        name: t
        concurrency: {key: deploy}
        tasks:
          ok: {ask: 'Go on?', form: {go: boolean}}
          gate: {after: ok, run: 'until test -e gate; do sleep 0.02; done'}
    """)
    first = await engine.run(compiled)
    engine.answer(first.run_id, None, {"go": True})
    second = await engine.start(compiled)
    await second.wait()
    engine.answer(second.run_id, None, {"go": True})
    goes = await engine.resume(second.run_id)
    await until(goes, "task_started", task="gate")
    waits = await engine.resume(first.run_id)
    await until(waits, "hold_set", name="concurrency")
    (project / "gate").touch()
    assert [(await handle.wait()).status for handle in (goes, waits)] == ["succeeded", "succeeded"]


async def test_a_run_that_is_skipped_leaves_nothing_claimed(
    engine: ExecutionEngine, plan: Callable[..., Plan], project: Path
) -> None:
    compiled = plan(
        "name: t\nconcurrency: {key: k, on_conflict: skip}\ntasks:\n  a: {run: 'echo b; until test -e gate; do sleep 0.02; done'}\n"
    )
    first = await engine.start(compiled)
    with pytest.raises(ConcurrencySkippedError, match=first.run_id):
        await engine.start(compiled, run_id="other")
    assert engine.journal.holder("other") is None
    (project / "gate").touch()
    await first.wait()
    assert (await engine.run(compiled, run_id="other")).status == "succeeded"


class FullJournal(MemoryJournal):
    """A memory journal whose disk can be full."""

    full = False

    def append(self, batch: Batch, done: Done) -> None:
        if self.full:
            done(JournalFullError("the disk is full"))
        else:
            super().append(batch, done)


async def test_a_full_disk_stops_the_run_with_nothing_lost(plan: Callable[..., Plan], project: Path) -> None:
    journal = FullJournal()
    async with ExecutionEngine(project, journal=journal) as engine:
        handle = await engine.start(plan(GATED))
        await until(handle, "task_started", task="first")
        journal.full = True
        (project / "gate").touch()
        with pytest.raises(JournalFullError):
            await handle.wait()
        journal.full = False
        result = await (await engine.resume(handle.run_id)).wait()
        assert result.status == "succeeded"


async def test_a_child_that_asks_parks_its_caller_too(engine: ExecutionEngine, plan: Callable[..., Plan]) -> None:
    plan(ASKS + "    outputs: {said: '${{ ok.note }}'}\n", name="child")
    compiled = plan("""
        name: t
        tasks:
          call: {workflow: workflows/child.yaml}
          after: {set: "${{ call.said }}"}
    """)
    handle = await engine.start(compiled)
    result = await handle.wait()
    assert result.status == "waiting"
    (child,) = engine.runs(parent=handle.run_id)
    engine.answer(child.stream, "ok", {"go": True, "note": "yes"}, by="ada")
    assert (await (await engine.resume(child.stream)).wait()).status == "succeeded"
    result = await (await engine.resume(handle.run_id)).wait()
    assert result.status == "succeeded", result.failure
    assert result.tasks["after"].value == "yes"


async def test_cancelling_a_caller_cancels_its_child(engine: ExecutionEngine, plan: Callable[..., Plan]) -> None:
    plan("name: child\ntasks:\n  slow: {run: sleep 60}\n", name="child")
    handle = await engine.start(plan("name: t\ntasks:\n  call: {workflow: workflows/child.yaml}\n"))
    await until(handle, "task_started", task="call")
    # The caller's stream says nothing of its child's birth.
    while not (children := engine.runs(parent=handle.run_id)):  # noqa: ASYNC110
        await asyncio.sleep(0)
    child = engine.driving(children[0].stream)
    assert child is not None
    await until(child, "task_started", task="slow")
    handle.cancel(by="ada")
    assert (await handle.wait()).status == "cancelled"
    result = await child.wait()
    assert result.status == "cancelled", result.failure


async def test_what_a_task_prints_is_told_between_its_start_and_its_end(
    engine: ExecutionEngine, plan: Callable[..., Plan]
) -> None:
    handle = await engine.start(
        plan("""
        name: t
        tasks:
          each: {foreach: [1, 2, 3, 4, 5, 6], run: 'echo a; echo b >&2; echo c'}
    """)
    )
    told: dict[str, list[str]] = {}
    async for event in handle.watch():
        if "task" in event:
            told.setdefault(event["task"], []).append(event["type"])
    for at in range(6):
        types = told[f"each[{at}]"]
        assert types[0] == "task_started"
        assert types[-1] == "task_succeeded"
        assert types.count("task_log") == len(types) - 2 >= 1


async def test_why_tells_what_composites_and_held_tasks_wait_for(
    engine: ExecutionEngine, plan: Callable[..., Plan], project: Path
) -> None:
    handle = await engine.start(
        plan("""
        name: t
        tasks:
          each: {foreach: [1, 2, 3], max_parallel: 2, run: 'until test -e gate; do sleep 0.02; done'}
          rounds: {after: each, loop: {times: 2}, set: "${{ round }}"}
          bad: {run: exit 1}
          below: {set: "${{ bad }}"}
          under: {after: below, set: 1}
          lower: {tasks: {inner: {set: "${{ bad }}"}}}
    """)
    )
    await until(handle, "task_blocked", task="under")
    run_id = handle.run_id
    assert engine.why(run_id, "rounds")["reason"] == "it waits for `each` (running)"
    assert engine.why(run_id, "each")["reason"] == "2 of its 3 items are in progress, none has settled"
    assert engine.why(run_id, "each[0]")["status"] == "running"
    under = engine.why(run_id, "under")
    assert (under["reason"], under["because"]) == ("below blocked", "below")
    assert engine.why(run_id, "lower")["needs"] == [{"task": "bad", "kind": "order", "status": "failed", "reason": ""}]
    handle.pause("lunch", by="ada")
    await until(handle, "hold_set", name="lunch")
    (project / "gate").touch()
    await until(handle, "run_status", status="paused")
    assert "lunch" in engine.why(run_id, "each")["reason"]
    handle.unpause("lunch", by="ada")
    result = await handle.wait()
    assert result.tasks["rounds"].status == "succeeded"
    assert engine.why(run_id, "rounds")["attempts"] == 1
    names = [task.name for task in engine.inspect(run_id).tasks]
    assert names.index("each") < names.index("each[0]") < names.index("each[2]") < names.index("rounds")


async def test_an_engine_that_closes_leaves_its_runs_resumable(plan: Callable[..., Plan], project: Path) -> None:
    journal = MemoryJournal()
    async with ExecutionEngine(project, journal=journal) as engine:
        handle = await engine.start(plan(GATED))
        await until(handle, "task_started", task="first")
        run_id = handle.run_id
    (project / "gate").touch()
    async with ExecutionEngine(project, journal=journal) as engine:
        assert (await (await engine.resume(run_id)).wait()).status == "succeeded"


async def test_what_waits_for_a_free_place_says_so(plan: Callable[..., Plan], project: Path) -> None:
    text = """
        name: t
        tasks:
          before: {run: 'until [ -e watched ]; do sleep 0.02; done'}
          each: {after: before, foreach: [1, 2], max_parallel: 2, run: 'until [ -e gate ]; do sleep 0.02; done'}
    """
    settings = {"limits": {"processes": 1}}
    async with ExecutionEngine(project, journal=MemoryJournal(), settings=settings) as engine:
        handle = await engine.start(plan(text))
        waits: list[tuple[str, bool]] = []
        async for event in handle.watch():
            (project / "watched").touch()
            if event["type"] == "task_waits":
                waits.append((event["task"], event["for"] is not None))
                (project / "gate").touch()
        assert (await handle.wait()).status == "succeeded"
    assert waits == [("each[1]", True), ("each[1]", False)]
