"""Functions as tools: their schema from their hints, their life in a process of their own."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from orchestrator.errors import TaskError
from tests.tools.conformance import ToolWorld

CODE = '''
import dataclasses, enum, os, sys
from typing import Annotated, Any, Literal, Optional
import pydantic

@dataclasses.dataclass
class Point:
    x: int
    y: int = 0

class Order(pydantic.BaseModel):
    name: str
    count: int = pydantic.Field(ge=1)

def count(text: str, word: Annotated[str, "What to count."] = "a", *, strict: bool = False) -> int:
    """Count a word
    in a text.

    Args:
        text: Where to look,
            all of it.
        word: Ignored, the hint says it.
        strict (bool): Whether case matters.
    """
    return text.count(word)

count.effect = "pure"

def shapes(one: int | None, many: list[float], named: dict[str, int], choice: Literal["a", "b"],
           maybe: Optional[str] = None, free: Any = None) -> list:
    """All kinds.

    :param one: A number.
    """
    return [one, many, named, choice, maybe, free]

def far(point: Point, order: Order) -> Point:
    """Takes what JSON has not."""
    return Point(point.x + order.count, point.y)

async def later(n: int) -> int:
    """Waits."""
    return n + 1

def who() -> list:
    """Says where it runs."""
    return [os.getpid(), os.environ.get("WHISPER_IDEMPOTENCY_KEY"), os.getcwd()]

def fails(word: str) -> str:
    """Fails."""
    raise ValueError(f"no {word}")

def spread(*words: str) -> str:
    """Cannot be called by name."""

def odd(x: int) -> int:
    """Wrong effect."""
odd.effect = "sometimes"

class Desk:
    @staticmethod
    def stamp(text: str) -> str:
        """Stamps."""
        return f"[{text}]"

value = 3
'''


@pytest.fixture(autouse=True)
def module(world: ToolWorld) -> None:
    world.file("desk.py", CODE)
    world.file("broken.py", "raise RuntimeError('never imported by looking')")


async def test_hints_and_docstring_become_the_schema(world: ToolWorld) -> None:
    tool = await world.tool("desk:count")
    assert (tool.name, tool.spec.name, tool.effect) == ("desk:count", "count", "pure")
    assert tool.spec.description == "Count a word in a text."
    assert tool.spec.parameters == {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "Where to look, all of it."},
            "word": {"type": "string", "description": "What to count.", "default": "a"},
            "strict": {"type": "boolean", "description": "Whether case matters.", "default": False},
        },
        "required": ["text"],
        "additionalProperties": False,
    }
    assert await world.call("desk:count", {"text": "banana"}) == 3


async def test_every_plain_hint_has_its_schema(world: ToolWorld) -> None:
    tool = await world.tool("desk:shapes")
    assert tool.effect == "at_least_once"
    properties = tool.spec.parameters["properties"]
    assert properties["one"] == {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "A number."}
    assert properties["many"] == {"type": "array", "items": {"type": "number"}}
    assert properties["named"] == {"type": "object", "additionalProperties": {"type": "integer"}}
    assert properties["choice"] == {"enum": ["a", "b"]}
    assert tool.spec.parameters["required"] == ["one", "many", "named", "choice"]
    given = {"one": None, "many": [1.5], "named": {"a": 1}, "choice": "b"}
    assert await world.call("desk:shapes", given) == [None, [1.5], {"a": 1}, "b", None, None]


async def test_dataclasses_and_models_are_made_of_json_and_back(world: ToolWorld) -> None:
    tool = await world.tool("desk:far")
    check = Draft202012Validator(tool.spec.parameters)
    assert check.is_valid({"point": {"x": 1}, "order": {"name": "a", "count": 2}})
    assert not check.is_valid({"point": {"x": "one"}, "order": {"name": "a", "count": 0}})
    assert await world.call("desk:far", {"point": {"x": 1}, "order": {"name": "a", "count": 2}}) == {"x": 3, "y": 0}


async def test_a_coroutine_is_waited_for_and_a_method_is_found(world: ToolWorld) -> None:
    assert await world.call("desk:later", {"n": 1}) == 2
    assert await world.call("desk:Desk.stamp", {"text": "a"}) == "[a]"


async def test_it_runs_in_a_process_of_its_own_in_the_tasks_folder(world: ToolWorld) -> None:
    pid, key, folder = await world.call("desk:who", call_id="call-7")
    assert pid != os.getpid()
    assert key == "r1:t:call-7"
    assert folder == str(world.project)


async def test_what_it_raises_goes_back_in_words(world: ToolWorld) -> None:
    error = await world.fail("desk:fails", {"word": "luck"})
    assert (error.type, error.message) == ("tool", "ValueError: no luck")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("desk:nothing", "nothing"),
        ("desk:value", "no function"),
        ("desk:spread", "cannot be given by name"),
        ("desk:odd", "none of pure"),
        ("nowhere:at_all", "nowhere"),
        ("broken:x", "never imported by looking"),
    ],
)
async def test_what_cannot_be_a_tool_is_said_when_it_is_opened(world: ToolWorld, name: str, word: str) -> None:
    error = await world.fail(name, {})
    assert error.type == "tool"
    assert error.message.startswith(f"{name} cannot be a tool: ")
    assert word in error.message


async def test_one_that_takes_too_long_is_ended(world: ToolWorld) -> None:
    world.file("slow.py", 'import time\ndef nap() -> None:\n    """Sleeps."""\n    time.sleep(60)\n')
    settings: dict[str, Any] = {"settings": {"python": {"timeout": "200ms"}}}
    assert (await world.fail("slow:nap", {}, **settings)).type == "timeout"


class CountedLooks:
    """The world's processes; counts the looks at functions."""

    def __init__(self, processes: Any) -> None:
        self._processes = processes
        self.looks = 0

    async def call_python(self, target: str, *args: Any, **how: Any) -> Any:
        self.looks += "describe" in target
        return await self._processes.call_python(target, *args, **how)


async def test_a_function_is_looked_at_once_until_a_file_behind_it_changes(world: ToolWorld) -> None:
    world.file("words.py", "from typing import Literal\nWord = Literal['a', 'b']\n")
    world.file("speech.py", "from words import Word\n\ndef say(word: Word) -> str:\n    return word\n")
    counted = CountedLooks(world.processes)
    context = world.context()
    context.services.processes = counted  # type: ignore[assignment]
    tools = context.services.tools

    async def choices() -> list[str]:
        (tool,) = await tools.open(context, ["speech:say"])
        return list(tool.spec.parameters["properties"]["word"]["enum"])

    found = await asyncio.gather(*(choices() for _ in range(5)))
    assert found == [["a", "b"]] * 5
    assert counted.looks == 1
    world.file("words.py", "from typing import Literal\nWord = Literal['a', 'b', 'c']\n")
    assert await choices() == ["a", "b", "c"]
    assert await choices() == ["a", "b", "c"]
    assert counted.looks == 2


async def test_a_function_that_could_not_be_looked_at_is_looked_at_again(world: ToolWorld) -> None:
    tools, context = world.context().services.tools, world.context()
    with pytest.raises(TaskError, match="cannot be a tool"):
        await tools.open(context, ["late:say"])
    world.file("late.py", "def say(word: str) -> str:\n    return word\n")
    (tool,) = await tools.open(context, ["late:say"])
    assert tool.spec.name == "say"
