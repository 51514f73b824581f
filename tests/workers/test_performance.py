"""What the journal says of workers, what may be added to it, and what is saved."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workers.house import House, worker

from orchestrator.ports.chat_model import ChatModelError
from orchestrator.ports.journal import Batch
from orchestrator.ports.services import AgentCall
from orchestrator.testing.scripted import ScriptedModel, Turn
from orchestrator.workers.errors import InvalidArgumentError, WorkerNotFoundError
from orchestrator.workers.files import (
    DEFINITIONS_FILE,
    PERFORMANCE_FILE,
    read_definitions,
    read_performance,
    write_definitions,
    write_performance,
)
from orchestrator.workers.manager import WorkerManager
from orchestrator.workers.performance import LlmMetrics, PerformanceRecord, SupervisorFeedback, summarise


def call(house: House, run: str, task: str, *, definition: str | None = "fast", agent: str = "writer") -> AgentCall:
    named = worker(definition).as_worker() if definition is not None else None
    return AgentCall(
        run_id=run,
        task=task,
        key=f"{run}:{task}",
        agent_id=agent,
        agent={} if definition is not None else {"model": "scripted/m"},
        prompt=f"Do {task}.",
        files=[],
        publish=lambda type, data: None,
        control=lambda: None,
        worker=named,
        project=house.root,
    )


def record(**more: Any) -> PerformanceRecord:
    said: dict[str, Any] = {
        "task_id": "r:t",
        "instance_id": "i",
        "definition_id": "fast",
        "timestamp_start": 10.0,
        "timestamp_end": 12.0,
        "duration_ms": 2000,
        "success": True,
        "cost_incurred": Decimal("0.1"),
    }
    return PerformanceRecord(**(said | more))


async def test_agents_work_is_on_record_by_worker(tmp_path: Path) -> None:
    house = House(tmp_path, "one", ChatModelError("refused", "no", retryable=False), "three")
    await house.sessions.run_turns(call(house, "r1", "a"))
    with pytest.raises(Exception, match="no"):
        await house.sessions.run_turns(call(house, "r1", "b"))
    await house.sessions.run_turns(call(house, "r1", "c", definition=None))
    manager = house.manager()
    good, bad = manager.get_performance_records()
    assert (good.task_id, good.instance_id, good.success) == ("r1:a", "r1/agent/r1:a", True)
    assert good.input_context == {"agent": "writer", "prompt": "Do a."}
    assert (good.output_summary, good.llm_metrics.model) == ("one", "scripted/m")
    assert good.duration_ms == round((good.timestamp_end - good.timestamp_start) * 1000)
    assert (bad.task_id, bad.success, bad.error_details) == ("r1:b", False, "refused: no")
    assert manager.get_performance_records(task_id="b") == manager.get_performance_records(success=False) == [bad]
    assert manager.get_performance_records(instance_id="r1/agent/r1:a", cost_max=1) == [good]
    assert manager.get_performance_records(duration_ms_min=10**6) == []


async def test_the_summary_is_rebuilt_from_the_journal_alone(tmp_path: Path) -> None:
    house = House(tmp_path, m=ScriptedModel("x", repeat_last=True))
    for task in "abc":
        await house.sessions.run_turns(call(house, "r1", task))
    house.run_row("r1", "succeeded")
    first, second = house.manager(), house.manager()
    summary = first.get_performance_summary("fast")
    assert summary == second.get_performance_summary("fast")
    assert (summary.total_tasks_attempted, summary.successful_tasks, summary.failed_tasks) == (3, 3, 0)
    assert (summary.average_success_rate, summary.total_instances_spawned) == (1.0, 3)
    assert (summary.total_tokens_processed, summary.total_cost_incurred) == (45, Decimal("0.00006"))
    assert summary.active_instances_count == 0


async def test_a_conversation_is_an_instance_as_long_as_its_run_lasts(tmp_path: Path) -> None:
    house = House(tmp_path, "one")
    house.run_row("r1")
    await house.sessions.run_turns(call(house, "r1", "a"))
    manager = house.manager()
    (instance,) = manager.list_active("fast")
    assert (instance.instance_id, instance.status) == ("r1/agent/r1:a", "idle")
    assert instance.session_token_usage.total == 15
    house.run_row("r1", "failed")
    assert manager.list_active() == []
    over = manager.get_instance("r1/agent/r1:a")
    assert (over.status, over.retirement_reason) == ("retired_error", "its run has failed")


async def test_an_answer_that_a_killed_process_owed_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    gate = asyncio.Event()
    house = House(tmp_path, Turn(text="never", gate=gate))
    other = asyncio.create_task(house.manager().execute_stateless_task("fast", "Hi"))
    await house.model.asked.wait()
    manager = house.manager()
    assert [one.status for one in manager.list_active()] == ["busy"]
    house.clock.time += 4000
    assert manager.list_active() == []
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    (record,) = manager.get_performance_records()
    assert (record.success, record.error_details) == (False, "stopped")


async def test_replayed_work_stands_in_no_figure(tmp_path: Path) -> None:
    house = House(tmp_path, "one")
    await house.sessions.run_turns(call(house, "r1", "a"))
    row = house.journal.row("r1/agent/r1:a")
    assert row is not None
    replayed = msgspec.structs.replace(row, summary={**row.summary, "replayed": True})
    house.journal.append(
        Batch(stream=row.stream, expected=row.last, count=0, payload=b"", row=replayed), lambda error: None
    )
    manager = house.manager()
    assert manager.get_performance_records() == []
    assert manager.get_performance_summary("fast").total_tasks_attempted == 0


async def test_a_supervisors_feedback_stays_beside_the_journals_facts(tmp_path: Path) -> None:
    house = House(tmp_path, "one")
    await house.sessions.run_turns(call(house, "r1", "a"))
    manager = house.manager()
    (found,) = manager.get_performance_records()
    feedback = SupervisorFeedback(rating=8, comments="good", supervisor_agent_id="boss", timestamp=1.0)
    manager.log_performance(msgspec.structs.replace(found, supervisor_feedback=feedback, success=False))
    (rated,) = manager.get_performance_records()
    assert (rated.supervisor_feedback, rated.success) == (feedback, True)
    assert manager.get_performance_summary("fast").average_quality_score == 8
    saved = manager.save_performance_data(tmp_path)
    fresh = house.manager()
    assert fresh.load_performance_data(saved.path) == 1
    assert fresh.get_performance_records() == [rated]


def test_work_done_elsewhere_can_be_logged_and_is_checked() -> None:
    manager = WorkerManager([worker()])
    page = {
        "taskId": "t", "instanceId": "i", "definitionId": "fast", "timestampStart": 1, "timestampEnd": 2,
        "durationMs": 1000, "success": True, "llmMetrics": {"totalTokens": 5}, "costIncurred": None,
    }  # fmt: skip
    assert manager.log_performance(page).llm_metrics.total_tokens == 5
    assert manager.get_performance_summary("fast").unknown_costs == 1
    with pytest.raises(InvalidArgumentError, match="ends before it begins"):
        manager.log_performance({**page, "timestampEnd": 0})
    with pytest.raises(WorkerNotFoundError):
        manager.log_performance({**page, "definitionId": "slow"})
    with pytest.raises(InvalidArgumentError, match="unknown key `sucess`"):
        manager.log_performance({**page, "sucess": True})


def test_two_currencies_are_never_added_up() -> None:
    summary = summarise("fast", [record(), record(currency="EUR", cost_incurred=Decimal(2))])
    assert summary.costs == {"USD": Decimal("0.1"), "EUR": Decimal(2)}
    assert summary.total_cost_incurred is None


@given(st.lists(st.integers(0, 10**15), max_size=50))
def test_sums_of_money_are_exact(trillionths: list[int]) -> None:
    records = [record(cost_incurred=Decimal(one) / 10**12) for one in trillionths]
    assert summarise("fast", records).total_cost_incurred == Decimal(sum(trillionths)) / 10**12


texts = st.text(max_size=20).filter(lambda text: all(not 0xD800 <= ord(sign) <= 0xDFFF for sign in text))
moments = st.floats(0, 4e9, allow_nan=False)
records = st.builds(
    PerformanceRecord,
    task_id=texts,
    instance_id=texts,
    definition_id=texts,
    timestamp_start=moments,
    timestamp_end=moments,
    duration_ms=st.integers(0, 10**12),
    success=st.booleans(),
    error_details=texts,
    input_context=st.dictionaries(texts, texts | st.integers(-(2**53), 2**53), max_size=3),
    llm_metrics=st.builds(LlmMetrics, input_tokens=st.integers(0, 10**9), finish_reason=texts),
    cost_incurred=st.none() | st.integers(0, 10**20).map(lambda one: Decimal(one) / 10**12),
    currency=st.sampled_from(["USD", "EUR"]),
    supervisor_feedback=st.none() | st.builds(SupervisorFeedback, rating=st.floats(0, 10), comments=texts, timestamp=moments),
)  # fmt: skip


@settings(max_examples=50)
@given(kept=st.lists(records, max_size=5, unique_by=lambda one: one.identity))
def test_saved_records_are_read_back_to_the_last_digit(
    tmp_path_factory: pytest.TempPathFactory, kept: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("saved")
    saved = write_performance(folder, kept)
    assert saved.path.name == PERFORMANCE_FILE
    found = read_performance(folder)
    assert sorted(found, key=lambda one: one.identity) == sorted(kept, key=lambda one: one.identity)


def test_saved_definitions_are_snake_case_arrays_and_come_back(tmp_path: Path) -> None:
    kept = [worker("b", metadata={"teamName": 1}), worker("a", base_config={"timeout": 90.0})]
    write_definitions(tmp_path, kept)
    page = json.loads((tmp_path / DEFINITIONS_FILE).read_text())
    assert [row["definition_id"] for row in page] == ["a", "b"]
    assert page[1]["metadata"] == {"teamName": 1}
    assert read_definitions(tmp_path) == sorted(kept, key=lambda one: one.definition_id)


def test_no_key_is_ever_written(tmp_path: Path) -> None:
    manager = WorkerManager([worker(auth={"inline": "canary-key-0123456789"})])
    saved = manager.save_all(tmp_path)
    assert saved.keys_left_out == ("fast",)
    assert "canary" not in saved.path.read_text()
    (back,) = read_definitions(saved.path)
    assert back.auth is not None
    assert back.auth.method == "inline"  # it does not fall back to another key by itself
    assert saved.path.stat().st_mode & 0o077 == 0


def test_a_bad_row_changes_nothing_and_is_named(tmp_path: Path) -> None:
    manager = WorkerManager()
    rows = [
        {"definitionId": "good", "provider": "openai", "modelName": "m"},
        {"definitionId": "bad", "provider": "openai", "modelNam": "m"},
    ]
    (tmp_path / DEFINITIONS_FILE).write_text(json.dumps(rows))
    with pytest.raises(InvalidArgumentError, match=r"definitions\.json\[1\]: unknown key `modelNam`") as caught:
        manager.load_all(tmp_path)
    assert "model_name" in (caught.value.help or "")
    assert manager.list_definitions() == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[" * 100_000, '{"a":1}', "[{}]", "\x00"])
def test_what_is_no_such_file_is_an_error_and_no_crash(tmp_path: Path, text: str) -> None:
    (tmp_path / DEFINITIONS_FILE).write_text(text)
    with pytest.raises(InvalidArgumentError):
        WorkerManager().load_all(tmp_path)


def test_what_a_person_declares_hides_what_is_loaded(tmp_path: Path) -> None:
    write_definitions(tmp_path, [worker("fast", model_name="loaded"), worker("more")])
    manager = WorkerManager([worker()])
    assert manager.load_all(tmp_path) == (1, ("fast",))
    assert manager.get_definition("fast").model_name == "m"


def test_a_crash_while_saving_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_definitions(tmp_path, [worker("old")])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Exception, match="No space left"):
        write_definitions(tmp_path, [worker("new")])
    assert [one.definition_id for one in read_definitions(tmp_path)] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == [DEFINITIONS_FILE]


def test_what_is_kept_outlives_its_process_and_two_of_them_merge(tmp_path: Path) -> None:
    one, two = WorkerManager(kept=tmp_path / "workers"), WorkerManager(kept=tmp_path / "workers")
    one.add_definition(worker("a"))
    one.keep()
    two.add_definition(worker("b"))
    two.log_performance(record(definition_id="b"))
    two.keep()
    three = WorkerManager(kept=tmp_path / "workers")
    assert [each.definition_id for each in three.list_definitions()] == ["a", "b"]
    assert len(three.get_performance_records()) == 1
    three.remove_definition("a")
    three.keep()
    assert [each.definition_id for each in WorkerManager(kept=tmp_path / "workers").list_definitions()] == ["b"]


async def test_money_is_known_to_the_trillionth_through_a_run(tmp_path: Path) -> None:
    from orchestrator.core.messages import Usage

    house = House(tmp_path, Turn(text="x", usage=Usage(1, 0)))
    manager = house.manager(worker(cost_metrics={"input_per_token": 0.000000000001, "output_per_token": 0}))
    _, made = await manager.execute_stateless_task("fast", "Hi")
    assert made.cost_incurred == Decimal("0.000000000001")
