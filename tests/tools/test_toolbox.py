"""The toolbox: every name finds its tool, no two tools share a name on the wire, and a mistyped one is told what is near."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.plan import Effect
from orchestrator.errors import TaskError
from orchestrator.ports.chat_model import ToolSpec
from orchestrator.tools._names import WIRE_LENGTH_MAX, wire_name, with_unique_wire_names
from orchestrator.tools._toolbox import DiscoveredTools
from tests.tools.conformance import WIRE, ToolWorld


class Named:
    """A tool that is only a name."""

    effect: Effect = "pure"

    def __init__(self, name: str) -> None:
        self.name = name
        self.spec = ToolSpec(name=wire_name(name), description="x", parameters={"type": "object"})

    async def call(self, arguments: dict[str, Any], call_id: str) -> Any:
        return self.name


async def test_names_and_globs_open_each_tool_once(world: ToolWorld) -> None:
    tools = await world.open("files.read", "files.*", "files.r*", "ask_person")
    names = [tool.name for tool in tools]
    assert sorted(names) == sorted(set(names))
    assert {"files.read", "files.write", "ask_person"} <= set(names)


@pytest.mark.parametrize(
    ("name", "help"),
    [
        ("file.read", "did you mean `files.read`?"),
        ("shel", "did you mean `shell`?"),
        ("ask-person", "did you mean `ask_person`?"),
        ("filez.*", "did you mean `files.read`?"),
    ],
)
async def test_a_name_that_nobody_has_is_told_what_is_near(world: ToolWorld, name: str, help: str) -> None:
    with pytest.raises(TaskError) as error:
        await world.open("files.read", name)
    assert error.value.type == "tool"
    assert repr(name) in error.value.message
    if "*" not in name:
        assert error.value.help == help
    else:
        assert error.value.help


async def test_closing_twice_is_fine_and_it_opens_again(world: ToolWorld) -> None:
    box = DiscoveredTools()
    assert await box.open(world.context(), ["files.read"])
    await box.close()
    await box.close()
    assert await box.open(world.context(), ["files.read"])


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("files.read", "files_read"),
        ("time.get-now", "time_get-now"),
        ("reports:count", "reports_count"),
        ("workflows/a b.yaml", "workflows_a_b_yaml"),
    ],
)
def test_a_wire_name_is_plain(name: str, wire: str) -> None:
    assert wire_name(name) == wire


@given(st.text(max_size=200))
def test_every_name_has_a_wire_name_and_always_the_same(name: str) -> None:
    assert WIRE.fullmatch(wire_name(name))
    assert wire_name(name) == wire_name(name)


def test_long_names_that_differ_at_the_end_stay_different() -> None:
    one, other = wire_name("a" * 100 + "x"), wire_name("a" * 100 + "y")
    assert one != other
    assert len(one) == len(other) == WIRE_LENGTH_MAX


NAMES = st.lists(st.from_regex(re.compile(r"[ab._:/-]{1,6}"), fullmatch=True), unique=True, max_size=8)


@given(NAMES, st.randoms(use_true_random=False))
def test_no_two_tools_share_a_wire_name_whatever_their_order(names: list[str], chance: Any) -> None:
    given = {tool.name: tool.spec.name for tool in with_unique_wire_names([Named(name) for name in names])}
    assert list(given) == names
    assert len(set(given.values())) == len(names)
    assert all(WIRE.fullmatch(wire) for wire in given.values())
    chance.shuffle(names)
    assert {tool.name: tool.spec.name for tool in with_unique_wire_names([Named(name) for name in names])} == given
