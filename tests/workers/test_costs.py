"""Where the money went: exact sums, and what is unknown is never nothing."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from workers.house import House, worker
from workers.test_performance import call

from orchestrator.core.messages import Usage
from orchestrator.errors import TaskError
from orchestrator.ports.chat_model import ChatModelError
from orchestrator.testing.scripted import ScriptedModel, Turn
from orchestrator.workers.spending import GROUPS, exact, spending, total


def shown(house: House, by: Any, **more: Any) -> dict[str, tuple[int, dict[str, str], int]]:
    groups = [one.shown() for one in spending(house.journal, by, **more)]
    return {one["name"]: (one["requests"], one["costs"], one["unknown_requests"]) for one in groups}


async def test_money_is_summed_by_everything_it_can_be_asked_by(tmp_path: Path) -> None:
    house = House(tmp_path, m=ScriptedModel("x", repeat_last=True))
    house.run_row("r1", workflow="workflows/a.yaml")
    house.run_row("r2", workflow="workflows/b.yaml")
    await house.sessions.run_turns(call(house, "r1", "one"))
    await house.sessions.run_turns(call(house, "r1", "two", agent="critic"))
    await house.sessions.run_turns(call(house, "r2", "one", definition="slow"))
    one, two = (1, {"USD": "0.00002"}, 0), (2, {"USD": "0.00004"}, 0)
    assert shown(house, "run") == {"r1": two, "r2": one}
    assert shown(house, "workflow") == {"workflows/a.yaml": two, "workflows/b.yaml": one}
    assert shown(house, "agent") == {"writer": two, "critic": one}
    assert shown(house, "worker") == {"fast": two, "slow": one}
    assert shown(house, "model") == {"scripted/m": (3, {"USD": "0.00006"}, 0)}
    assert shown(house, "day") == {"2030-03-17": (3, {"USD": "0.00006"}, 0)}
    assert shown(house, "task") == {
        "workflows/a.yaml one": one, "workflows/a.yaml two": one, "workflows/b.yaml one": one,
    }  # fmt: skip
    for by in GROUPS:
        assert total(spending(house.journal, by)).shown()["costs"] == {"USD": "0.00006"}  # type: ignore[arg-type]


async def test_both_spellings_of_a_model_are_one_model(tmp_path: Path) -> None:
    house = House(tmp_path, m=ScriptedModel("x", repeat_last=True))
    for task, model in (("a", "scripted/m"), ("b", "scripted:m")):
        asked = call(house, "r1", task, definition=None)
        asked.agent = {"model": model}
        await house.sessions.run_turns(asked)
    assert {name: requests for name, (requests, _, _) in shown(house, "model").items()} == {"scripted/m": 2}


async def test_an_unknown_price_and_an_unknown_usage_are_counted_beside_the_sum(tmp_path: Path) -> None:
    cut = ChatModelError("invalid_input", "cut", retryable=False)
    refused = ChatModelError("invalid_input", "no", retryable=False, charged=False)
    house = House(tmp_path, "x", cut, refused)
    unpriced = call(house, "r1", "a")
    unpriced.worker = worker(cost_metrics=None).as_worker()
    await house.sessions.run_turns(unpriced)
    for task in "bc":
        with pytest.raises(TaskError):
            await house.sessions.run_turns(call(house, "r1", task))
    (spent,) = spending(house.journal, "run")
    assert (spent.requests, spent.unknown, spent.failed, spent.costs) == (3, 2, 2, {})
    assert set(spent.at_most) == {"USD"}  # the bound of the one whose price is known


async def test_a_model_that_is_none_is_told_apart_and_costs_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, m=ScriptedModel("x", synthetic=True))
    await house.sessions.run_turns(call(house, "r1", "a"))
    (spent,) = spending(house.journal, "model")
    assert (spent.requests, spent.synthetic, spent.unknown, spent.costs) == (1, 1, 0, {})


async def test_currencies_stay_apart(tmp_path: Path) -> None:
    house = House(tmp_path, m=ScriptedModel(Turn(text="x", usage=Usage(1, 1)), repeat_last=True))
    euro = call(house, "r1", "a")
    euro.worker = worker(cost_metrics={"currency": "EUR", "input_per_token": 1, "output_per_token": 2}).as_worker()
    await house.sessions.run_turns(euro)
    await house.sessions.run_turns(call(house, "r1", "b"))
    assert shown(house, "run") == {"r1": (2, {"EUR": "3", "USD": "0.000003"}, 0)}


async def test_only_what_was_sent_since_then_counts(tmp_path: Path) -> None:
    house = House(tmp_path, m=ScriptedModel("x", repeat_last=True))
    await house.sessions.run_turns(call(house, "r1", "a"))
    between = house.clock.now()
    await house.sessions.run_turns(call(house, "r1", "b"))
    assert list(shown(house, "task", since=between)) == ["(no workflow) b"]
    assert list(shown(house, "task", until=between)) == ["(no workflow) a"]


@pytest.mark.parametrize(
    ("trillionths", "text"), [(0, "0"), (1, "0.000000000001"), (10**12, "1"), (1_500 * 10**12, "1500")]
)
def test_amounts_are_written_to_the_last_digit(trillionths: int, text: str) -> None:
    assert exact(trillionths) == text
    assert Decimal(text) * 10**12 == trillionths
