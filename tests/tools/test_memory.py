"""Memories: files that people can read, that two runs can write, and that no text can break."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import TaskError
from orchestrator.ports.services import AgentCall
from orchestrator.tools._memory_places import at_path, file_name, memory_of, named, names_in
from orchestrator.tools._memory_store import Entry, MemoryStore, Remembered, clean_key, formed, found, parse
from orchestrator.tools.memory import TOOLS
from tests.tools.conformance import SECRET, SourceConformance, ToolWorld

TEXT = st.text(st.characters(codec="utf-8"), max_size=200) | st.sampled_from(
    [
        "## heading",
        "\\## not one",
        "\\\\## deeper",
        "<!-- by hand -->",
        "\n\n## a\n<!-- x -->",
        "##",
        "## ",
        "a\r\nb",
        "\x1b[31m",
    ]
)
KEYS = st.text(min_size=1, max_size=100).filter(lambda text: bool(clean_key_or_none(text)))


def clean_key_or_none(text: str) -> str | None:
    try:
        return clean_key(text)
    except TaskError:
        return None


def agent_call(memory: Any, agent_id: str = "writer") -> AgentCall:
    return AgentCall(
        run_id="r1",
        task="t",
        key="r1:t",
        agent_id=agent_id,
        agent={"memory": memory},
        prompt="",
        files=[],
        publish=lambda type, data: None,
        control=lambda: None,
    )


class TestMemory(SourceConformance):
    source = TOOLS
    wanted = ("memory.*",)
    name = "memory.write"
    arguments = {"key": "a", "text": f"has {SECRET} in it"}  # noqa: RUF012
    changes = {"call": agent_call(True)}  # noqa: RUF012


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    return named("team", tmp_path)


@given(st.dictionaries(KEYS.map(clean_key), TEXT, max_size=5), TEXT)
def test_whatever_is_written_is_read_back(entries: dict[str, str], preamble: str) -> None:
    from orchestrator.host.terminal_text import clean_terminal

    known = Remembered(
        entries={key: Entry(key, clean_terminal(text).strip("\n"), "now") for key, text in entries.items()}
    )
    assert parse(formed(known)) == known


@given(TEXT)
def test_any_file_of_a_person_can_be_read_and_reading_settles(text: str) -> None:
    known = parse(text)
    again = parse(formed(known))
    assert again.preamble == known.preamble
    assert {key: entry.text for key, entry in again.entries.items()} == {
        key: entry.text for key, entry in known.entries.items()
    }
    assert formed(parse(formed(again))) == formed(again)


def test_a_file_looks_like_one_that_a_person_would_write(store: MemoryStore) -> None:
    store.write("deploys", "No deploys on Fridays.", "2026-11-21T04:30:00Z, run 7f3a")
    assert store.path.read_text() == "## deploys\n<!-- 2026-11-21T04:30:00Z, run 7f3a -->\n\nNo deploys on Fridays.\n"


def test_what_a_person_wrote_before_the_first_heading_stays(store: MemoryStore) -> None:
    store.path.parent.mkdir(parents=True)
    store.path.write_text("# Team memory\n\nKeep it short.\n\n## a\nby hand\n")
    store.write("b", "new", "now")
    assert store.path.read_text().startswith("# Team memory\n\nKeep it short.\n\n## a\n<!-- by hand -->\n\nby hand\n")


def test_control_characters_do_not_get_in(store: MemoryStore) -> None:
    store.write("k\x1b[31my", "a\x1b]0;title\x07\u202eb", "now")
    text = store.path.read_text()
    assert not any(sign in text for sign in ("\x1b", "\x07", "\u202e"))


def test_a_full_memory_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    store = named("small", tmp_path, 200)
    store.write("a", "x" * 100, "now")
    with pytest.raises(TaskError, match="full"):
        store.write("b", "y" * 100, "now")
    assert list(store.read().entries) == ["a"]
    store.write("a", "z" * 50, "now")
    assert store.read().entries["a"].text == "z" * 50


def test_entries_are_bounded_and_need_a_name(store: MemoryStore) -> None:
    for key, text in (("a", "x" * 20_000), ("", "x"), ("\n", "x"), ("k" * 200, "x")):
        with pytest.raises(TaskError):
            store.write(key, text, "now")


def _write_many(folder: str, who: int) -> None:
    store = named("team", Path(folder))
    for n in range(20):
        store.write(f"{who}-{n}", "text", "now")


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(str(tmp_path), who)) for who in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert len(named("team", tmp_path).read().entries) == 60
    assert names_in(tmp_path) == ["team"]


def test_the_best_entry_comes_first() -> None:
    known = parse(
        "## deploys\nfriday\n\n## lunch\nfriday friday soup\n\n## friday deploys\nnever\n\n## other\nnothing\n"
    )
    assert [one.key for one in found(known, "friday deploys", 5)] == ["friday deploys", "deploys", "lunch"]
    assert found(known, "!!", 5) == []
    assert [one.key for one in found(known, "FRIDAY", 1)] == ["friday deploys"]


@pytest.mark.parametrize("name", ["../x", ".hidden", "a/b", "x" * 300, "ä ö", "task.plan.a"])
def test_a_name_is_never_a_path(name: str, tmp_path: Path) -> None:
    store = named(name, tmp_path)
    assert store.path.parent == tmp_path / "memory"
    assert "/" not in file_name(name)
    assert not file_name(name).startswith(".")


def test_where_a_memory_is(tmp_path: Path) -> None:
    state = tmp_path / ".whisper-flow"
    places = {"project": tmp_path, "state": state}
    assert memory_of(True, "writer", **places).path == state / "memory" / "writer.md"
    assert memory_of("team", "writer", **places).path == state / "memory" / "team.md"
    assert memory_of({"max_size": 10}, "writer", **places).path == state / "memory" / "writer.md"
    assert memory_of({"path": "notes/m.md"}, "writer", **places).path == tmp_path.resolve() / "notes" / "m.md"
    with pytest.raises(TaskError, match="outside"):
        at_path("../m.md", **places)


async def test_an_agent_writes_reads_and_forgets(world: ToolWorld) -> None:
    changes: dict[str, Any] = {"call": agent_call("team"), "secrets": (SECRET,)}
    assert await world.call("memory.write", {"key": "a", "text": f"key {SECRET}"}, **changes) == {
        "key": "a",
        "new": True,
    }
    assert await world.call("memory.read", {"key": "a"}, **changes) == "key ***"
    assert await world.call("memory.read", **changes) == {"keys": ["a"]}
    assert SECRET not in (world.project / ".whisper-flow/memory/team.md").read_text()
    (hit,) = await world.call("memory.search", {"query": "key"}, **changes)
    assert hit["written"].endswith("run r1")
    assert (await world.fail("memory.read", {"key": "b"}, **changes)).message == "nothing is remembered as 'b'"
    assert (await world.call("memory.forget", {"key": "a"}, **changes))["forgotten"]
    assert not (await world.call("memory.forget", {"key": "a"}, **changes))["forgotten"]


async def test_nobody_has_a_memory_without_declaring_it(world: ToolWorld) -> None:
    assert "only an agent with a `memory`" in (await world.fail("memory.read", {})).message
    assert [tool.name for tool in await world.open("*.read")] == ["files.read"]


async def test_writing_to_it_needs_no_permission(world: ToolWorld) -> None:
    tool: Any = await world.tool("memory.write", call=agent_call(True))
    assert tool.needs_no_permission({"key": "a", "text": "b"})
