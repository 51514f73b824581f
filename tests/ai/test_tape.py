"""What was recorded is played again: the same answers, events and usage; and what was not recorded is never made up."""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ai.factory import AILoopFactory
from orchestrator.ai.tapes import TapePlayer, TapeRecorder
from orchestrator.ai.tapes.canonical import canonical_request, key_of
from orchestrator.ai.tapes.format import TapeError, parse_tape, read_tape
from orchestrator.ai.tapes.nearest import ReplayMissError
from orchestrator.ai.tapes.virtual_time import VirtualClock, VirtualSessions
from orchestrator.core.messages import File, Image, Message, Text, ToolCall, ToolResult, Usage, user
from orchestrator.errors import NotFoundError, TaskError, UsageError
from orchestrator.host.redact import Redactor
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
from orchestrator.stores.memory import MemoryJournal
from orchestrator.testing.scripted import ScriptedModel, ScriptedProvider, Turn

REQUEST = ChatRequest(
    model="m", messages=(user("Hello?"),), agent="writer", task="notes", conversation="r1/agent/r1:notes"
)
CANARY = "canary-5f2e9b71c04d"


async def events_of(model: Any, request: ChatRequest) -> list[ChatEvent]:
    return [event async for event in model.stream(request)]


async def record(path: Path, *turns: Any, requests: list[ChatRequest] | None = None, environ: Any = None) -> list[Any]:
    """What each request came to: its events, or its error."""
    tape = TapeRecorder(path, environ=environ or {}, force=True)
    model = tape.wrap("scripted", "m", lambda: ScriptedModel(*turns))
    found: list[Any] = []
    for request in requests or [REQUEST]:
        try:
            found.append(await events_of(model, request))
        except ChatModelError as error:
            found.append((error.type, error.message, error.retry_after, error.retryable, error.charged, error.help))
    tape.close()
    return found


async def replay(path: Path, *requests: ChatRequest, environ: Any = None) -> list[Any]:
    tape = TapePlayer(path, environ=environ or {})
    model = tape.wrap("scripted", "m", unopened)
    found: list[Any] = []
    for request in requests or [REQUEST]:
        try:
            found.append(await events_of(model, request))
        except ReplayMissError:
            raise
        except ChatModelError as error:
            found.append((error.type, error.message, error.retry_after, error.retryable, error.charged, error.help))
    return found


def unopened() -> Any:
    raise AssertionError("a replay opens no model")


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


# The same again

texts = st.text(max_size=12)
usages = st.builds(Usage, *[st.integers(0, 10_000)] * 4)
events = st.lists(
    st.one_of(
        st.builds(TextDelta, texts),
        st.builds(ReasoningDelta, texts),
        st.builds(ToolCallDelta, st.integers(0, 3), texts, texts, texts),
        st.builds(UsageReported, usages),
        st.builds(Notice, texts),
    ),
    max_size=8,
)
streams = st.builds(
    lambda some, end: [*some, end],
    events,
    st.builds(Finished, st.sampled_from(["stop", "length", "tool_calls", "refused"]), texts, texts),
)
errors = st.builds(
    ChatModelError,
    st.sampled_from(["rate_limited", "overloaded", "outage", "auth", "invalid_output", "timeout"]),
    texts,
    retry_after=st.none() | st.floats(0, 1e6),
    retryable=st.none() | st.booleans(),
    charged=st.booleans(),
    help=st.none() | st.text(min_size=1, max_size=9),
)


@given(st.lists(streams | errors | events, min_size=1, max_size=5))
def test_what_was_recorded_is_played_event_for_event_and_error_for_error(turns: list[Any]) -> None:
    with folder() as here:
        same = [REQUEST] * len(turns)
        recorded = asyncio.run(record(here / "t.jsonl", *turns, requests=same))
        assert asyncio.run(replay(here / "t.jsonl", *same)) == recorded


