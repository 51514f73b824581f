"""What happens at a limit: a failure, a question, a last turn, a wait; and that everybody around is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from ai.world import World
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.ai.accounts import RAISE
from orchestrator.ai.budgets import BudgetExceededError, Budgets
from orchestrator.ai.ledger import paid_calls
from orchestrator.ai.record import read_session
from orchestrator.ai.spent import is_within
from orchestrator.core.budget import Account, Reservation, money
from orchestrator.delegates import check_payload
from orchestrator.delegates.manager import DelegateManager
from orchestrator.errors import TaskError
from orchestrator.ports.chat_model import ToolSpec
from orchestrator.ports.journal import Batch
from orchestrator.ports.tool import PersonNeeded
from orchestrator.stores._meters_memory import MemoryMeters
from orchestrator.stores._meters_sqlite import SqliteMeters
from orchestrator.stores.memory import MemoryJournal
from orchestrator.testing.scripted import Turn
from orchestrator.workers.metering import Metering

DEAR = {"input_per_token": 0.001, "output_per_token": 0.01}
"""A currency's thousandth for a token in, a hundredth for one out; a scripted answer of one word costs 0.06."""
AGENT = {"ai_config": {"max_tokens": 50}}


def worker(**more: Any) -> dict[str, Any]:
    return {"definition_id": "w", "provider": "scripted", "model_name": "m", "cost_metrics": DEAR, **more}


