"""Journals that were written once fold to what they always folded to (see regenerate.py)."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from orchestrator.core import events
from orchestrator.core.events import decode_batch, encode_batch

HERE = Path(__file__).parent


def _recorder() -> Any:
    spec = importlib.util.spec_from_file_location("golden_regenerate", HERE / "regenerate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


recorder = _recorder()
NAMES = sorted(path.stem for path in HERE.glob("*.journal"))


def _golden(name: str) -> Any:
    return msgspec.msgpack.decode((HERE / f"{name}.journal").read_bytes(), type=recorder.Golden)


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_journal_means_what_it_meant(name: str) -> None:
    expected = json.loads((HERE / f"{name}.json").read_text())
    assert recorder.told(recorder.folded(_golden(name))) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_event_is_written_as_it_was(name: str) -> None:
    """A field may be added at an event's end; nothing before it may move."""
    for payload in _golden(name).batches:
        old = msgspec.msgpack.decode(payload)
        batch = decode_batch(payload)
        new = msgspec.msgpack.decode(encode_batch(batch.at, batch.events))
        assert new[0] == old[0]
        for before, after in zip(old[1], new[1], strict=True):
            assert after[: len(before)] == before


def test_every_workflow_that_is_told_of_has_its_journal() -> None:
    assert sorted(recorder.SCENARIOS) == NAMES


def test_every_kind_of_event_is_in_some_journal() -> None:
    seen = {
        type(event) for name in NAMES for payload in _golden(name).batches for event in decode_batch(payload).events
    }
    missing = {kind.__name__ for kind in get_args(events.AnyEvent)} - {kind.__name__ for kind in seen}
    assert missing <= {"GitPinned", "TaskParked"}


def test_no_journal_says_where_it_was_recorded() -> None:
    for name in NAMES:
        data = (HERE / f"{name}.journal").read_bytes()
        assert b"golden-" not in data
        assert str(Path.home()).encode() not in data