@given(streams)
def test_a_tape_is_lines_of_json_that_hide_nothing_in_a_review(turn: list[Any]) -> None:
    with folder() as here:
        asyncio.run(record(here / "t.jsonl", turn))
        data = (here / "t.jsonl").read_bytes()
        text = data.decode()
    assert [json.loads(line) for line in data.split(b"\n")[:-1]]
    assert not [char for char in text if char in "\u202e\u2066\u200b\x7f\x9b\ufeff\u2028"]
    assert parse_tape(data, "t").encoded() == data


async def test_hidden_characters_stand_as_escapes(tmp_path: Path) -> None:
    said = "\u202eevil\u2066\u200b\x9b\ufeff\ud800\U000e0041"
    (recorded,) = await record(tmp_path / "t.jsonl", said)
    assert b"\\u202eevil\\u2066\\u200b\\u009b\\ufeff\\ud800\\udb40\\udc41" in (tmp_path / "t.jsonl").read_bytes()
    assert await replay(tmp_path / "t.jsonl") == [recorded]


async def test_the_same_request_of_two_tasks_is_answered_to_each_its_own_way_round(tmp_path: Path) -> None:
    of_other = replace(REQUEST, task="other")
    asked = [REQUEST, of_other, of_other, REQUEST]
    first, second, third, fourth = await record(tmp_path / "t.jsonl", "1", "2", "3", "4", requests=asked)
    played = await replay(tmp_path / "t.jsonl", of_other, REQUEST, REQUEST, of_other)
    assert played == [second, first, fourth, third]


async def test_a_request_that_was_cut_off_is_on_the_tape_and_is_not_played(tmp_path: Path) -> None:
    gate = asyncio.Event()
    tape = TapeRecorder(tmp_path / "t.jsonl", environ={})
    model = tape.wrap("scripted", "m", lambda: ScriptedModel(Turn(text="Half of it", chunk=4, gate=gate), "All of it."))
    stream: Any = model.stream(REQUEST)
    assert await anext(stream) == TextDelta("Half")
    await stream.aclose()
    whole = await events_of(model, REQUEST)
    tape.close()
    cut, answered = read_tape(tmp_path / "t.jsonl").entries
    assert (cut.end, answered.end) == ("cut", "answered")
    assert cut.data["events"][0]["text"] == "Half"
    assert await replay(tmp_path / "t.jsonl") == [whole]


async def test_a_request_whose_time_was_over_is_over_again(tmp_path: Path) -> None:
    tape = TapeRecorder(tmp_path / "t.jsonl", environ={})
    model = tape.wrap("scripted", "m", lambda: ScriptedModel(Turn(text="Half of it", chunk=4, gate=asyncio.Event())))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await events_of(model, replace(REQUEST, timeout=0.02))
    tape.close()
    ((type_, *_),) = await replay(tmp_path / "t.jsonl")
    assert type_ == "timeout"


# Whole conversations


class Calculator:
    name = "add"
    effect = "pure"
    spec = ToolSpec(
        name="add",
        description="Adds.",
        parameters={"type": "object", "properties": {"a": {"type": "integer"}}},
    )

    async def call(self, arguments: dict[str, Any], call_id: str) -> Any:
        return {"sum": arguments["a"] + 1}


def ways(tape: Any, model: ScriptedModel | None, published: list[Any], **how: Any) -> Any:
    class Unopened(ScriptedProvider):
        def check(self, model: str, options: Any) -> None: ...

    provider = ScriptedProvider({"m": model}) if model is not None else Unopened()
    factory = AILoopFactory(journal=MemoryJournal(), environ={}, providers={"scripted": provider}, tape=tape, **how)
    loop = factory.create("writer", {"model": "scripted/m"}, tools=[Calculator()], stream="r1/agent/r1:t", run_id="r1")

    async def ask(prompt: str) -> Any:
        return await loop.ask(prompt, publish=lambda type, data: published.append((type, data)))

    return ask


