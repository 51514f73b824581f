"""What a worker or an agent always shows goes along with the first prompt of each conversation, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from workers.house import House, worker

from orchestrator.core.messages import File
from orchestrator.errors import TaskError
from orchestrator.ports.services import AgentCall


def call(root: Path, number: int, *, session: str | None = "talk", **agent: Any) -> AgentCall:
    return AgentCall(
        run_id="r1",
        task=f"t{number}",
        key=f"r1:t{number}",
        agent_id="a",
        agent={"worker": "fast", **agent},
        prompt=f"{number}?",
        files=["own.md"] if number == 2 else [],
        session=session,
        publish=lambda type, data: None,
        control=lambda: None,
        worker=worker(default_file_contexts=["house.md"]).as_worker(),
        project=root,
    )


def shown(house: House, request: int, message: int) -> list[bytes]:
    found = house.model.requests[request].messages[message]
    return [part.data for part in found.parts if isinstance(part, File)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    for name in ("house.md", "agent.md", "own.md"):
        (tmp_path / name).write_text(name)
    return House(tmp_path, "one", "two", "three")


async def test_they_are_shown_once_and_before_the_tasks_own(house: House) -> None:
    await house.sessions.run_turns(call(house.root, 1, files=["agent.md", "house.md"]))
    await house.sessions.run_turns(call(house.root, 2, files=["agent.md"]))
    assert shown(house, 0, 0) == [b"house.md", b"agent.md"]
    assert shown(house, 1, 0) == [b"house.md", b"agent.md"]
    assert shown(house, 1, 2) == [b"own.md"]


async def test_a_conversation_that_goes_on_after_a_crash_has_them_already(house: House) -> None:
    await house.sessions.run_turns(call(house.root, 1))
    house.sessions = house.loops()
    await house.sessions.run_turns(call(house.root, 3))
    assert [shown(house, 1, place) for place in (0, 2)] == [[b"house.md"], []]


async def test_each_conversation_sees_them(house: House) -> None:
    for number in (1, 3):
        await house.sessions.run_turns(call(house.root, number, session=None))
    assert [shown(house, request, 0) for request in (0, 1)] == [[b"house.md"], [b"house.md"]]


@pytest.mark.parametrize("file", ["missing.md", "../outside.md"])
async def test_a_file_that_is_not_there_fails_the_task_by_its_name(house: House, file: str) -> None:
    with pytest.raises(TaskError, match=file) as caught:
        await house.sessions.run_turns(call(house.root, 1, files=[file]))
    assert caught.value.type == "invalid_input"
    assert house.model.requests == []
