"""What a model or a tool says holds no secret, however it is cut into pieces; everything else passes as it is."""

from __future__ import annotations

import base64
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ai.world import World
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ai.masking import MaskedModel, masked_model, masked_tool
from orchestrator.core.messages import File, Usage
from orchestrator.errors import TaskError
from orchestrator.host.redact import MASK, Redactor
from orchestrator.ports.chat_model import (
    ChatEvent,
    ChatModelError,
    ChatRequest,
    Finished,
    Notice,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolSpec,
    UsageReported,
)
from orchestrator.ports.tool import ToolContext

SECRET = "correct-horse-battery"
REQUEST = ChatRequest(model="m", messages=())
END = (UsageReported(Usage(1, 1)), Finished("stop"))


@dataclass
class Fixed:
    """A model that says what it is given, and then fails if it is given an error."""

    events: tuple[ChatEvent, ...]
    error: BaseException | None = None
    synthetic: bool = False
    closed: bool = False

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        try:
            for event in self.events:
                yield event
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True

    async def close(self) -> None:
        return None


async def heard(*events: ChatEvent, secrets: tuple[str, ...] = (SECRET,)) -> list[ChatEvent]:
    return [event async for event in MaskedModel(Fixed(events), Redactor(secrets)).stream(REQUEST)]


def text_of(events: list[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def pieces(text: str, cuts: list[int]) -> list[str]:
    at = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(at)]


@given(before=st.text(max_size=8), after=st.text(max_size=8), cuts=st.lists(st.integers(0, 200), max_size=12))
async def test_a_secret_in_any_pieces_is_masked_and_the_rest_is_whole(before: str, after: str, cuts: list[int]) -> None:
    said = f"{before}{SECRET}{after}{base64.b64encode(SECRET.encode()).decode()}"
    events = await heard(*(TextDelta(piece) for piece in pieces(said, cuts)), *END)
    assert text_of(events) == Redactor([SECRET]).text(said)
    assert SECRET not in text_of(events)
    assert events[-2:] == list(END)


@given(said=st.text(max_size=40), cuts=st.lists(st.integers(0, 200), max_size=12))
async def test_what_holds_no_secret_passes_letter_by_letter(said: str, cuts: list[int]) -> None:
    assert text_of(await heard(*(TextDelta(piece) for piece in pieces(said, cuts)), *END)) == said


async def test_parallel_calls_reasoning_and_names_are_masked_each_for_itself() -> None:
    half = len(SECRET) // 2
    events = await heard(
        ReasoningDelta(SECRET[:half]), ToolCallDelta(0, f'{{"a": "{SECRET[:half]}', "id-0", "first"),
        ToolCallDelta(1, SECRET[:half], "id-1", "second"), ToolCallDelta(0, f'{SECRET[half:]}"}}'),
        ToolCallDelta(1, "and no more"), ReasoningDelta(SECRET[half:]), Notice(f"about {SECRET}"),
        UsageReported(Usage(1, 1)), Finished("refused", SECRET, f"no {SECRET}"),
    )  # fmt: skip
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    arguments = {at: "".join(call.arguments for call in calls if call.index == at) for at in (0, 1)}
    assert arguments == {0: f'{{"a": "{MASK}"}}', 1: f"{SECRET[:half]}and no more"}
    assert [(call.id, call.name) for call in calls if call.id] == [("id-0", "first"), ("id-1", "second")]
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == MASK
    assert Notice(f"about {MASK}") in events
    assert events[-1] == Finished("refused", MASK, f"no {MASK}")


async def test_an_error_is_told_without_the_secret_after_what_was_held_back() -> None:
    cause = ValueError(f"server said {SECRET}")
    error = ChatModelError("auth", f"bad key {SECRET}", help=f"not {SECRET}")
    error.__cause__ = cause
    stream = MaskedModel(Fixed((TextDelta("corr"),), error), Redactor([SECRET])).stream(REQUEST)
    assert await anext(stream) == TextDelta("corr")
    with pytest.raises(ChatModelError) as failure:
        await anext(stream)
    assert (failure.value.message, failure.value.help) == (f"bad key {MASK}", f"not {MASK}")
    assert SECRET not in "".join(traceback.format_exception(failure.value))


async def test_a_harmless_cause_stays_for_whoever_debugs() -> None:
    error = ChatModelError("outage", f"no answer to {SECRET}")
    error.__cause__ = ConnectionResetError("by peer")
    with pytest.raises(ChatModelError) as failure:
        _ = [event async for event in MaskedModel(Fixed((), error), Redactor([SECRET])).stream(REQUEST)]
    assert isinstance(failure.value.__cause__, ConnectionResetError)


async def test_leaving_a_stream_closes_the_models_own() -> None:
    model = Fixed((TextDelta("a"), TextDelta("b")))
    stream = MaskedModel(model, Redactor([SECRET])).stream(REQUEST)
    assert await anext(stream) == TextDelta("a")
    await stream.aclose()  # type: ignore[attr-defined]
    assert model.closed


def test_without_secrets_nothing_stands_between() -> None:
    model = Fixed(())
    assert masked_model(model, Redactor()) is model


@dataclass
class Echo:
    name: str = "echo"
    spec: ToolSpec = ToolSpec(name="echo", description="", parameters={})  # noqa: RUF009 - frozen
    effect: Any = "pure"

    async def call(self, arguments: dict[str, Any], call_id: str) -> Any:
        if "fail" in arguments:
            raise TaskError("tool", arguments["fail"], meta={"stdout": arguments["fail"]})
        return arguments

    def needs_no_permission(self, arguments: dict[str, Any]) -> bool:
        return True


async def test_results_and_errors_of_tools_are_masked_and_the_rest_of_the_tool_is_there() -> None:
    tool = masked_tool(Echo(), Redactor([SECRET]))
    assert await tool.call({"a": [SECRET], SECRET: 1}, "c") == {"a": [MASK], MASK: 1}
    with pytest.raises(TaskError) as failure:
        await tool.call({"fail": f"no {SECRET}"}, "c")
    assert (failure.value.message, failure.value.meta) == (f"no {MASK}", {"stdout": f"no {MASK}"})
    assert tool.needs_no_permission({})  # type: ignore[attr-defined]


async def test_a_secret_in_a_question_is_neither_recorded_nor_sent(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text(f"login: {SECRET}\n")
    world = World("Done.")
    context = ToolContext(
        run_id="r1",
        task="t",
        key="t:1",
        project=tmp_path,
        cwd=tmp_path,
        run_dir=tmp_path,
        secrets=(SECRET,),
        services=None,  # type: ignore[arg-type]  # it has no tools
    )
    agent = {"model": "scripted/m", "instructions": f"Your token is {SECRET}."}
    call = world.call(
        agent=agent,
        prompt=f"Use {SECRET}.",
        instructions=f"Not {base64.b64encode(SECRET.encode()).decode()}!",
        files=["note.txt"],
        project=tmp_path,
        context=context,
    )
    await world.sessions().run_turns(call)
    request = world.model.requests[0]
    assert request.messages[0].text == f"Use {MASK}."
    assert f"Your token is {MASK}." in request.instructions
    assert [part.data for part in request.messages[0].parts if isinstance(part, File)] == [f"login: {MASK}\n".encode()]
    stored = b"".join(batch.payload for batch in world.journal.read("r1/agent/t:1"))
    assert Redactor([SECRET]).bytes(stored) == stored
