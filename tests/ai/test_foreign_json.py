"""Whatever a model writes as JSON: it is refused, or it is a value that journal, events and checks can hold."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ai.answer import Assembly
from orchestrator.ai.foreign_json import DEPTH_MAX, read_json, sound
from orchestrator.ai.output import read_output
from orchestrator.core.messages import Usage
from orchestrator.ports.chat_model import ChatModelError, Finished, ToolCallDelta, UsageReported

ANY_TEXT = st.text(st.characters(exclude_categories=()))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
REFUSED = [
    "[" * 200_000 + "]" * 200_000,
    "[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1),
    "NaN",
    "[-Infinity]",
    "1e999",
    "9" * 5000,
]


@given(VALUES, st.booleans())
def test_what_is_read_can_be_written_again(value: Any, ascii_only: bool) -> None:
    try:
        read = read_json(json.dumps(value, ensure_ascii=ascii_only))
    except ValueError:
        assert any(word in json.dumps(value) for word in ("NaN", "Infinity"))
        return
    msgspec.json.encode(read)
    json.dumps(read, ensure_ascii=False).encode()


@given(ANY_TEXT)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_json(text)
    except ValueError:
        return


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:12])
def test_what_nobody_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"deep|not JSON|too large|limit"):
        read_json(text)
    assert read_output(text, {"type": "array"}).problems


def test_as_deep_as_is_allowed_is_read() -> None:
    assert read_json("[" * DEPTH_MAX + "]" * DEPTH_MAX)


def arguments_of(text: str) -> str:
    assembly = Assembly()
    for event in (ToolCallDelta(0, text, "c", "f"), UsageReported(Usage(1, 1)), Finished("tool_calls", "m")):
        assembly.take(event)
    (call,) = assembly.answer().message.tool_calls
    return call.arguments


def test_halves_of_characters_in_arguments_are_replaced_also_as_escapes() -> None:
    assert json.loads(arguments_of(r'{"a": "\ud800x", "\udc00": "\ud83d\ude00"}')) == {"a": "\ufffdx", "\ufffd": "😀"}
    assert arguments_of(r'{"a":  "b"}') == r'{"a":  "b"}', "else it stays as it was written"


@pytest.mark.parametrize("text", ['{"a": ' + "[" * 200_000 + "]" * 200_000 + "}", '{"a": NaN}', '{"a": 1e999}'])
def test_arguments_that_nobody_can_hold_are_asked_for_again(text: str) -> None:
    with pytest.raises(ChatModelError, match="not a JSON object") as caught:
        arguments_of(text)
    assert caught.value.retryable


def test_halves_of_characters_in_a_value_are_replaced() -> None:
    assert read_output(r'Here: {"a": "\ud800"}', {"type": "object"}).value == {"a": "\ufffd"}
    assert sound("\ud83d\ude00") == "😀"
