from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ai.world import World
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ai.budgets import Budgets
from orchestrator.ai.prices import PriceBook
from orchestrator.ai.record import summary
from orchestrator.core.budget import (
    Account,
    Reservation,
    amount,
    fits,
    money,
    refusal,
    reserve,
    settle,
    shown,
    withdraw,
)
from orchestrator.core.messages import Usage
from orchestrator.errors import TaskError, UsageError
from orchestrator.ports.chat_model import ChatModelError
from orchestrator.ports.journal import Batch, StreamRow
from orchestrator.testing.scripted import Turn

DEAR = {"input_per_token": 0.001, "output_per_token": 0.01}
"""A currency's thousandth for a token in, a hundredth for one out."""


def budget(**limits: Any) -> dict[str, Any]:
    return {"budgets": ({"name": "run r1", **limits},), "worker": worker()}


def worker() -> dict[str, Any]:
    return {"provider": "scripted", "model_name": "m", "cost_metrics": DEAR}


async def test_a_request_that_could_exceed_the_budget_is_never_sent() -> None:
    world = World("never")
    call = world.call(agent={"ai_config": {"max_tokens": 100}}, **budget(cost=1.0))
    with pytest.raises(TaskError, match=r"may cost up to \$1\.\d+; \$1\.00 of \$1\.00 is left for run r1") as caught:
        await world.sessions().run_turns(call)
    assert caught.value.type == "budget"
    assert world.model.requests == []


async def test_what_was_really_used_is_settled_so_the_next_one_fits() -> None:
    # Each may cost up to about 0.53 and costs 0.01 + 0.05; only ten fit one after the other if they are settled.
    world = World(*["x"] * 8)
    sessions = world.sessions()
    for number in range(8):
        call = world.call(agent={"ai_config": {"max_tokens": 50}}, key=str(number), **budget(cost=1.0))
        assert (await sessions.run_turns(call)).cost == pytest.approx(0.06)


async def test_concurrent_calls_wait_for_each_other_instead_of_failing() -> None:
    world = World(*["x"] * 10)
    sessions = world.sessions()
    calls = [
        world.call(agent={"ai_config": {"max_tokens": 50}}, key=str(number), **budget(cost=1.2)) for number in range(10)
    ]
    answers = await asyncio.gather(*(sessions.run_turns(call) for call in calls))
    assert sum(answer.cost or 0 for answer in answers) == pytest.approx(0.6)


async def test_a_hundred_at_once_never_reserve_more_than_there_is() -> None:
    highest = 0

    def look(request: Any) -> str:
        nonlocal highest
        (account,) = world.factory.budgets._accounts.values()
        highest = max(highest, account.cost_spent + account.cost_reserved)
        return "x"

    world = World(*[look] * 100)
    sessions = world.sessions()
    calls = [world.call(agent={"ai_config": {"max_tokens": 50}}, key=str(n), **budget(cost=3.0)) for n in range(100)]
    answers = await asyncio.gather(*(sessions.run_turns(call) for call in calls), return_exceptions=True)
    failed = [answer for answer in answers if isinstance(answer, TaskError)]
    (account,) = world.factory.budgets._accounts.values()
    assert {error.type for error in failed} == {"budget"}
    assert money(1.0) < highest <= money(3.0)
    assert account.cost_reserved == account.tokens_reserved == account.turns_reserved == 0
    assert account.cost_spent == (100 - len(failed)) * money(0.06)


async def test_tokens_and_turns_are_budgets_too() -> None:
    world = World("x", "y", "z")
    sessions = world.sessions()
    with pytest.raises(TaskError, match="tokens"):
        await sessions.run_turns(world.call(agent={"ai_config": {"max_tokens": 50}}, **budget(tokens=40)))
    limits = {"budgets": ({"name": "turns", "turns": 1},), "worker": worker()}
    await sessions.run_turns(world.call(key="a", **limits))
    with pytest.raises(TaskError, match="0 of 1 turns are left for"):
        await sessions.run_turns(world.call(key="b", **limits))


async def test_nested_budgets_must_all_have_room() -> None:
    world = World("x")
    call = world.call(
        agent={"ai_config": {"max_tokens": 50}},
        worker=worker(),
        budgets=({"name": "run", "cost": 100}, {"name": "task t", "cost": 0.1}),
    )
    with pytest.raises(TaskError, match="task t"):
        await world.sessions().run_turns(call)
    assert all(account.cost_reserved == 0 for account in world.factory.budgets._accounts.values())


async def test_an_unknown_price_is_refused_under_a_cost_budget_unless_allowed() -> None:
    world = World("x")
    free = {"provider": "scripted", "model_name": "m"}
    refused = world.call(agent={}, worker=free, budgets=({"name": "one", "cost": 1},))
    with pytest.raises(TaskError, match="price of this model is unknown"):
        await world.sessions().run_turns(refused)
    allowed = world.call(agent={}, worker=free, budgets=({"name": "two", "cost": 1, "allow_unpriced": True},))
    assert (await world.sessions().run_turns(allowed)).value == "x"


async def test_embedded_models_draw_on_no_money() -> None:
    world = World()
    call = world.call(agent={"model": "embedded/writer"}, budgets=({"name": "r", "cost": 0.0},))
    assert (await world.sessions().run_turns(call)).cost is None


async def test_without_max_tokens_the_budget_sets_a_limit_and_says_so() -> None:
    world = World("x")
    await world.sessions().run_turns(world.call(agent={}, **budget(cost=1.0)))
    limit = world.model.requests[0].max_tokens
    assert limit is not None
    assert 64 <= limit <= 100
    assert any(f"limited to {limit} tokens by the budget" in said["message"] for said in world.said("progress"))


