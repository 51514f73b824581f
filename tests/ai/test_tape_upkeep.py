"""Verifying, redacting, pruning and comparing tapes."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ai.tapes.format import Entry, TapeFile, parse_tape, read_tape
from orchestrator.ai.tapes.upkeep import answer_text, differences, pruned, redact, verify
from orchestrator.core.messages import Usage
from orchestrator.host.redact import Redactor
from orchestrator.ports.chat_model import ChatModelError, Finished, TextDelta, UsageReported
from orchestrator.testing.scripted import Turn
from tests.ai.test_tape import REQUEST, folder, record, replay

SECRET = "hunter2-hunter2-hunter2"


@given(st.integers(1, 30), st.booleans())
def test_a_redacted_tape_holds_no_secret_and_still_plays(size: int, encoded: bool) -> None:
    said = f"It is {base64.b64encode(SECRET.encode()).decode() if encoded else SECRET}, you know."
    asked = [REQUEST, REQUEST]
    with folder() as here:
        asyncio.run(record(here / "t.jsonl", Turn(text=said, chunk=size), ChatModelError("auth", said), requests=asked))
        tape = read_tape(here / "t.jsonl")
        tape.entries[0].data["request"]["instructions"] = said
        clean, changed = redact(tape, Redactor([SECRET]))
        (here / "u.jsonl").write_bytes(clean.encoded())
        assert verify(parse_tape(clean.encoded(), "u"), Redactor([SECRET])) == []
    assert changed == {1, 2}
    text = answer_text(clean.entries[0])
    assert text.startswith("It is ***")
    assert text.endswith(", you know.")
    assert clean.entries[0].key != tape.entries[0].key
    assert redact(clean, Redactor([SECRET]))[1] == set(), "what is clean stays as it is"


@given(st.integers(1, 30))
def test_a_secret_in_pieces_is_found_by_verify(size: int) -> None:
    with folder() as here:
        asyncio.run(record(here / "t.jsonl", Turn(text=f"It is {SECRET}.", chunk=size)))
        tape = read_tape(here / "t.jsonl")
    assert [finding.entry for finding in verify(tape, Redactor([SECRET]))] == [1]
    assert verify(tape, Redactor(["another-secret-of-somebody"])) == []


async def test_an_edited_request_is_found_and_an_edited_answer_is_allowed(tmp_path: Path) -> None:
    await record(tmp_path / "t.jsonl", "Hi.")
    text = (tmp_path / "t.jsonl").read_text()
    edited = parse_tape(text.replace('"Hello?"', '"Hullo?"').encode(), "t")
    assert [finding.entry for finding in verify(edited, Redactor())] == [1]
    (tmp_path / "t.jsonl").write_text(text.replace('"Hi."', '"Ho."'))
    assert verify(read_tape(tmp_path / "t.jsonl"), Redactor()) == []
    ((event, *_),) = await replay(tmp_path / "t.jsonl")
    assert event == TextDelta("Ho.")


async def test_an_answer_that_cannot_be_played_is_found(tmp_path: Path) -> None:
    await record(tmp_path / "t.jsonl", [TextDelta("Hi."), UsageReported(Usage(1, 1)), Finished("stop")])
    text = (tmp_path / "t.jsonl").read_text()
    assert '"finished": "stop"' in text
    for broken in (
        text.replace('"finished": "stop"', '"notice": "x"'),
        text.replace('"finished": "stop"', '"ended": 1'),
    ):
        assert [finding.entry for finding in verify(parse_tape(broken.encode(), "t"), Redactor())] == [1]
    torn = verify(parse_tape(text.encode() + b'{"entry": "mo', "t"), Redactor())
    assert [finding.entry for finding in torn] == [0]


async def test_pruning_takes_out_what_is_named_and_what_was_cut(tmp_path: Path) -> None:
    await record(tmp_path / "t.jsonl", "1", "2", "3", requests=[REQUEST] * 3)
    tape = read_tape(tmp_path / "t.jsonl")
    tape.entries[1].data["end"] = "cut"
    kept = pruned(tape, {1})
    assert [answer_text(entry) for entry in kept.entries] == ["3"]
    assert kept.entries[0].number == 1


async def test_a_tape_does_not_differ_from_itself_and_says_what_another_does_differently(tmp_path: Path) -> None:
    await record(tmp_path / "t.jsonl", "1", "2", requests=[REQUEST] * 2)
    tape = read_tape(tmp_path / "t.jsonl")
    assert differences(tape, tape) == []
    shorter = TapeFile(tape.header, [Entry(1, {**tape.entries[0].data, "end": "failed"})])
    first, second = differences(tape, shorter)
    assert first.changes == ("was answered, is failed",)
    assert (second.before, second.after, second.changes) == (2, None, ("is gone",))