def within(*budgets: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = tuple({"name": f"run {number}", **limits} for number, limits in enumerate(budgets))
    return {"agent": AGENT, "worker": worker(), "budgets": named, **more}


class Search:
    """A tool that never has enough."""

    name = "search"
    effect = "pure"
    spec = ToolSpec(
        name="search", description="", parameters={"type": "object", "properties": {"q": {"type": "string"}}}
    )

    async def call(self, arguments: dict[str, Any], call_id: str) -> str:
        return "more to find"


def searching(number: int) -> Turn:
    return Turn(tool_calls=[("search", {"q": str(number)})])


# A person is asked


async def test_a_person_who_raises_the_budget_lets_the_same_question_go_on() -> None:
    world = World("x")
    call = within({"cost": 0.1, "on_exceeded": "ask"})
    with pytest.raises(PersonNeeded, match=r"Raise the budget\? This request may cost up to \$0\.5") as caught:
        await world.sessions().run_turns(world.call(**call))
    assert world.model.requests == []
    asked = caught.value.question
    assert asked.schema["required"] == [RAISE]
    limits = {**call["budgets"][0], "answers": {asked.key: {RAISE: 0.5}}}
    answer = await world.sessions().run_turns(world.call(**{**call, "budgets": (limits,)}))
    assert answer.value == "x"
    (account,) = world.factory.budgets._accounts.values()
    assert account.cost_max == money(0.6)


async def test_an_answer_raises_the_limit_once_however_often_it_is_read() -> None:
    world = World("x")
    first = world.factory.budgets.account("r", {"cost": 1.0, "on_exceeded": "ask"})
    with pytest.raises(BudgetExceededError) as caught:
        await world.factory.budgets.reserve((first,), Reservation(1, money(2), "USD"))
    from orchestrator.ai.accounts import question

    asked = question(first, caught.value.refused)
    assert asked is not None
    for _ in range(3):
        world.factory.budgets.account("r", {}, answers={asked.key: {RAISE: 0.5}})
    assert first.cost_max == money(1.5)
    again = question(first, caught.value.refused)
    assert again is not None
    assert again.key != asked.key


async def test_a_person_who_leaves_the_budget_as_it_is_ends_the_task() -> None:
    world = World("x")
    call = within({"tokens": 10, "on_exceeded": "ask"})
    with pytest.raises(PersonNeeded) as caught:
        await world.sessions().run_turns(world.call(**call))
    limits = {**call["budgets"][0], "answers": {caught.value.question.key: {RAISE: 0}}}
    with pytest.raises(TaskError, match="10 of 10 are left") as refused:
        await world.sessions().run_turns(world.call(**{**call, "budgets": (limits,)}))
    assert refused.value.type == "budget"
    assert world.model.requests == []


# A last turn


async def test_the_last_turn_has_no_tools_and_is_marked_and_within_the_budget() -> None:
    world = World(searching(1), searching(2), searching(3), "what I found")
    call = within({"turns": 4, "on_exceeded": "wrap_up"})
    answer = await world.sessions([Search()]).run_turns(world.call(**call))
    assert (answer.value, answer.wrapped_up) == ("what I found", True)
    *before, last = world.model.requests
    assert [len(request.tools) for request in before] == [1, 1, 1]
    assert last.tools == ()
    assert "your last turn" in last.instructions
    calls = read_session(world.journal, "r1/agent/t:1").calls
    assert [call.last for call in calls] == [False, False, False, True]


async def test_a_budget_of_money_keeps_room_for_the_last_turn_and_is_never_exceeded() -> None:
    world = World(*[searching(number) for number in range(200)])
    call = within({"cost": 9.0, "on_exceeded": "wrap_up"}, agent={"ai_config": {"max_tokens": 50, "max_turns": 60}})
    with pytest.raises(TaskError):
        # It never listens: even then it stops within the budget.
        await world.sessions([Search()]).run_turns(world.call(**call))
    (account,) = world.factory.budgets._accounts.values()
    assert any(request.tools == () for request in world.model.requests)
    assert account.cost_spent <= money(9.0)


async def test_an_answer_that_fits_the_budget_is_no_last_turn() -> None:
    world = World("x")
    answer = await world.sessions().run_turns(world.call(**within({"tokens": 100_000, "on_exceeded": "wrap_up"})))
    assert not answer.wrapped_up
    assert "last turn" not in world.model.requests[0].instructions


# Money of another kind


async def test_a_budget_in_euros_does_not_take_prices_in_dollars() -> None:
    world = World("x")
    with pytest.raises(TaskError, match="is in EUR, and this model's prices are in USD") as caught:
        await world.sessions().run_turns(world.call(**within({"cost": 5.0, "currency": "EUR"})))
    assert caught.value.type == "budget"
    euros = worker(cost_metrics={**DEAR, "currency": "EUR"})
    call = within({"cost": 5.0, "currency": "EUR"}, worker=euros, key="b")
    assert (await world.sessions().run_turns(world.call(**call))).value == "x"


# Time


async def test_a_budget_of_time_cuts_a_request_and_refuses_the_next() -> None:
    world = World(lambda request: _late(world, 20.0), "never")
    limits = {"name": "run", "time": 15.0}
    await world.sessions().run_turns(world.call(agent=AGENT, worker=worker(), budgets=(limits,)))
    assert world.model.requests[0].timeout == 15.0
    with pytest.raises(TaskError, match="0 of 15 s are left for"):
        await world.sessions().run_turns(world.call(agent=AGENT, worker=worker(), budgets=(limits,), key="b"))
    assert len(world.model.requests) == 1


async def test_a_model_that_is_silent_is_cut_when_a_budget_of_time_is_over() -> None:
    world = World(Turn(text="never", chunk=2, gate=asyncio.Event()))
    limits = {"name": "run", "time": 0.05}
    agent = {"ai_config": {"max_tokens": 50, "retries": 0}}
    with pytest.raises(TaskError, match="did not finish its answer in time") as caught:
        await world.sessions().run_turns(world.call(agent=agent, worker=worker(), budgets=(limits,)))
    assert caught.value.type == "timeout"


def _late(world: World, seconds: float) -> str:
    world.clock.time += seconds
    return "late"


# Days


def day(name: str = "run", **limits: Any) -> dict[str, Any]:
    return {"name": name, "day": "workflows/x.yaml", "timezone": "Europe/Rome", **limits}


async def test_a_days_budget_is_shared_by_runs_and_begins_anew_at_midnight_of_its_zone() -> None:
    world = World(*["x"] * 20)
    world.clock.time = 1_767_222_000.0  # 2025-12-31, 23:00 in UTC; midnight in Rome

    async def ask(number: int) -> Any:
        call = {"agent": AGENT, "worker": worker(), "key": f"t:{number}", "run_id": f"r{number}"}
        return await world.sessions().run_turns(world.call(**call, budgets=(day(f"run r{number}", cost_per_day=0.58),)))

    world.clock.time -= 60
    await ask(1)
    with pytest.raises(TaskError, match=r"of \$0\.58 is left for run r2 today"):
        await ask(2)
    world.clock.time += 61
    await ask(3)
    assert len(world.model.requests) == 2


async def test_parallel_processes_never_exceed_a_day(tmp_path: Path) -> None:
    shared = [Metering(lambda: SqliteMeters(tmp_path)) for _ in range(4)]
    spent = 0

    async def one(budgets: Budgets, number: int) -> None:
        nonlocal spent
        account = budgets.account(f"run {number}", day(f"run {number}", tokens_per_day=100))
        try:
            taken = await budgets.reserve((account,), Reservation(30, 0))
        except BudgetExceededError:
            return
        await asyncio.sleep(0)
        spent += 7
        budgets.settle(taken, tokens=7, cost=0)

    everybody = [Budgets(metering=metering) for metering in shared]
    await asyncio.gather(*(one(everybody[number % 4], number) for number in range(100)))
    for metering in shared:
        await metering.close()
    # Reserved 30, used 7: the eleventh finds 77 drawn, and 77 + 30 is too much.
    assert spent == 77


# Thresholds


async def test_eighty_and_a_hundred_percent_are_told_once_each() -> None:
    told: list[dict[str, Any]] = []
    manager = DelegateManager()
    manager.register("budget_threshold_reached", lambda sender, event_type, **said: told.append(said))
    world = World(*["x"] * 12)
    world.factory._delegates = lambda run_id: manager
    for number in range(10):
        await world.sessions().run_turns(world.call(**within({"turns": 10}, key=str(number))))
    with pytest.raises(TaskError, match="0 of 10 turns are left for"):
        await world.sessions().run_turns(world.call(**within({"turns": 10}, key="more")))
    assert [(said["percent"], said["used"], said["most"]) for said in told] == [(80, 8.0, 10.0), (100, 10.0, 10.0)]
    for said in told:
        check_payload("budget_threshold_reached", said)
    lines = [said["message"] for said in world.said("progress")]
    assert "80 % of `turns` is used up for run 0: 8 of 10" in lines


async def test_what_is_refused_at_the_first_request_is_told_as_used_up() -> None:
    world = World("x")
    with pytest.raises(TaskError):
        await world.sessions().run_turns(world.call(**within({"cost": 0.01})))
    lines = [said["message"] for said in world.said("progress")]
    assert any("`cost` is used up for run" in line and "does not fit" in line for line in lines), lines


# Who shares what


async def test_an_agents_own_budget_is_for_each_of_its_conversations() -> None:
    world = World("x", "y", "z")
    agent = {**AGENT, "budget": {"turns": 1}}
    for key in ("a", "b"):
        await world.sessions().run_turns(world.call(agent=agent, worker=worker(), key=key))
    await world.sessions().run_turns(world.call(agent=agent, worker=worker(), key="c", session="s"))
    with pytest.raises(TaskError, match="0 of 1 turns are left for conversation r1/agent/@s"):
        await world.sessions().run_turns(world.call(agent=agent, worker=worker(), key="d", session="s"))


async def test_two_agents_that_ask_each_other_for_ever_are_stopped_before_the_request_that_would_exceed() -> None:
    agents = {
        "ping": {"model": "scripted/m", "sub_agents": ["pong"], **AGENT},
        "pong": {"model": "scripted/m", "sub_agents": ["ping"], **AGENT},
    }

    def on(request: Any) -> Turn:
        (tool,) = request.tools
        return Turn(tool_calls=[(tool.name, {"prompt": f"again {len(world.model.requests)}"})])

    world = World(*[on] * 200)
    call = world.call(agent_id="ping", agent=agents["ping"], agents=agents, budgets=({"name": "run r1", "turns": 9},))
    with pytest.raises(TaskError) as caught:
        await world.sessions().run_turns(call)
    assert caught.value.type == "budget"
    assert len(world.model.requests) == 9
    assert len(paid_calls(world.journal, "r1")) == 9


async def test_a_task_that_resets_its_counters_still_draws_on_the_run() -> None:
    world = World(*["x"] * 50)
    ended = await asyncio.gather(
        *(world.sessions().run_turns(world.call(**_sub_task(number))) for number in range(20)), return_exceptions=True
    )
    stopped = [error for error in ended if isinstance(error, TaskError)]
    assert {error.type for error in stopped} == {"budget"}
    assert (len(world.model.requests), len(stopped)) == (5, 15)


def _sub_task(number: int) -> dict[str, Any]:
    name = f"a[{number}]"
    own = {"name": f"task {name} of run r1", "streams": "r1/agent/", "task": name, "turns": 3}
    run = {"name": "run r1", "streams": "r1/agent/", "turns": 5}
    return {"agent": AGENT, "worker": worker(), "key": f"r1:{name}", "budgets": (run, own)}


async def test_a_resumed_task_begins_with_what_it_and_all_inside_it_spent() -> None:
    world = World(*["x"] * 10)
    name = {"name": "task build[a] of run r1", "streams": "r1/agent/", "task": "build[a]", "turns": 3}
    for key in ("r1:build[a].code", "r1:build[a].rounds#2.test", "r1:build[b].code", "r1:buildings"):
        await world.sessions().run_turns(world.call(agent=AGENT, worker=worker(), key=key))
    world.start()
    call = {"agent": AGENT, "worker": worker(), "budgets": (name,)}
    await world.sessions().run_turns(world.call(key="r1:build[a].more", **call))
    with pytest.raises(TaskError, match="0 of 3 turns are left for"):
        await world.sessions().run_turns(world.call(key="r1:build[a].last", **call))


@pytest.mark.parametrize(
    ("name", "task", "expected"),
    [
        ("build", "build", True),
        ("build[a].code", "build", True),
        ("build~2.code", "build", True),
        ("build#3", "build", True),
        ("build/call-1", "build", True),
        ("buildings", "build", False),
        ("other.build", "build", False),
        ("a~3.b[1]", "a.b", True),
    ],
)
def test_what_is_inside_a_task_is_known_by_its_name(name: str, task: str, expected: bool) -> None:
    assert is_within(name, task) is expected


# Rate limits


async def test_a_conversation_waits_for_its_window_and_says_until_when() -> None:
    world = World("x", "y")
    limits = worker(rate_limits={"max_requests_per_minute": 1})
    await world.sessions().run_turns(world.call(agent=AGENT, worker=limits, key="a"))
    before = world.clock.time
    await world.sessions().run_turns(world.call(agent=AGENT, worker=limits, key="b"))
    assert world.clock.time - before >= 59
    assert any("limit of 1 requests a minute is used up" in said["message"] for said in world.said("progress"))


async def test_a_wait_beyond_the_deadline_fails_with_when_to_retry() -> None:
    world = World("x", "y")
    limits = worker(rate_limits={"max_requests_per_day": 1})
    await world.sessions().run_turns(world.call(agent=AGENT, worker=limits, key="a"))
    late = world.call(agent=AGENT, worker=limits, key="b", deadline=world.clock.time + 100)
    with pytest.raises(TaskError) as caught:
        await world.sessions().run_turns(late)
    assert caught.value.type == "rate_limited"
    assert caught.value.meta["retry_after"] == pytest.approx(86_400, rel=0.01)
    assert len(world.model.requests) == 1


async def test_agents_on_one_worker_take_turns_at_its_places_even_behind_each_other() -> None:
    agents = {
        "boss": {"worker": "w", "sub_agents": ["hand"], **AGENT},
        "hand": {"worker": "w", **AGENT},
    }
    limits = worker(rate_limits={"max_concurrent_active_instances": 1})

    world = World(Turn(tool_calls=[("ask_hand", {"prompt": "dig"})]), "dug", "done")
    call = world.call(
        agent_id="boss", agent=agents["boss"], agents=agents, worker=limits, workers={"w": limits}, budgets=()
    )
    answer = await asyncio.wait_for(world.sessions().run_turns(call), 10)
    assert answer.value == "done"


async def test_stopped_while_it_waits_for_a_place_it_stops_at_once() -> None:
    gate = asyncio.Event()
    world = World(Turn(text="x", gate=gate), "y")
    limits = worker(rate_limits={"max_concurrent_active_instances": 1})
    sessions = world.sessions()
    first = asyncio.create_task(sessions.run_turns(world.call(agent=AGENT, worker=limits, key="a")))
    await world.model.asked.wait()
    second = asyncio.create_task(
        sessions.run_turns(world.call(agent=AGENT, worker=limits, key="b", control=lambda: "stop" if waits else None))
    )
    waits = False
    while not any("waits for one" in said["message"] for said in world.said("progress")):
        if second.done() or world.clock.slept:
            break
        await asyncio.sleep(0)
    waits = True
    with pytest.raises(TaskError, match="stopped"):
        await asyncio.wait_for(second, 10)
    gate.set()
    assert (await first).value == "x"
    assert len(world.model.requests) == 1


# Laws


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 300),
    st.integers(0, 200),
    st.integers(0, 60),
    st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1), st.sampled_from(["settle", "withdraw"])), max_size=40),
)
def test_nested_accounts_and_their_day_never_exceed_and_sum_exactly(
    run_max: int, day_max: int, task_max: int, wishes: list[tuple[int, float, str]]
) -> None:
    async def world() -> None:
        metering = Metering(MemoryMeters)
        budgets = Budgets(metering=metering, sleep=lambda seconds: asyncio.sleep(0))
        run = budgets.account("run", day("run", tokens=run_max, tokens_per_day=day_max))
        tasks = [budgets.account(f"task {number}", {"tokens": task_max}) for number in range(3)]
        booked: dict[str, int] = {"run": 0, "task 0": 0, "task 1": 0, "task 2": 0}

        async def one(number: int, bound: int, share: float, fate: str) -> None:
            accounts: tuple[Account, ...] = (run, tasks[number % 3])
            try:
                taken = await budgets.reserve(accounts, Reservation(bound, 0))
            except BudgetExceededError:
                return
            assert run.tokens_spent + run.tokens_reserved <= run_max
            await asyncio.sleep(0)
            if fate == "withdraw":
                budgets.withdraw(taken)
                return
            used = int(bound * share)
            budgets.settle(taken, tokens=used, cost=0)
            for account in accounts:
                booked[account.name] += used

        await asyncio.gather(*(one(number, *wish) for number, wish in enumerate(wishes)))
        for account in (run, *tasks):
            assert account.tokens_spent == booked[account.name]
            assert account.tokens_reserved == account.cost_reserved == account.turns_reserved == account.out == 0
        assert booked["run"] <= min(run_max, day_max)
        left = await budgets.day_left(run, "tokens_per_day")
        assert left == day_max - booked["run"]
        await metering.close()

    asyncio.run(asyncio.wait_for(world(), 20))


