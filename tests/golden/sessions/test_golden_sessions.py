"""Conversations that were recorded once fold to what they always folded to (see regenerate.py)."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from orchestrator.core.session_events import AnyEvent, decode_events, encode_events

HERE = Path(__file__).parent


def _recorder() -> Any:
    spec = importlib.util.spec_from_file_location("golden_sessions_regenerate", HERE / "regenerate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


recorder = _recorder()
NAMES = sorted(path.stem for path in HERE.glob("*.journal"))


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_conversation_means_what_it_meant(name: str) -> None:
    expected = json.loads((HERE / f"{name}.json").read_text())
    assert recorder.told(recorder.folded(recorder.batches(name))) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_event_is_written_as_it_was(name: str) -> None:
    """A field may be added at an event's end; nothing before it may move."""
    for payload in recorder.batches(name):
        old = msgspec.msgpack.decode(payload)
        new = msgspec.msgpack.decode(encode_events(decode_events(payload)))
        for before, after in zip(old, new, strict=True):
            assert _begins(after, before)


def _begins(after: Any, before: Any) -> bool:
    if isinstance(before, list) and isinstance(after, list):
        return len(after) >= len(before) and all(_begins(a, b) for a, b in zip(after, before, strict=False))
    return bool(after == before)


def test_every_conversation_that_is_told_of_has_its_journal() -> None:
    assert sorted(recorder.SCENARIOS) == NAMES


def test_every_kind_of_event_is_in_some_conversation() -> None:
    seen = {type(event) for name in NAMES for payload in recorder.batches(name) for event in decode_events(payload)}
    assert seen == set(get_args(AnyEvent))