async def test_a_conversation_with_tools_and_failures_comes_out_the_same_and_waits_for_nothing(tmp_path: Path) -> None:
    turns = [
        ChatModelError("rate_limited", "slow down", retry_after=30.0),
        Turn(text="Let me see", tool_calls=[("add", {"a": 1})], chunk=3),
        Turn(ends_early=True, text="It i"),
        Turn(text="It is 2.", chunk=2),
    ]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    class Clock:
        def now(self) -> float:
            return 1_700_000_000.0 + sum(slept)

        monotonic = now

    told: list[Any] = []
    recorder = TapeRecorder(tmp_path / "t.jsonl", environ={})
    live = await ways(recorder, ScriptedModel(*turns), told, clock=Clock(), sleep=sleep)("One more than 1?")
    recorder.close()
    assert sum(slept) > 30

    class Frozen:
        def now(self) -> float:
            return 1_700_000_000.0

        monotonic = now

    clock, again = VirtualClock(Frozen()), []
    player = TapePlayer(tmp_path / "t.jsonl", environ={})
    ask = ways(player, None, again, clock=clock, sleep=clock.sleep)

    class Asks:
        async def run_turns(self, call: Any) -> Any:
            answer = await ask(call)
            return answer, clock.now()

    played, now = await VirtualSessions(Asks()).run_turns("One more than 1?")  # type: ignore[arg-type]
    assert played == live
    assert again == told
    assert now - 1_700_000_000.0 == pytest.approx(sum(slept), abs=1)
    assert player.unused() == []
    assert player.misses == []


async def test_a_miss_fails_without_another_try(tmp_path: Path) -> None:
    recorder = TapeRecorder(tmp_path / "t.jsonl", environ={})
    await ways(recorder, ScriptedModel("Hi."), [])("Hello?")
    recorder.close()
    player = TapePlayer(tmp_path / "t.jsonl", environ={})
    with pytest.raises(TaskError, match=r"replay miss.*`messages`: number 1 \(user text\) differs"):
        await ways(player, None, [])("Good-bye?")
    assert len(player.misses) == 1
    assert "-  Hello?" in player.misses[0].diff
    assert "+  Good-bye?" in player.misses[0].diff


# Keys

OTHER = {
    "model": ("model", "n"),
    "instructions": ("instructions", "Be brief."),
    "temperature": ("temperature", 0.5),
    "max_tokens": ("max_tokens", 7),
    "settings": ("settings", {"top_p": 0.5}),
    "tools": ("tools", (Calculator.spec,)),
    "output_schema": ("output_schema", {"type": "object"}),
    "messages": ("messages", (user("Hello!"),)),
}


@pytest.mark.parametrize(("field", "value"), OTHER.values(), ids=OTHER)
async def test_any_change_of_what_is_asked_misses_and_is_named(tmp_path: Path, field: str, value: Any) -> None:
    await record(tmp_path / "t.jsonl", "Hi.")
    with pytest.raises(ReplayMissError) as missed:
        await replay(tmp_path / "t.jsonl", replace(REQUEST, **{field: value}))
    assert f"`{field}`" in missed.value.message
    assert "entry 1" in missed.value.message
    assert missed.value.diff
    assert not missed.value.retryable
    assert not missed.value.charged


@pytest.mark.parametrize("field", ["number", "timeout", "conversation"])
async def test_what_differs_from_run_to_run_is_no_part_of_the_key(tmp_path: Path, field: str) -> None:
    (recorded,) = await record(tmp_path / "t.jsonl", "Hi.")
    changed = {"number": 9, "timeout": 1.5, "conversation": "r2/agent/r2:notes"}[field]
    assert await replay(tmp_path / "t.jsonl", replace(REQUEST, **{field: changed})) == [recorded]


def test_a_length_that_a_budget_left_is_no_part_of_the_key() -> None:
    def key(**changes: Any) -> str:
        return key_of(canonical_request("p", replace(REQUEST, **changes), Redactor()))

    assert key(max_tokens=5, capped=True) == key(max_tokens=6, capped=True)
    assert key(max_tokens=5) != key(max_tokens=6)


parts = st.one_of(
    st.builds(Text, texts),
    st.builds(Image, st.just("image/png"), st.binary(max_size=4)),
    st.builds(File, texts, st.just("text/plain"), st.binary(max_size=4)),
    st.builds(ToolCall, texts, texts, texts),
    st.builds(ToolResult, texts, texts, texts, st.booleans()),
)
messages = st.builds(Message, st.sampled_from(["user", "assistant", "tool"]), st.lists(parts, max_size=3).map(tuple))