async def test_a_failed_request_that_cost_nothing_is_given_back_and_a_cut_one_is_not() -> None:
    world = World(
        ChatModelError("overloaded", "later", charged=False), Turn(text="cut", ends_early=True), Turn(text="whole")
    )
    await world.sessions().run_turns(world.call(agent={"ai_config": {"max_tokens": 50}}, **budget(cost=5.0)))
    (account,) = world.factory.budgets._accounts.values()
    assert account.cost_reserved == 0
    assert money(0.5) < account.cost_spent < money(0.7)
    assert account.turns_spent == 3


async def test_a_resumed_run_begins_with_what_it_spent() -> None:
    world = World("x", "y")
    call = {"agent": {"ai_config": {"max_tokens": 50}}, **budget(cost=0.58)}
    await world.sessions().run_turns(world.call(key="a", **call))
    world.start()
    with pytest.raises(TaskError, match="is left for run r1"):
        await world.sessions().run_turns(world.call(key="b", **call))
    assert len(world.model.requests) == 1


async def test_a_resumed_run_also_counts_what_the_runs_it_called_have_spent() -> None:
    world = World("x", "y")
    agent = {"ai_config": {"max_tokens": 50}}
    limits = {"budgets": ({"name": "run r1", "streams": "r1/agent/", "cost": 0.58},), "worker": worker()}
    child = world.call(agent=agent, run_id="r2", key="a", **limits)
    row = StreamRow(stream="r2", status="running", parent="r1")
    world.journal.append(Batch(stream="r2", expected=0, count=1, payload=b"x", row=row), lambda error: None)
    await world.sessions().run_turns(child)
    world.start()
    with pytest.raises(TaskError, match="is left for run r1"):
        await world.sessions().run_turns(world.call(agent=agent, key="b", **limits))


async def test_stopped_while_it_waits_for_budget_nothing_stays_reserved() -> None:
    world = World(Turn(text="x", gate=asyncio.Event()))
    sessions = world.sessions()
    settings = {"agent": {"ai_config": {"max_tokens": 50}}, **budget(cost=0.8)}
    first = asyncio.create_task(sessions.run_turns(world.call(key="a", **settings)))
    await world.model.asked.wait()
    waiting = asyncio.Event()
    wait = world.factory.budgets._somebody_settles

    async def told() -> None:
        waiting.set()
        await wait()

    world.factory.budgets._somebody_settles = told  # type: ignore[method-assign]
    second = asyncio.create_task(sessions.run_turns(world.call(key="b", **settings)))
    await waiting.wait()
    for task in (second, first):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    (account,) = world.factory.budgets._accounts.values()
    assert (account.cost_reserved, account.turns_reserved, account.turns_spent) == (0, 0, 1)


def test_a_summary_counts_what_is_unknown_at_its_bound() -> None:
    from core.test_session import World as Machine

    machine = Machine()
    machine.ask()
    machine.send()
    assert summary(machine.session)["tokens"] == 100


@given(
    st.integers(0, 10**14),
    st.lists(st.tuples(st.integers(0, 10**12), st.sampled_from(["settle", "withdraw", "over"])), max_size=40),
)
def test_reserved_and_spent_never_exceed_the_limit_and_nothing_stays_reserved(limit: int, wishes: list[Any]) -> None:
    account = Account(name="b", cost_max=limit)
    out: list[tuple[Reservation, str]] = []
    for cost, fate in wishes:
        wish = Reservation(1, cost)
        if refusal(account, wish) is None and fits(account, wish):
            reserve(account, wish)
            out.append((wish, fate))
        assert account.cost_spent + account.cost_reserved <= limit
        if len(out) > 3:
            _end(account, *out.pop(0))
    for wish, fate in out:
        _end(account, wish, fate)
    assert account.cost_reserved == account.tokens_reserved == account.turns_reserved == 0
    assert account.cost_spent <= limit


def _end(account: Account, wish: Reservation, fate: str) -> None:
    if fate == "withdraw":
        withdraw(account, wish)
    else:
        settle(account, wish, 1, wish.cost or 0 if fate == "over" else (wish.cost or 0) // 3)


def test_money_is_exact_where_floats_are_not() -> None:
    assert sum(money(0.1) for _ in range(10)) == money(1)
    assert amount(money("0.000000075")) == 0.000000075


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [
        (0, "USD", "$0.00"),
        (money(1.5), "USD", "$1.50"),
        (money(0.01234), "EUR", "0.012 EUR"),
        (money(1e-7), "USD", "$0.00000010"),
    ],
)
def test_money_is_shown_with_the_digits_that_count(value: int, currency: str, text: str) -> None:
    assert shown(value, currency) == text


def test_a_workers_prices_win_and_cached_tokens_have_their_own() -> None:
    book = PriceBook({"currency": "EUR", "input_per_million": 2, "output_per_million": 8, "cached_per_million": 0.5})
    assert book.currency == "EUR"
    cost = book.cost("openai", "gpt-4o", Usage(1_000_000, 1_000_000, 500_000))
    assert cost == money(1 + 0.25 + 8)


def test_a_price_nobody_knows_the_name_of_is_an_error() -> None:
    with pytest.raises(UsageError, match="unknown price `input`"):
        PriceBook({"input": 1})


@pytest.mark.parametrize(("cost", "expected"), [(0.5, "USD"), ("$0.50", "USD"), ("0.50 EUR", "EUR")])
def test_a_budget_may_be_written_as_money(cost: Any, expected: str) -> None:
    account = Budgets().account("b", {"cost": cost})
    assert (account.cost_max, account.currency) == (money(0.5), expected)
