"""Laws of the registry and of delivery, over whatever order things happen in."""

from __future__ import annotations

import asyncio
import threading

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.delegates import DelegateDispatcher, DelegateManager, catalogue
from orchestrator.delegates.lanes import Parcel, ThreadLane

NAMES = [entry.name for entry in catalogue()]
CONTROLS = {entry.name for entry in catalogue() if entry.kind == "control"}


class Delegate:
    def __init__(self, number: int) -> None:
        self.number = number
        self.heard: list[str] = []

    def __call__(self, sender: object, event_type: str, /, **payload: object) -> None:
        self.heard.append(event_type)


steps = st.lists(
    st.tuples(
        st.booleans(),  # register or unregister
        st.integers(0, 2),  # engine, run or loop
        st.sampled_from(["engine_started", "engine_request_pause", "ai_loop_started", "engine_stopped"]),
        st.integers(0, 2),  # which delegate
    ),
    max_size=30,
)


@given(steps)
def test_what_managers_say_of_themselves_is_what_was_registered_here_and_above(taken):
    engine = DelegateManager()
    run = DelegateManager(engine)
    managers = [engine, run, DelegateManager(run)]
    delegates = [Delegate(n) for n in range(3)]
    model: list[set[tuple[str, int]]] = [set(), set(), set()]
    changes = [0, 0, 0]
    for level, manager in enumerate(managers):
        manager.subscribe(lambda level=level: changes.__setitem__(level, changes[level] + 1))
    expected = [0, 0, 0]
    for registers, level, name, number in taken:
        if registers:
            managers[level].register(name, delegates[number])
            model[level].add((name, number))
            changed = True
        else:
            changed = (name, number) in model[level]
            assert managers[level].unregister(name, delegates[number]) is changed
            model[level].discard((name, number))
        for below in range(level, 3):
            expected[below] += changed
        for depth, manager in enumerate(managers):
            wanted = {n for upper in model[: depth + 1] for n, _ in upper}
            assert manager.wanted == wanted
            assert manager.active == bool(wanted)
            assert manager.asks == bool(wanted & CONTROLS)
    assert changes == expected
    managers[2].invoke_notification("ai_loop_started", None)
    heard = [d.heard.count("ai_loop_started") for d in delegates]
    assert heard == [sum(("ai_loop_started", n) in level for level in model) for n in range(3)]


@given(st.integers(1, 20), st.lists(st.integers(0, 30), max_size=20))
def test_a_lane_delivers_the_newest_in_order_and_counts_exactly_what_it_dropped(capacity, batches):
    delivered: list[int] = []
    blocked, go_on = threading.Event(), threading.Event()

    def deliver(parcel: Parcel) -> None:
        if parcel.sender == "first":
            blocked.set()
            go_on.wait(20)
        else:
            delivered.append(parcel.sender)

    lane = ThreadLane("lane", capacity, deliver)
    lane.put([Parcel(None, "first", {})])  # type: ignore[arg-type]
    assert blocked.wait(20)
    sent = 0
    surplus = 0
    for size in batches:
        surplus += lane.put([Parcel(None, sent + n, {}) for n in range(size)])  # type: ignore[arg-type]
        sent += size
    dry = threading.Event()
    lane.when_idle(dry.set)
    go_on.set()
    assert dry.wait(20)
    assert delivered == list(range(sent))[-capacity:] if sent else delivered == []
    assert lane.dropped == surplus == sent - len(delivered)
    lane.close()


async def test_many_threads_may_post_while_delegates_come_and_go_and_nothing_is_lost_for_who_stays():
    manager = DelegateManager()
    stays = Delegate(0)
    manager.register("engine_started", stays)
    dispatcher = DelegateDispatcher(manager)
    problems: list[BaseException] = []

    def churn() -> None:
        try:
            for _ in range(100):
                passing = Delegate(1)
                manager.register("engine_started", passing)
                dispatcher.post([("engine_started", {}), ("engine_started", {})])
                manager.unregister("engine_started", passing)
        except BaseException as error:
            problems.append(error)

    await asyncio.gather(*(asyncio.to_thread(churn) for _ in range(6)))
    assert await dispatcher.drain(30)
    assert not problems
    assert len(stays.heard) == 6 * 100 * 2
    await dispatcher.close()
