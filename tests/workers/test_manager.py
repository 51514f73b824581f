"""The facade: definitions, instances, single calls."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workers.house import House, worker

from orchestrator.ports.chat_model import ChatModelError
from orchestrator.testing.scripted import ScriptedModel, Turn
from orchestrator.workers.errors import (
    InvalidArgumentError,
    ModelError,
    PreconditionFailedError,
    WorkerConfigurationError,
    WorkerNotFoundError,
    WorkerRateLimitedError,
)
from orchestrator.workers.instances import STATUS_TABLE, WorkerInstance, moved
from orchestrator.workers.manager import WorkerManager

# Definitions


def test_definitions_are_found_by_every_filter() -> None:
    manager = WorkerManager()
    manager.add_definition(worker("fast", capabilities=["code", "prose"]))
    manager.add_definition(worker("slow", name="The slow one", provider="openai", model_name="gpt-5", auth=None))
    manager.add_definition(worker("old", status="archived", interaction_models=["stateless_task"]))

    def found(**filters: Any) -> list[str]:
        return [one.definition_id for one in manager.list_definitions(**filters)]

    assert found() == ["fast", "old", "slow"]
    assert found(definition_id="old") == ["old"]
    assert found(name="SLOW") == ["slow"]
    assert found(provider="openai") == ["slow"]
    assert found(model="gpt-5") == found(model="openai/gpt-5") == ["slow"]
    assert found(status="archived") == ["old"]
    assert found(interaction_model="conversational") == ["fast", "slow"]
    assert found(capabilities=["prose", "code"]) == ["fast"]
    assert found(capabilities=["prose", "songs"]) == []


def test_an_id_is_taken_once_and_an_unknown_one_names_its_neighbours() -> None:
    manager = WorkerManager()
    manager.add_definition(worker())
    with pytest.raises(PreconditionFailedError, match="already"):
        manager.add_definition(worker())
    with pytest.raises(WorkerNotFoundError) as caught:
        manager.get_definition("fats")
    assert "fast" in (caught.value.help or "")


def test_what_a_file_declares_is_not_changed_here() -> None:
    manager = WorkerManager([worker()], places={"fast": "config/workers/models.yaml:1"})
    for change in (
        lambda: manager.update_definition("fast", {"status": "disabled"}),
        lambda: manager.remove_definition("fast"),
    ):
        with pytest.raises(PreconditionFailedError, match=r"config/workers/models\.yaml:1"):
            change()
    assert manager.get_definition("fast").status == "active"


def test_a_workflows_own_workers_come_first_and_only_for_it() -> None:
    manager = WorkerManager([worker()])
    view = manager.beside({"fast": {"provider": "scripted", "model_name": "other"}})
    assert view.get_definition("fast").model_name == "other"
    assert manager.get_definition("fast").model_name == "m"
    view.add_definition(worker("new"))
    assert manager.get_definition("new").definition_id == "new"


def test_a_worker_with_instances_at_work_stays() -> None:
    manager = WorkerManager()
    manager.add_definition(worker())
    instance = manager.spawn("fast")
    with pytest.raises(PreconditionFailedError, match="at work"):
        manager.remove_definition("fast")
    manager.retire(instance.instance_id)
    manager.remove_definition("fast")
    with pytest.raises(WorkerNotFoundError):
        manager.get_definition("fast")


# Instances


@pytest.mark.parametrize("status", ["disabled", "archived"])
def test_only_active_workers_spawn(status: str) -> None:
    manager = WorkerManager([worker(status=status)])
    with pytest.raises(PreconditionFailedError, match=status):
        manager.spawn("fast")


def test_an_instance_has_the_workers_settings_and_its_own() -> None:
    manager = WorkerManager([worker(base_config={"temperature": 0.5}, default_file_contexts=["a.md"])])
    made = manager.spawn("fast", {"max_tokens": 9}, ["b.md", "a.md"])
    assert (made.status, made.current_config) == ("idle", {"temperature": 0.5, "max_tokens": 9})
    assert made.active_file_contexts == ("a.md", "b.md")
    assert manager.get_instance(made.instance_id) == made


def test_no_more_instances_are_at_work_than_the_worker_allows() -> None:
    manager = WorkerManager([worker(rate_limits={"max_concurrent_active_instances": 2})])
    with ThreadPoolExecutor(8) as threads:
        tried = list(threads.map(lambda _: _spawned(manager), range(24)))
    assert tried.count(True) == 2
    manager.retire(manager.list_active()[0].instance_id)
    assert _spawned(manager)


def _spawned(manager: WorkerManager) -> bool:
    try:
        manager.spawn("fast")
    except WorkerRateLimitedError:
        return False
    return True


def test_the_table_is_the_only_way_from_one_status_to_another() -> None:
    start = WorkerInstance(instance_id="i", definition_id="d", created_at=0.0, last_activity_at=0.0)
    for status, next_ones in STATUS_TABLE.items():
        here = moved_to(start, status)
        for target in STATUS_TABLE:
            if target in next_ones or target == status:
                assert moved(here, target, 1.0).status == target
            else:
                with pytest.raises(PreconditionFailedError, match=f"is {status} and cannot become {target}"):
                    moved(here, target, 1.0)
    assert all(not STATUS_TABLE[one] for one in STATUS_TABLE if one.startswith("retired"))


def moved_to(instance: WorkerInstance, status: Any) -> WorkerInstance:
    import msgspec

    return msgspec.structs.replace(instance, status=status)


def test_every_status_can_be_reached_and_left_for_good() -> None:
    reached, front = {"initializing"}, ["initializing"]
    while front:
        for target in STATUS_TABLE[front.pop()]:  # type: ignore[index]
            if target not in reached:
                reached.add(target)
                front.append(target)
    assert reached == set(STATUS_TABLE)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=60))
def test_token_counts_are_exact_however_many_count_at_once(counted: list[tuple[int, int]]) -> None:
    manager = WorkerManager([worker()])
    instance = manager.spawn("fast").instance_id
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda one: manager.update_token_usage(instance, *one), counted))
    usage = manager.get_instance(instance).session_token_usage
    assert (usage.input, usage.output) == (sum(a for a, _ in counted), sum(b for _, b in counted))
    assert usage.total == usage.input + usage.output


def test_definitions_added_and_removed_by_many_threads_are_all_there_in_the_end() -> None:
    manager = WorkerManager()

    def one(number: int) -> None:
        manager.add_definition(worker(f"w{number}"))
        manager.update_definition(f"w{number}", {"capabilities": [str(number)]})
        if number % 3 == 0:
            manager.remove_definition(f"w{number}")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, range(60)))
    assert {each.definition_id: each.capabilities for each in manager.list_definitions()} == {
        f"w{number}": (str(number),) for number in range(60) if number % 3
    }


def test_an_instance_that_used_its_workers_day_alone_says_so() -> None:
    manager = WorkerManager([worker(rate_limits={"max_tokens_per_day": 100})])
    instance = manager.spawn("fast").instance_id
    assert manager.update_token_usage(instance, 60, 39).status == "idle"
    full = manager.update_token_usage(instance, 1, 0)
    assert (full.status, full.last_error) == ("token_limit_reached", "100 of 100 tokens are used")
    with pytest.raises(InvalidArgumentError):
        manager.update_token_usage(instance, -1, 0)


def test_a_retired_instance_stays_retired() -> None:
    manager = WorkerManager([worker()])
    instance = manager.spawn("fast").instance_id
    retired = manager.retire(instance, "done", status="retired_exhausted")
    assert (retired.status, retired.retirement_reason, manager.list_active()) == ("retired_exhausted", "done", [])
    for change in (lambda: manager.retire(instance), lambda: manager.update_status(instance, "idle")):
        with pytest.raises(PreconditionFailedError):
            change()
    with pytest.raises(InvalidArgumentError):
        manager.retire(instance, status="idle")


# Single calls


async def test_a_single_call_gives_the_answer_and_its_record(tmp_path: Path) -> None:
    house = House(tmp_path, "Fine.")
    manager = house.manager(worker(base_config={"temperature": 0.5}))
    output, record = await manager.execute_stateless_task("fast", "How are you?", {"max_tokens": 9})
    asked = house.model.requests[0]
    assert (output, asked.temperature, asked.max_tokens, asked.messages[0].text) == ("Fine.", 0.5, 9, "How are you?")
    assert record.instance_id.startswith("stateless-")
    assert (record.definition_id, record.success, record.output_summary) == ("fast", True, "Fine.")
    assert (record.llm_metrics.total_tokens, record.llm_metrics.finish_reason) == (15, "stop")
    assert record.cost_incurred == Decimal("0.00002")
    assert manager.get_performance_records() == [record]


async def test_each_refusal_of_a_single_call_has_its_own_error_in_the_promised_order(tmp_path: Path) -> None:
    house = House(tmp_path, "unsaid")
    keyless = {"auth": {"env_var": "NO_SUCH_KEY"}}

    async def full_until(worker: Any) -> float:
        return 1_900_000_100.0

    full = {"check_limits": full_until}

    async def fails(
        error: type[Exception], *definitions: Any, prompt: str = "Hi", who: str = "fast", **more: Any
    ) -> Any:
        with pytest.raises(error) as caught:
            await house.manager(*definitions, **more).execute_stateless_task(who, prompt)
        return caught.value

    bad = {"status": "disabled", "interaction_models": ["conversational"], **keyless}
    await fails(WorkerNotFoundError, worker(**bad), who="nobody", **full)
    assert "disabled" in str(await fails(PreconditionFailedError, worker(**bad), **full))
    bad["status"] = "active"
    assert "single calls" in str(await fails(PreconditionFailedError, worker(**bad), **full))
    bad["interaction_models"] = ["both"]
    limited = await fails(WorkerRateLimitedError, worker(**bad), **full)
    assert limited.retry_at == 1_900_000_100.0
    assert "NO_SUCH_KEY" in str(await fails(WorkerConfigurationError, worker(**bad)))
    await fails(InvalidArgumentError, prompt="  ")
    assert house.model.requests == []
    assert house.journal.rows() == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (ChatModelError("auth", "wrong key", retryable=False), WorkerConfigurationError),
        (ChatModelError("context_too_long", "too long", retryable=False), ModelError),
        (ChatModelError("refused", "no", retryable=False), ModelError),
    ],
)
async def test_what_a_provider_says_becomes_a_typed_error_and_a_failed_record(
    tmp_path: Path, said: ChatModelError, expected: type[Exception]
) -> None:
    manager = House(tmp_path, said).manager()
    with pytest.raises(expected, match=said.message):
        await manager.execute_stateless_task("fast", "Hi")
    (record,) = manager.get_performance_records(success=False)
    assert said.message in record.error_details


async def test_a_rate_limit_of_the_provider_says_when_to_try_again(tmp_path: Path) -> None:
    limited = ChatModelError("rate_limited", "slow down", retry_after=5000.0)
    house = House(tmp_path, limited)
    with pytest.raises(WorkerRateLimitedError) as caught:
        await house.manager().execute_stateless_task("fast", "Hi")
    assert caught.value.retry_at == pytest.approx(house.clock.time + 5000.0, abs=1)


async def test_an_unpriced_model_costs_an_unknown_sum_and_not_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, "a", "b")
    manager = house.manager(worker(cost_metrics=None), worker("priced"))
    _, unknown = await manager.execute_stateless_task("fast", "Hi")
    _, known = await manager.execute_stateless_task("priced", "Hi")
    assert (unknown.cost_incurred, known.cost_incurred) == (None, Decimal("0.00002"))
    summary = manager.get_performance_summary("fast")
    assert (summary.total_cost_incurred, summary.unknown_costs, summary.total_tasks_attempted) == (None, 1, 1)
    assert manager.get_performance_records(cost_min=0) == [known]


async def test_a_model_that_is_none_costs_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, m=ScriptedModel("Hello.", synthetic=True))
    _, record = await house.manager().execute_stateless_task("fast", "Hi")
    assert record.cost_incurred == 0


async def test_files_go_with_the_prompt(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("one")
    (tmp_path / "b.md").write_text("two")
    house = House(tmp_path, "read")
    manager = house.manager(worker(default_file_contexts=["a.md"]))
    _, record = await manager.execute_stateless_task("fast", "Read.", file_contexts=["b.md"])
    assert record.input_context["files"] == ["a.md", "b.md"]
    assert [part.data for part in house.model.requests[0].messages[0].parts if hasattr(part, "data")] == [
        b"one",
        b"two",
    ]


async def test_a_hundred_calls_at_once_are_all_counted(tmp_path: Path) -> None:
    house = House(tmp_path, m=ScriptedModel("x", repeat_last=True))
    manager = house.manager()
    answers = await asyncio.gather(*(manager.execute_stateless_task("fast", f"{n}") for n in range(100)))
    assert len({record.instance_id for _, record in answers}) == 100
    summary = manager.get_performance_summary("fast")
    assert (summary.total_tasks_attempted, summary.total_tokens_processed) == (100, 1500)
    assert summary.total_cost_incurred == Decimal("0.002")
    assert summary.total_instances_spawned == 0


async def test_an_instance_remembers_what_was_said(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("one")
    house = House(tmp_path, "first", "second")
    manager = house.manager(worker(default_file_contexts=["a.md"]))
    instance = manager.spawn("fast").instance_id
    assert await manager.converse(instance, "One?") == "first"
    assert await manager.converse(instance, "Two?") == "second"
    assert [message.text for message in house.model.requests[1].messages] == ["One?", "first", "Two?"]
    kept = manager.get_instance(instance)
    assert [(turn.role, turn.content) for turn in kept.conversation_history] == [
        ("user", "One?"), ("assistant", "first"), ("user", "Two?"), ("assistant", "second"),
    ]  # fmt: skip
    assert (kept.status, kept.session_token_usage.total) == ("idle", 30)
    assert [record.instance_id for record in manager.get_performance_records()] == [instance, instance]
    assert manager.get_performance_summary("fast").total_instances_spawned == 1


async def test_an_instance_whose_context_is_full_says_so(tmp_path: Path) -> None:
    house = House(tmp_path, ChatModelError("context_too_long", "too long", retryable=False))
    manager = house.manager()
    instance = manager.spawn("fast").instance_id
    with pytest.raises(ModelError):
        await manager.converse(instance, "Hi")
    assert manager.get_instance(instance).status == "context_full"


async def test_one_instance_answers_one_prompt_at_a_time(tmp_path: Path) -> None:
    gate = asyncio.Event()
    house = House(tmp_path, Turn(text="slow", gate=gate))
    manager = house.manager()
    instance = manager.spawn("fast").instance_id
    first = asyncio.create_task(manager.converse(instance, "Hi"))
    await house.model.asked.wait()
    with pytest.raises(PreconditionFailedError, match="busy"):
        await manager.converse(instance, "Hello?")
    gate.set()
    assert await first == "slow"