async def test_a_wait_for_a_window_is_on_record_and_goes_on_in_another_process() -> None:
    world = World("x", "y")
    limits = worker(rate_limits={"max_requests_per_minute": 1})
    await world.sessions().run_turns(world.call(agent=AGENT, worker=limits, key="a"))
    asleep, call = asyncio.Event(), world.call(agent=AGENT, worker=limits, key="b")
    quick = world.clock.sleep

    async def for_ever(seconds: float) -> None:
        if seconds < 10:
            await quick(seconds)
            return
        asleep.set()
        await asyncio.Event().wait()

    world.clock.sleep = for_ever  # type: ignore[method-assign]
    metering = world.factory._metering
    world.start()
    # The meters of the first process are those of the second: a state folder would be.
    world.factory.gate._metering = world.factory.budgets._metering = metering
    waiting = asyncio.create_task(world.sessions().run_turns(call))
    await asyncio.wait_for(asleep.wait(), 10)
    session = read_session(world.journal, "r1/agent/b")
    assert session.exchange is not None
    assert session.exchange.phase == "backing_off"
    assert session.exchange.wake_at is not None
    assert 59 < session.exchange.wake_at - world.clock.time < 70
    # As kill -9 leaves it: what is on record is all there is.
    left = _copied(world.journal)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    world.clock.sleep = quick  # type: ignore[method-assign]
    world.journal = left
    began = world.clock.time
    world.start()
    world.factory.gate._metering = world.factory.budgets._metering = metering
    answer = await world.sessions().run_turns(call)
    assert answer.value == "y"
    assert world.clock.time - began > 59
    assert len(world.model.requests) == 2


def _copied(journal: MemoryJournal) -> MemoryJournal:
    copy = MemoryJournal()
    for row in journal.rows():
        for stored in journal.read(row.stream):
            batch = Batch(
                stream=row.stream, expected=stored.first - 1, count=stored.count, payload=stored.payload, row=row
            )
            copy.append(batch, lambda error: None)
    return copy