@given(st.lists(messages, max_size=3).map(tuple), st.lists(messages, max_size=3).map(tuple))
def test_two_requests_have_one_key_only_if_they_say_the_same(one: Any, other: Any) -> None:
    keys = [key_of(canonical_request("p", replace(REQUEST, messages=said), Redactor())) for said in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


async def test_bytes_stand_on_the_tape_by_their_hash(tmp_path: Path) -> None:
    picture = b"\x89PNG" + bytes(range(64))
    asked = replace(REQUEST, messages=(user("See?", Image("image/png", data=picture)),))
    await record(tmp_path / "t.jsonl", "I see.", requests=[asked])
    data = (tmp_path / "t.jsonl").read_bytes()
    assert base64.b64encode(picture)[:16] not in data
    (entry,) = read_tape(tmp_path / "t.jsonl").entries
    assert entry.request["messages"][0]["parts"][1]["image"]["bytes"] == len(picture)


async def test_a_request_asked_once_too_often_is_told_as_that(tmp_path: Path) -> None:
    await record(tmp_path / "t.jsonl", "Hi.")
    with pytest.raises(ReplayMissError, match="answers once, and that is used up"):
        await replay(tmp_path / "t.jsonl", REQUEST, REQUEST)


# Secrets

SPELLINGS = {
    "raw": CANARY,
    "base64": base64.b64encode(CANARY.encode()).decode(),
    "hex": CANARY.encode().hex(),
    "url": quote(CANARY + "/?", safe=""),
}


@given(st.sampled_from(sorted(SPELLINGS)), st.integers(1, 9), st.sampled_from(["text", "reasoning", "arguments"]))
def test_a_secret_reaches_no_tape_in_any_spelling_or_in_pieces(spelling: str, size: int, channel: str) -> None:
    said = SPELLINGS[spelling]
    whole = f"before {said} after"
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    kind = {
        "text": TextDelta,
        "reasoning": ReasoningDelta,
        "arguments": lambda piece: ToolCallDelta(0, piece, "c", "t"),
    }[channel]
    turn = [*(kind(piece) for piece in pieces), Notice(whole), UsageReported(Usage(1, 1)), Finished("stop", said)]
    asked = replace(
        REQUEST,
        messages=(user(whole), Message("tool", (ToolResult("c", "t", whole),))),
        instructions=whole,
        settings={"user": whole},
        tools=(ToolSpec(name="t", description=whole, parameters={"description": whole}),),
    )
    failed = ChatModelError("auth", f"wrong key {said}", help=whole)
    with folder() as here:
        environ = {"TEAM_API_KEY": CANARY}
        asyncio.run(record(here / "t.jsonl", turn, failed, requests=[asked, asked], environ=environ))
        data = (here / "t.jsonl").read_bytes()
        file = read_tape(here / "t.jsonl")
        hidden = "".join(
            str(row.get(channel, row.get("tool_call", {}).get("arguments", "")))
            for row in file.entries[0].data["events"]
        )
        played = asyncio.run(replay(here / "t.jsonl", asked, asked, environ=environ))
    for form in SPELLINGS.values():
        assert form.encode() not in data
        assert form not in hidden
    assert "before ***" in hidden
    assert hidden.endswith(" after")
    assert len(played) == 2, "with the same secrets known, the same request is found"


async def test_secrets_of_a_run_are_masked_before_hashing(tmp_path: Path) -> None:
    for name, secret in (("a", "first-secret-123"), ("b", "other-secret-456")):
        tape = TapeRecorder(tmp_path / name, environ={})
        tape.secrets.add([secret])
        model = tape.wrap("scripted", "m", lambda: ScriptedModel("Hi."))
        await events_of(model, replace(REQUEST, messages=(user(f"Use {secret}."),)))
        tape.close()
    one, other = (read_tape(tmp_path / name).entries[0].key for name in "ab")
    assert one == other


# The file


async def test_a_line_that_was_cut_off_is_left_aside_and_replaced_when_recording_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    recorded = await record(path, "1", "2", requests=[REQUEST, REQUEST])
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in (1, len(lines[2]) // 2, len(lines[2]) - 2):
        path.write_bytes(b"".join(lines[:2]) + lines[2][:cut])
        assert read_tape(path).torn == cut
        assert await replay(path) == recorded[:1]
    tape = TapeRecorder(path, environ={}, go_on=True)
    await events_of(tape.wrap("scripted", "m", lambda: ScriptedModel("3")), REQUEST)
    tape.close()
    file = read_tape(path)
    assert (file.torn, len(file.entries)) == (0, 2)


async def test_a_tape_that_is_there_is_recorded_over_only_by_force(tmp_path: Path) -> None:
    await record(tmp_path / "t.jsonl", "Hi.")
    before = (tmp_path / "t.jsonl").read_bytes()
    with pytest.raises(UsageError, match="already"):
        TapeRecorder(tmp_path / "t.jsonl", environ={})
    assert (tmp_path / "t.jsonl").read_bytes() == before
    TapeRecorder(tmp_path / "t.jsonl", environ={}, force=True).close()
    assert (tmp_path / "t.jsonl").read_bytes() == before, "a run that did not get so far takes nothing away"
    await record(tmp_path / "t.jsonl", "Ho.")
    (entry,) = read_tape(tmp_path / "t.jsonl").entries
    assert entry.data["events"][0]["text"] == "Ho."


async def test_an_empty_tape_may_be_recorded_over_and_another_file_never(tmp_path: Path) -> None:
    TapeRecorder(tmp_path / "t.jsonl", environ={}).close()
    TapeRecorder(tmp_path / "t.jsonl", environ={}).close()
    (tmp_path / "notes.md").write_text("# Mine\n")
    with pytest.raises(TapeError, match=r"no line of a tape|no tape"):
        TapeRecorder(tmp_path / "notes.md", environ={}, force=True)
    assert (tmp_path / "notes.md").read_text() == "# Mine\n"


def test_two_recorders_never_share_a_tape(tmp_path: Path) -> None:
    first = TapeRecorder(tmp_path / "t.jsonl", environ={})
    with pytest.raises(UsageError, match="another process"):
        TapeRecorder(tmp_path / "t.jsonl", environ={}, force=True)
    first.close()


def test_what_is_no_tape_says_so(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with pytest.raises(NotFoundError, match="there is no tape"):
        read_tape(path)
    for data, said in (
        (b"", "no header"),
        (b"{}\n", "first line does not say"),
        (b'{"format": "whisper-flow-tape/9"}\n', "is of format whisper-flow-tape/9"),
        (b'{"format": "whisper-flow-tape/1"}\nnonsense\n', "t.jsonl:2 is no line"),
        (b'{"format": "whisper-flow-tape/1"}\n{"entry": "model"}\n', "t.jsonl:2 is no entry.*`key` is missing"),
    ):
        path.write_bytes(data)
        with pytest.raises(TapeError, match=said):
            read_tape(path)


@given(st.binary(max_size=60), st.integers(0, 400))
def test_no_damage_to_a_tape_is_more_than_an_error(damage: bytes, at: int) -> None:
    with folder() as here:
        asyncio.run(record(here / "t.jsonl", "Hi."))
        data = (here / "t.jsonl").read_bytes()
    try:
        file = parse_tape(data[:at] + damage + data[at + len(damage) :], "t")
    except TapeError:
        return
    assert len(file.entries) <= 60


# A replay that goes on


async def test_a_replay_that_goes_on_passes_over_what_is_on_record(tmp_path: Path) -> None:
    asked = [replace(REQUEST, number=1), replace(REQUEST, number=2), replace(REQUEST, number=3)]
    _, _, third = await record(tmp_path / "t.jsonl", ChatModelError("outage", "gone"), "2", "3", requests=asked)
    tape = TapePlayer(tmp_path / "t.jsonl", environ={})
    tape.around.settled = {"r9/agent/r9:notes": 2}.get  # type: ignore[assignment]
    model = tape.wrap("scripted", "m", unopened)
    assert await events_of(model, replace(REQUEST, number=3, conversation="r9/agent/r9:notes")) == third
    assert tape.unused() == []
