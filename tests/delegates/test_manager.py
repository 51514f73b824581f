"""The registry, and telling and asking directly."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading

import pytest

from orchestrator.delegates import FAILURES_MAX, DelegateManager
from orchestrator.errors import UsageError

COMPLETED = {"task_id": "build", "status": "succeeded", "result_summary": {"text": "ok"}}


def heard(into: list[object]):
    def delegate(sender: object, event_type: str, **payload: object) -> None:
        into.append((sender, event_type, payload))

    return delegate


def test_a_delegate_gets_sender_event_and_payload_before_the_call_returns():
    manager, seen = DelegateManager(), []
    manager.register("task_execution_completed", heard(seen))
    manager.invoke_notification("task_execution_completed", "engine", **COMPLETED)
    assert seen == [("engine", "task_execution_completed", COMPLETED)]


def test_delegates_are_called_in_the_order_they_were_registered():
    manager, seen = DelegateManager(), []
    for n in range(5):
        manager.register("engine_started", lambda sender, event_type, n=n, **_: seen.append(n))
    manager.invoke_notification("engine_started", None)
    assert seen == [0, 1, 2, 3, 4]


class Observer:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def method(self, sender: object, event_type: str, **payload: object) -> None:
        self.seen.append("method")

    def __call__(self, sender: object, event_type: str, **payload: object) -> None:
        self.seen.append("object")

    async def later(self, sender: object, event_type: str, **payload: object) -> None:
        self.seen.append("async")


def test_functions_bound_methods_partials_and_objects_can_be_registered_and_unregistered():
    manager, observer = DelegateManager(), Observer()
    part = functools.partial(observer.method)
    for delegate in (observer, observer.method, part, observer.later):
        manager.register("engine_started", delegate)
    manager.invoke_notification("engine_started", None)
    assert observer.seen == ["object", "method", "method", "async"]
    for delegate in (observer, observer.method, part, observer.later):
        assert manager.unregister("engine_started", delegate)
    assert not manager.active
    assert not manager.unregister("engine_started", observer.method)


def test_registering_the_same_delegate_twice_calls_it_once_with_the_newer_filter():
    manager, seen = DelegateManager(), []
    delegate = heard(seen)
    manager.register("task_execution_completed", delegate, where={"status": "failed"})
    manager.register("task_execution_completed", delegate, where={"status": "succeeded"})
    manager.invoke_notification("task_execution_completed", None, **COMPLETED)
    assert len(seen) == 1


def test_where_filters_by_field_and_by_function():
    manager, fields, function = DelegateManager(), [], []
    manager.register("task_execution_completed", heard(fields), where={"status": "failed"})
    manager.register(
        "task_execution_completed", heard(function), where=lambda payload: payload["task_id"].startswith("b")
    )
    manager.invoke_notification("task_execution_completed", None, **COMPLETED)
    manager.invoke_notification("task_execution_completed", None, **{**COMPLETED, "status": "failed", "task_id": "a"})
    assert [p["task_id"] for _, _, p in fields] == ["a"]
    assert [p["task_id"] for _, _, p in function] == ["build"]


@pytest.mark.parametrize(
    ("call", "message", "help"),
    [
        (lambda m, d: m.register("task_execution_complete", d), "task_execution_complete", "task_execution_completed"),
        (lambda m, d: m.unregister("engine_request_puase", d), "engine_request_puase", "engine_request_pause"),
        (lambda m, d: m.register("task_execution_completed", d, where={"statu": 1}), "statu", "status"),
        (lambda m, d: m.register("engine_started", d, on_error="hold"), "cannot hold", "engine_request_pause"),
        (
            lambda m, d: m.register("engine_request_stop", d, on_error="hold"),
            "would stop the run",
            "engine_request_pause",
        ),
        (lambda m, d: m.register("engine_request_pause", d, on_error="halt"), "halt", "hold"),
        (lambda m, d: m.register("engine_started", "not callable"), "callable", ""),
        (lambda m, d: m.register("engine_started", d, where=7), "where", ""),
        (lambda m, d: m.invoke_notification("engine_request_pause", None), "is a control", ""),
        (lambda m, d: m.invoke_control("engine_started", None), "is a notification", ""),
    ],
)
def test_a_mistake_in_a_name_is_an_error_that_says_what_was_meant(call, message, help):
    with pytest.raises(UsageError) as error:
        call(DelegateManager(), heard([]))
    assert message in str(error.value)
    assert help in (error.value.help or "")


def test_a_payload_field_nobody_promised_is_the_senders_mistake():
    with pytest.raises(TypeError, match="no payload field colour"):
        DelegateManager().invoke_notification("engine_started", None, colour="red")


def test_events_bubble_to_the_managers_above_and_never_down():
    engine = DelegateManager()
    run = DelegateManager(engine)
    loop = DelegateManager(run)
    seen = []
    for manager, name in ((engine, "engine"), (run, "run"), (loop, "loop")):
        manager.register("ai_loop_started", lambda sender, event_type, name=name, **_: seen.append(name))
    loop.invoke_notification("ai_loop_started", None)
    assert seen == ["loop", "run", "engine"]
    seen.clear()
    run.invoke_notification("ai_loop_started", None)
    assert seen == ["run", "engine"]


def test_active_wanted_and_asks_follow_every_change_here_and_above():
    engine = DelegateManager()
    run = DelegateManager(engine)
    delegate = heard([])
    assert (run.active, run.wanted, run.asks) == (False, frozenset(), False)
    engine.register("engine_request_pause", delegate)
    assert (run.active, run.wanted, run.asks) == (True, {"engine_request_pause"}, True)
    assert (DelegateManager(run).asks, DelegateManager().asks) == (True, False)
    engine.unregister("engine_request_pause", delegate)
    run.register("engine_started", delegate)
    assert (run.active, run.asks, engine.active) == (True, False, False)


def test_whoever_waits_is_woken_by_every_change_here_and_above_and_by_recheck():
    engine = DelegateManager()
    run = DelegateManager(engine)
    woken = []
    end = run.subscribe(lambda: woken.append(1))
    delegate = heard([])
    engine.register("engine_request_pause", delegate)
    run.recheck()
    engine.unregister("engine_request_pause", delegate)
    engine.unregister("engine_request_pause", delegate)  # changes nothing
    assert len(woken) == 3
    end()
    engine.recheck()
    assert len(woken) == 3


def test_a_delegate_may_register_and_unregister_while_it_is_called():
    manager, seen = DelegateManager(), []

    def once(sender: object, event_type: str, **payload: object) -> None:
        seen.append("once")
        manager.unregister("engine_started", once)
        manager.register("engine_started", heard(seen))

    manager.register("engine_started", once)
    manager.invoke_notification("engine_started", None)
    assert seen == ["once"]
    manager.invoke_notification("engine_started", "again")
    assert seen == ["once", ("again", "engine_started", {})]


def test_many_threads_may_register_invoke_and_unregister_at_once():
    manager, counted, lock = DelegateManager(), [0], threading.Lock()
    problems: list[BaseException] = []

    def count(sender: object, event_type: str, **payload: object) -> None:
        with lock:
            counted[0] += 1

    def churn() -> None:
        try:
            for _ in range(200):
                mine = heard([])
                manager.register("engine_started", mine)
                manager.invoke_notification("engine_started", None)
                assert manager.unregister("engine_started", mine)
        except BaseException as error:
            problems.append(error)

    manager.register("engine_started", count)
    threads = [threading.Thread(target=churn) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert counted[0] == 8 * 200
    assert manager.wanted == {"engine_started"}


def test_a_delegate_that_raises_harms_nobody_and_is_told_once(caplog):
    manager, seen, told = DelegateManager(), [], []

    def broken(sender: object, event_type: str, **payload: object) -> None:
        raise ValueError("boom")

    manager.register("engine_started", broken)
    manager.register("engine_started", heard(seen))
    manager.register("delegate_execution_error", heard(told))
    with caplog.at_level(logging.WARNING):
        manager.invoke_notification("engine_started", "engine")
    assert len(seen) == 1
    ((sender, _, payload),) = told
    assert (sender, payload["failed_event_type"], payload["error"]) == ("engine", "engine_started", "ValueError: boom")
    assert payload["delegate_name"].endswith("broken")
    assert "boom" in caplog.text


def test_a_delegate_of_delegate_errors_that_raises_is_not_told_of_itself():
    manager, calls = DelegateManager(), []

    def broken(sender: object, event: str, **payload: object) -> None:
        calls.append(payload.get("event_type", event))
        raise ValueError("boom")

    manager.register("engine_started", broken)
    manager.register("delegate_execution_error", broken)
    manager.invoke_notification("engine_started", None)
    assert calls == ["engine_started", "engine_started"]


def test_the_payload_of_a_delegate_error_names_the_event_as_far_as_the_signature_allows():
    manager, seen = DelegateManager(), []
    manager.register("delegate_execution_error", lambda sender, event_type, **payload: seen.append(payload))
    manager.register("delegate_execution_error", lambda sender, event_type, /, **payload: seen.append(payload))
    manager.register("delegate_execution_error", lambda sender, name, **payload: seen.append(payload))
    payload = {"event_type": "x", "failed_event_type": "x", "delegate_name": "d", "error": "e"}
    manager.invoke_notification("delegate_execution_error", None, **payload)
    clashing, positional, renamed = seen
    assert "event_type" not in clashing
    assert positional == renamed == payload


def test_sys_exit_in_a_delegate_does_not_end_the_program():
    manager, seen = DelegateManager(), []
    manager.register("engine_started", lambda *_, **__: (_ for _ in ()).throw(SystemExit(3)))
    manager.register("engine_started", heard(seen))
    manager.invoke_notification("engine_started", None)
    assert len(seen) == 1


def test_ten_failures_in_a_row_disable_a_delegate_and_that_is_said(caplog):
    manager, calls, told = DelegateManager(), [], []

    def broken(sender: object, event_type: str, **payload: object) -> None:
        calls.append(1)
        raise ValueError("boom")

    manager.register("engine_started", broken)
    manager.register("delegate_execution_error", heard(told))
    for _ in range(FAILURES_MAX + 5):
        manager.invoke_notification("engine_started", None)
    assert len(calls) == FAILURES_MAX
    assert "engine_started" not in manager.wanted
    assert "disabled after 10 failures in a row" in told[-1][2]["error"]
    assert "is disabled" in caplog.text
    manager.register("engine_started", broken)
    manager.invoke_notification("engine_started", None)
    assert len(calls) == FAILURES_MAX + 1


def test_a_success_between_failures_keeps_a_delegate():
    manager, calls = DelegateManager(), []

    def moody(sender: object, event_type: str, **payload: object) -> None:
        calls.append(1)
        if len(calls) % 10:
            raise ValueError("boom")

    manager.register("engine_started", moody)
    for _ in range(40):
        manager.invoke_notification("engine_started", None)
    assert len(calls) == 40


def test_any_true_wins_and_none_is_no_objection():
    manager = DelegateManager()
    assert manager.invoke_control("engine_request_pause", None) == []
    manager.register("engine_request_pause", lambda *_, **__: None)
    manager.register("engine_request_pause", lambda *_, **__: False)
    assert manager.invoke_control("engine_request_pause", None, task_ids=["a"]) == [False, False]
    manager.register("engine_request_pause", lambda sender, control_type, task_ids, **_: "a" in task_ids)
    assert manager.invoke_control("engine_request_pause", None, task_ids=["a"]) == [False, False, True]


def test_a_control_delegate_that_fails_counts_as_false_or_holds_if_it_was_registered_so():
    manager = DelegateManager()

    def broken(*_: object, **__: object) -> bool:
        raise ValueError("boom")

    def wordy(*_: object, **__: object) -> str:
        return "no"

    manager.register("engine_request_pause", broken)
    manager.register("engine_request_pause", wordy)
    assert manager.invoke_control("engine_request_pause", None) == [False, False]
    manager.register("engine_request_pause", broken, on_error="hold")
    assert manager.invoke_control("engine_request_pause", None) == [False, True]


def test_a_disabled_delegate_that_holds_goes_on_holding_until_it_is_unregistered():
    manager = DelegateManager()

    def broken(*_: object, **__: object) -> bool:
        raise ValueError("boom")

    manager.register("engine_request_pause", broken, on_error="hold")
    for _ in range(FAILURES_MAX + 3):
        assert manager.invoke_control("engine_request_pause", None) == [True]
    assert manager.unregister("engine_request_pause", broken)
    assert manager.invoke_control("engine_request_pause", None) == []


async def test_async_control_delegates_are_asked_only_by_the_async_call():
    manager = DelegateManager()

    async def pause(sender: object, control_type: str, **payload: object) -> bool:
        await asyncio.sleep(0)
        return True

    async def never(sender: object, control_type: str, **payload: object) -> bool:
        await asyncio.Event().wait()
        return True

    manager.register("engine_request_pause", lambda *_, **__: False)
    manager.register("engine_request_pause", pause)
    manager.register("engine_request_pause", never)
    assert manager.invoke_control("engine_request_pause", None) == [False]
    assert await manager.invoke_control_async("engine_request_pause", None, limit=0.01) == [False, True, False]


async def test_an_async_notification_delegate_becomes_a_task_of_the_running_loop():
    manager, done = DelegateManager(), asyncio.Event()

    async def later(sender: object, event_type: str, **payload: object) -> None:
        done.set()

    manager.register("engine_started", later)
    manager.invoke_notification("engine_started", None)
    assert not done.is_set()
    async with asyncio.timeout(5):
        await done.wait()


async def test_ask_and_notify_work_without_a_dispatcher():
    manager, seen = DelegateManager(), []
    assert not await manager.ask("ai_loop_request_pause", None, turn=1)
    manager.notify("ai_loop_started", None, agent_id="writer")
    manager.register("ai_loop_started", heard(seen))
    manager.register("ai_loop_request_pause", lambda sender, control_type, turn, **_: turn == 2)
    manager.notify("ai_loop_started", None, agent_id="writer")
    assert [payload for _, _, payload in seen] == [{"agent_id": "writer"}]
    assert [await manager.ask("ai_loop_request_pause", None, turn=n) for n in (1, 2)] == [False, True]
