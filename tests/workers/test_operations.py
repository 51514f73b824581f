"""The same operations for an agent: looking and asking freely, changing only where it was told so, money never."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from workers.house import House, worker
from workers.test_performance import call

from orchestrator.errors import TaskError
from orchestrator.ports.tool import ToolContext
from orchestrator.ports.workers import OPERATIONS, Asker
from orchestrator.testing.scripted import ScriptedModel, Turn
from orchestrator.tools.workers import TOOLS
from orchestrator.workers.definitions import PROTECTED
from orchestrator.workers.errors import InvalidArgumentError, WorkerError, WorkerNotFoundError
from orchestrator.workers.operations import ManagedOperations
from orchestrator.workers.performance import task_name
from orchestrator.workers.spending import spending


def operations(house: House, *definitions: Any, **more: Any) -> ManagedOperations:
    manager = house.manager(*definitions, **more)
    return ManagedOperations(lambda: manager, house.journal)


def context(house: House, made: ManagedOperations, *, permissions: Any = None, run: str = "r1") -> ToolContext:
    agent_call = call(house, run, "t")
    agent_call.agent = {**agent_call.agent, "permissions": permissions} if permissions else agent_call.agent
    return ToolContext(
        run_id=run,
        task="t",
        key=f"{run}:t",
        project=house.root,
        cwd=house.root,
        run_dir=house.root,
        services=SimpleNamespace(workers=made),  # type: ignore[arg-type]  # all that these tools reach
        call=agent_call,
    )


async def tools(house: House, made: ManagedOperations, *wanted: str, **more: Any) -> dict[str, Any]:
    return {tool.name: tool for tool in await TOOLS.open(context(house, made, **more), wanted or ("workers.*",))}


def test_every_operation_has_a_schema_and_every_schema_is_closed() -> None:
    for operation in OPERATIONS.values():
        Draft202012Validator.check_schema(operation.parameters)
        assert operation.parameters["additionalProperties"] is False


def test_no_operation_takes_keys_limits_prices_or_addresses() -> None:
    for name, operation in OPERATIONS.items():
        properties = dict(operation.parameters["properties"])
        properties |= properties.get("changes", {}).get("properties", {})
        assert not (PROTECTED - {"definition_id"}) & set(properties), name


@pytest.mark.parametrize(
    "arguments",
    [
        {"auth": {"inline": "x"}}, {"rate_limits": {}}, {"costMetrics": {}},
        {"base_config": {"base_url": "http://127.0.0.1:9"}}, {"baseConfig": {"baseUrl": "http://127.0.0.1:9"}},
    ],
)  # fmt: skip
async def test_what_is_a_persons_to_set_is_refused_in_every_spelling(tmp_path: Path, arguments: dict[str, Any]) -> None:
    made = operations(House(tmp_path))
    new = {"definition_id": "new", "provider": "scripted", "model_name": "m"}
    with pytest.raises(InvalidArgumentError, match="not for agents"):
        await made.perform("add", {**new, **arguments})
    with pytest.raises(InvalidArgumentError, match="not for agents"):
        await made.perform("update", {"definition_id": "fast", "changes": arguments})
    assert [one["definition_id"] for one in await made.perform("list", {})] == ["fast"]


async def test_a_call_may_not_send_the_key_elsewhere(tmp_path: Path) -> None:
    house = House(tmp_path, "x")
    overrides = {"config_overrides": {"base_url": "http://127.0.0.1:9"}}
    for operation, more in (("run", {"prompt": "Hi"}), ("spawn", {})):
        with pytest.raises(InvalidArgumentError, match="base_url"):
            await operations(house).perform(operation, {"definition_id": "fast", **more, **overrides})
    assert house.model.requests == []


@pytest.mark.parametrize(
    ("operation", "arguments", "error"),
    [
        ("rnu", {}, WorkerNotFoundError),
        ("run", {"definition_id": "fast"}, InvalidArgumentError),
        ("run", {"definition_id": "fast", "prompt": 3}, InvalidArgumentError),
        ("get", {"definition_id": "slow"}, WorkerNotFoundError),
        ("costs", {"by": "weather"}, InvalidArgumentError),
        ("list", {"colour": "red"}, InvalidArgumentError),
        ("feedback", {"instance_id": "i", "task_id": "t", "rating": 11}, InvalidArgumentError),
        ("feedback", {"instance_id": "i", "task_id": "t", "rating": 1}, WorkerNotFoundError),
    ],
)
async def test_arguments_are_checked_before_anything_happens(
    tmp_path: Path, operation: str, arguments: dict[str, Any], error: type[WorkerError]
) -> None:
    house = House(tmp_path, "x")
    with pytest.raises(error) as caught:
        await operations(house).perform(operation, arguments)
    assert caught.value.shown()["kind"] == error.kind
    assert house.model.requests == []


async def test_changing_workers_takes_being_named_under_allow(tmp_path: Path) -> None:
    house = House(tmp_path)
    changing = {f"workers.{name}" for name, one in OPERATIONS.items() if one.changes}
    assert changing == {"workers.add", "workers.update", "workers.remove"}
    offered = {
        None: set(),
        ("*",): set(),
        ("workers.run",): set(),
        ("workers.add",): {"workers.add"},
        ("workers.*",): changing,
    }
    for allow, expected in offered.items():
        permissions = {"allow": list(allow)} if allow else None
        found = await tools(house, operations(house), permissions=permissions)
        assert set(found) == {f"workers.{name}" for name in OPERATIONS} - changing | expected


async def test_an_agent_that_was_not_told_so_cannot_add(tmp_path: Path) -> None:
    house = House(tmp_path)
    with pytest.raises(TaskError, match=r"workers\.add") as caught:
        await tools(house, operations(house), "workers.add", "workers.list")
    assert caught.value.type == "denied"


async def test_what_an_agent_adds_is_kept_and_can_be_asked(tmp_path: Path) -> None:
    house = House(tmp_path, "hello")
    made = operations(house, kept=tmp_path / "state")
    found = await tools(house, made, permissions={"allow": ["workers.*"]})
    new = {"definition_id": "new", "provider": "scripted", "model_name": "m", "interaction_models": ["stateless_task"]}
    await found["workers.add"].call(new, "c1")
    answer = await found["workers.run"].call({"definition_id": "new", "prompt": "Hi"}, "c2")
    assert (answer["output"], answer["record"]["cost_incurred"]) == ("hello", None)
    later = house.manager(worker("other"), kept=tmp_path / "state")
    assert later.get_definition("new").model_name == "m"


async def test_asking_a_worker_is_the_askers_to_pay_and_happens_once(tmp_path: Path) -> None:
    house = House(tmp_path, "only once")
    made = operations(house)
    run = (await tools(house, made))["workers.run"]
    first = await run.call({"definition_id": "fast", "prompt": "Hi"}, "call_1")
    house.sessions = house.loops()
    again = await (await tools(house, operations(house)))["workers.run"].call(
        {"definition_id": "fast", "prompt": "Hi"}, "call_1"
    )
    assert first == again
    assert len(house.model.requests) == 1
    (row,) = house.journal.rows()
    assert row.stream.startswith("r1/agent/r1:t/call_1/stateless-")
    assert [one.name for one in spending(house.journal, "task")] == ["(no workflow) t"]
    assert len(house.manager().get_performance_records(task_id="t")) == 1


async def test_the_askers_budget_holds_for_what_it_asks_of_workers(tmp_path: Path) -> None:
    house = House(tmp_path, "unsaid")
    pot = {"name": "r1", "cost": "0.000001", "currency": "USD"}
    asker = Asker(run_id="r1", key="r1:t/c1", budgets=(pot,))
    with pytest.raises(WorkerError, match=r"left"):
        await operations(house).perform("run", {"definition_id": "fast", "prompt": "Hi"}, asker)
    assert house.model.requests == []


async def test_what_an_instance_is_asked_for_a_task_costs_that_task(tmp_path: Path) -> None:
    asked = Turn(tool_calls=[("workers_converse", {"instance_id": "?", "prompt": "1?"})])
    house = House(tmp_path, "one", lead=ScriptedModel(asked, "done"))
    made = operations(house)
    instance = (await made.perform("spawn", {"definition_id": "fast"}))["instance_id"]
    asked.tool_calls[0][1]["instance_id"] = instance  # type: ignore[index]
    lead = call(house, "r1", "t", definition=None)
    allowed = {"allow": ["workers.converse"]}
    lead.agent = {"model": "scripted/lead", "tools": ["workers.converse"], "permissions": allowed}
    lead.context = context(house, made)
    lead.context.call = lead
    lead.context.services.tools = SimpleNamespace(open=TOOLS.open)  # type: ignore[misc]
    answer = await house.sessions.run_turns(lead)
    assert answer.text == "done"
    assert answer.cost == pytest.approx(0.00002)
    assert answer.usage["requests"] == 3
    assert {one.name for one in spending(house.journal, "task")} == {"(no workflow) t"}


async def test_a_task_that_asks_a_worker_has_its_cost_and_keeps_its_budgets(tmp_path: Path) -> None:
    house = House(tmp_path, "one", "two")
    made = operations(house)
    given = context(house, made)
    given.call, given.budgets = None, ({"name": "r1", "turns": 2},)
    run, spawn, converse = await TOOLS.open(given, ["workers.run", "workers.spawn", "workers.converse"])
    await run.call({"definition_id": "fast", "prompt": "Hi"}, "tool")
    instance = (await spawn.call({"definition_id": "fast"}, "tool"))["instance_id"]
    await converse.call({"instance_id": instance, "prompt": "Hi"}, "tool")
    assert given.costs == [pytest.approx(0.00002)] * 2
    with pytest.raises(TaskError, match="0 of 2 turns are left") as caught:
        await converse.call({"instance_id": instance, "prompt": "And?"}, "tool")
    assert caught.value.type == "budget"


async def test_a_worker_that_fails_is_told_to_the_model_in_words(tmp_path: Path) -> None:
    house = House(tmp_path)
    get = (await tools(house, operations(house)))["workers.get"]
    with pytest.raises(TaskError, match=r"no worker is called 'fats'.*fast"):
        await get.call({"definition_id": "fats"}, "c")


async def test_a_supervisor_sees_what_was_done_and_rates_it(tmp_path: Path) -> None:
    house = House(tmp_path, m=ScriptedModel("x", repeat_last=True))
    made = operations(house)
    await made.perform("run", {"definition_id": "fast", "prompt": "Hi"})
    (record,) = await made.perform("performance", {"success": True, "limit": 5})
    rated = {"instance_id": record["instance_id"], "task_id": record["task_id"], "rating": 7, "comments": "fine"}
    await made.perform("feedback", rated)
    assert (await made.perform("summary", {"definition_id": "fast"}))["average_quality_score"] == 7
    costs = await made.perform("costs", {"by": "worker"})
    assert costs["total"]["costs"] == {"USD": "0.00002"}
    shown = await made.perform("get", {"definition_id": "fast"})
    assert shown["key"]["status"] in ("Not Configured", "Found")


async def test_an_instance_is_spawned_asked_and_retired(tmp_path: Path) -> None:
    house = House(tmp_path, "one", "two")
    made = operations(house)
    instance = (await made.perform("spawn", {"definition_id": "fast"}))["instance_id"]
    assert (await made.perform("converse", {"instance_id": instance, "prompt": "1?"}))["output"] == "one"
    assert (await made.perform("converse", {"instance_id": instance, "prompt": "2?"}))["output"] == "two"
    assert [one["status"] for one in await made.perform("instances", {})] == ["idle"]
    assert (await made.perform("retire", {"instance_id": instance, "reason": "done"}))["status"] == "retired_completed"
    assert (await made.perform("instance", {"instance_id": instance}))["session_token_usage"]["total"] == 30


def test_a_task_keeps_the_slashes_of_its_items() -> None:
    assert task_name("r1:build[a/b].code/call_1/stateless-x:prompt") == "r1:build[a/b].code"
    assert task_name("stateless-x:prompt") == "stateless-x:prompt"
