"""Batched delivery: a run tells and asks its delegates, and never waits longer than it said."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

from orchestrator.delegates import FAILURES_MAX, ControlAnswers, DelegateDispatcher, DelegateManager
from orchestrator.delegates.dispatcher import NO_OBJECTION


def started(n: int) -> tuple[str, dict[str, object]]:
    return "task_execution_started", {"task_id": f"t{n}", "task_details": {}}


def collect(into: list[str]):
    def delegate(sender: object, event_type: str, task_id: str, **payload: object) -> None:
        into.append(task_id)

    return delegate


async def waiting(event: asyncio.Event | threading.Event) -> None:
    async with asyncio.timeout(10):
        if isinstance(event, asyncio.Event):
            await event.wait()
        else:
            await asyncio.to_thread(event.wait, 10)
    assert event.is_set()


async def test_each_delegate_gets_every_batch_in_order_on_one_thread_of_its_own():
    manager, seen = DelegateManager(), {1: [], 2: []}
    threads: dict[int, set[int]] = {1: set(), 2: set()}

    def watcher(number: int):
        def delegate(sender: object, event_type: str, task_id: str, **payload: object) -> None:
            seen[number].append((sender, payload["run_id"], task_id))
            threads[number].add(threading.get_ident())

        return delegate

    for number in (1, 2):
        manager.register("task_execution_started", watcher(number))
    dispatcher = DelegateDispatcher(manager, sender="run", context={"run_id": "r1"})
    for turn in range(20):
        dispatcher.post([started(turn * 10 + n) for n in range(10)])
    assert await dispatcher.drain(10)
    expected = [("run", "r1", f"t{n}") for n in range(200)]
    assert seen == {1: expected, 2: expected}
    assert [len(threads[n]) for n in (1, 2)] == [1, 1]
    assert threads[1] != threads[2]
    assert threading.get_ident() not in threads[1] | threads[2]
    await dispatcher.close()


async def test_one_delegate_of_many_events_hears_them_in_the_order_they_happened():
    manager, seen = DelegateManager(), []

    def delegate(sender: object, event_type: str, **payload: object) -> None:
        seen.append(event_type)

    for name in ("engine_started", "task_execution_started", "engine_stopped"):
        manager.register(name, delegate)
    dispatcher = DelegateDispatcher(manager)
    dispatcher.post([("engine_started", {}), started(1), ("engine_stopped", {})])
    await dispatcher.close(10)
    assert seen == ["engine_started", "task_execution_started", "engine_stopped"]


async def test_an_async_delegate_runs_as_a_task_of_the_engines_loop_and_keeps_the_order():
    manager, seen = DelegateManager(), []
    loop = asyncio.get_running_loop()

    async def delegate(sender: object, event_type: str, task_id: str, **payload: object) -> None:
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)
        seen.append(task_id)

    manager.register("task_execution_started", delegate)
    dispatcher = DelegateDispatcher(manager)
    dispatcher.post([started(n) for n in range(5)])
    await asyncio.to_thread(dispatcher.post, [started(n) for n in range(5, 10)])
    assert await dispatcher.drain(10)
    assert seen == [f"t{n}" for n in range(10)]
    await dispatcher.close()


async def test_without_a_delegate_nothing_is_made_and_nothing_asked():
    manager = DelegateManager()
    dispatcher = DelegateDispatcher(manager)
    before = threading.active_count()
    dispatcher.post([started(1)])
    assert await dispatcher.ask_controls(task_ids=["t1"]) is NO_OBJECTION
    assert threading.active_count() == before
    await dispatcher.close()


async def test_a_slow_delegate_loses_the_oldest_and_that_is_counted_and_said(caplog):
    manager, seen, told = DelegateManager(), [], []
    inside, go_on = threading.Event(), threading.Event()

    def slow(sender: object, event_type: str, task_id: str, **payload: object) -> None:
        inside.set()
        go_on.wait(10)
        seen.append(task_id)

    manager.register("task_execution_started", slow)
    manager.register("delegate_execution_error", lambda sender, event_type, error, **_: told.append(error))
    dispatcher = DelegateDispatcher(manager, capacity=5)
    dispatcher.post([started(0)])
    await waiting(inside)
    with caplog.at_level(logging.WARNING):
        dispatcher.post([started(n) for n in range(1, 21)])
    go_on.set()
    assert await dispatcher.drain(10)
    assert seen == ["t0", "t16", "t17", "t18", "t19", "t20"]
    (count,) = dispatcher.dropped.values()
    assert count == 15
    assert "15 notifications dropped" in caplog.text
    assert any("15 notifications dropped" in error for error in told)
    await dispatcher.close()


async def test_a_delegate_that_hangs_stalls_neither_the_others_nor_the_end_of_the_run(caplog):
    manager, seen, release = DelegateManager(), [], threading.Event()
    forever = asyncio.Event()

    async def hangs_too(*_: object, **__: object) -> None:
        await forever.wait()

    manager.register("task_execution_started", lambda *_, **__: release.wait(30) and None)
    manager.register("task_execution_started", hangs_too)
    manager.register("task_execution_started", collect(seen))
    dispatcher = DelegateDispatcher(manager)
    dispatcher.post([started(1), started(2)])
    begun = time.monotonic()
    with caplog.at_level(logging.WARNING):
        await dispatcher.close(0.05)
    assert time.monotonic() - begun < 10
    assert seen == ["t1", "t2"]
    assert caplog.text.count("was left behind") == 2
    release.set()


async def test_what_a_delegate_raises_is_told_and_ten_in_a_row_disable_it():
    manager, calls, told = DelegateManager(), [], []

    def broken(sender: object, event_type: str, task_id: str, **payload: object) -> None:
        calls.append(task_id)
        raise SystemExit("boom")

    manager.register("task_execution_started", broken)
    manager.register("delegate_execution_error", lambda sender, event_type, error, **_: told.append(error))
    dispatcher = DelegateDispatcher(manager)
    dispatcher.post([started(n) for n in range(FAILURES_MAX + 10)])
    assert await dispatcher.drain(10)
    assert len(calls) == FAILURES_MAX
    assert await dispatcher.drain(10)
    assert len(told) == FAILURES_MAX
    assert "disabled" in told[-1]
    assert "task_execution_started" not in manager.wanted
    await dispatcher.close()


async def test_an_async_delegate_that_raises_or_is_cancelled_goes_on_with_the_next():
    manager, seen = DelegateManager(), []

    async def moody(sender: object, event_type: str, task_id: str, **payload: object) -> None:
        if task_id == "t0":
            raise ValueError("boom")
        if task_id == "t1":
            raise asyncio.CancelledError
        seen.append(task_id)

    manager.register("task_execution_started", moody)
    dispatcher = DelegateDispatcher(manager)
    dispatcher.post([started(n) for n in range(3)])
    assert await dispatcher.drain(10)
    assert seen == ["t2"]
    await dispatcher.close()


async def test_a_delegate_may_register_another_and_unregister_itself_while_a_batch_is_delivered():
    manager, seen = DelegateManager(), []

    def once(sender: object, event_type: str, task_id: str, **payload: object) -> None:
        seen.append(("once", task_id))
        manager.unregister("task_execution_started", once)
        manager.register("task_execution_started", collect(seen))

    manager.register("task_execution_started", once)
    dispatcher = DelegateDispatcher(manager)
    dispatcher.post([started(1), started(2)])
    assert await dispatcher.drain(10)
    dispatcher.post([started(3)])
    assert await dispatcher.drain(10)
    assert seen == [("once", "t1"), "t3"]
    await dispatcher.close()


async def test_a_sync_callable_that_returns_an_awaitable_is_awaited_on_its_thread():
    manager, seen = DelegateManager(), []

    async def later(task_id: str) -> None:
        seen.append(task_id)

    manager.register("task_execution_started", lambda sender, event_type, task_id, **_: later(task_id))
    dispatcher = DelegateDispatcher(manager)
    dispatcher.post([started(1)])
    assert await dispatcher.drain(10)
    assert seen == ["t1"]
    await dispatcher.close()


async def test_loops_below_the_run_tell_and_ask_through_its_dispatcher_and_their_own_delegates_hear_too():
    engine = DelegateManager()
    run = DelegateManager(engine)
    dispatcher = DelegateDispatcher(run, context={"run_id": "r1"})
    loop = DelegateManager(run)
    seen = []

    def hear(where: str):
        return lambda sender, event_type, run_id, agent_id, **_: seen.append((where, sender, run_id, agent_id))

    for manager, where in ((engine, "engine"), (loop, "loop")):
        manager.register("ai_loop_started", hear(where))
    run.register("ai_loop_request_pause", lambda sender, control_type, run_id, **_: run_id == "r1")
    loop.notify("ai_loop_started", "loop", agent_id="writer")
    assert await loop.ask("ai_loop_request_pause", "loop", turn=1)
    assert await dispatcher.drain(10)
    assert sorted(seen) == [("engine", "loop", "r1", "writer"), ("loop", "loop", "r1", "writer")]
    await dispatcher.close()
    assert loop.dispatcher is None


async def test_controls_name_the_tasks_about_to_start_and_say_who_objected():
    manager, asked = DelegateManager(), []

    def pauses(sender: object, control_type: str, task_ids: list[str], **payload: object) -> bool:
        asked.append((control_type, task_ids))
        return "deploy" in task_ids

    async def stops(sender: object, control_type: str, task_ids: list[str], **payload: object) -> bool:
        return "explode" in task_ids

    manager.register("engine_request_pause", pauses)
    manager.register("engine_request_stop", stops)
    dispatcher = DelegateDispatcher(manager)
    assert await dispatcher.ask_controls(task_ids=["build"]) == ControlAnswers(False, False)
    held = await dispatcher.ask_controls(task_ids=["deploy"])
    assert (held.pause, held.stop, held.stop_by) == (True, False, ())
    assert held.pause_by[0].endswith("pauses")
    stopped = await dispatcher.ask_controls(task_ids=["explode"])
    assert (stopped.pause, stopped.stop) == (False, True)
    assert asked == [("engine_request_pause", [name]) for name in ("build", "deploy", "explode")]
    await dispatcher.close()


async def test_a_control_delegate_that_hangs_costs_one_limit_and_its_late_answer_wakes_the_run():
    manager, release, woken = DelegateManager(), threading.Event(), threading.Event()
    calls = []

    def slow(sender: object, control_type: str, **payload: object) -> bool:
        calls.append(1)
        release.wait(30)
        return True

    manager.register("engine_request_pause", slow)
    manager.subscribe(woken.set)
    dispatcher = DelegateDispatcher(manager)
    first = await dispatcher.ask_controls(task_ids=["a"], limit=0.05)
    assert (first.pause, len(first.unanswered)) == (False, 1)
    begun = time.monotonic()
    second = await dispatcher.ask_controls(task_ids=["b"], limit=30)
    assert time.monotonic() - begun < 10
    assert (second.pause, len(second.unanswered), len(calls)) == (False, 1, 1)
    assert not woken.is_set()
    release.set()
    await waiting(woken)
    assert (await dispatcher.ask_controls(task_ids=["b"], limit=30)).pause
    await dispatcher.close()


async def test_silence_holds_the_run_if_the_delegate_was_registered_so():
    manager, release = DelegateManager(), threading.Event()
    forever = asyncio.Event()

    async def never(*_: object, **__: object) -> bool:
        await forever.wait()
        return False

    manager.register("engine_request_pause", lambda *_, **__: not release.wait(30), on_error="hold")
    dispatcher = DelegateDispatcher(manager)
    assert (await dispatcher.ask_controls(limit=0.05)).pause
    assert (await dispatcher.ask_controls(limit=0.05)).pause
    release.set()
    manager.register("engine_request_pause", never)
    answers = await dispatcher.ask_controls(limit=0.5)
    assert any(name.endswith("never") for name in answers.unanswered)
    await dispatcher.close()


async def test_a_control_delegate_that_raises_is_counted_as_its_registration_says():
    manager = DelegateManager()

    async def broken(*_: object, **__: object) -> bool:
        raise ValueError("boom")

    def broken_too(*_: object, **__: object) -> bool:
        raise ValueError("boom")

    dispatcher = DelegateDispatcher(manager)
    for delegate in (broken, broken_too):
        manager.register("engine_request_pause", delegate)
        assert not (await dispatcher.ask_controls()).pause
        manager.register("engine_request_pause", delegate, on_error="hold")
        for _ in range(FAILURES_MAX + 2):
            assert (await dispatcher.ask_controls()).pause
        manager.unregister("engine_request_pause", delegate)
        assert not (await dispatcher.ask_controls()).pause
    await dispatcher.close()


async def test_a_filter_on_a_control_is_asked_before_the_delegate():
    manager, asked = DelegateManager(), []

    def pauses(sender: object, control_type: str, task_ids: list[str], **payload: object) -> bool:
        asked.append(task_ids)
        return True

    manager.register("engine_request_pause", pauses, where=lambda payload: "deploy" in payload["task_ids"])
    dispatcher = DelegateDispatcher(manager)
    assert not (await dispatcher.ask_controls(task_ids=["build"])).pause
    assert (await dispatcher.ask_controls(task_ids=["deploy"])).pause
    assert asked == [["deploy"]]
    await dispatcher.close()


async def test_closing_twice_is_harmless_and_nothing_is_told_or_asked_afterwards():
    manager, seen = DelegateManager(), []
    manager.register("task_execution_started", collect(seen))
    manager.register("engine_request_pause", lambda *_, **__: True)
    dispatcher = DelegateDispatcher(manager)
    await dispatcher.close()
    await dispatcher.close()
    dispatcher.post([started(1)])
    assert await dispatcher.ask_controls() is NO_OBJECTION
    assert seen == []


async def test_delegates_that_come_and_go_in_a_long_run_leave_no_threads_behind():
    manager, heard = DelegateManager(), [0]
    dispatcher = DelegateDispatcher(manager)
    before = threading.active_count()
    for _ in range(50):

        def passing(sender: object, event_type: str, **payload: object) -> None:
            heard[0] += 1

        def asked(sender: object, control_type: str, **payload: object) -> bool:
            return False

        manager.register("task_execution_started", passing)
        manager.register("engine_request_pause", asked)
        dispatcher.post([started(1)])
        assert not (await dispatcher.ask_controls(limit=10)).pause
        assert await dispatcher.drain(10)
        manager.unregister("task_execution_started", passing)
        manager.unregister("engine_request_pause", asked)
    assert heard == [50]
    assert threading.active_count() - before <= 10
    await dispatcher.close()
