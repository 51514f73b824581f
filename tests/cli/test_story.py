"""Names of inner tasks, and the laws of the story that renderers draw from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.renderers.story import OPEN, Story, depth_of, outer, segments, tool_text
from tests.cli.streams import ASKING, DIGEST, FAILING, FAN_OUT

IDS = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
KEYS = st.text(st.characters(exclude_characters="[]\n", codec="utf-8"), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("name", "around"),
    [
        ("a", ""),
        ("a.b", "a"),
        ("a[k]", "a"),
        ("a[k.l]", "a"),
        ("a[k.l].c", "a[k.l]"),
        ("a[k]#2", "a[k]"),
        ("a[k]#2.c", "a[k]#2"),
        ("a.b#12", "a.b"),
        ("a[#1]", "a"),
    ],
)
def test_what_is_around_an_inner_task(name: str, around: str) -> None:
    assert outer(name) == around


@given(st.lists(st.tuples(IDS, st.none() | KEYS, st.none() | st.integers(1, 99)), min_size=1, max_size=4))
def test_the_depth_counts_tasks_items_and_rounds(parts: list[tuple[str, str | None, int | None]]) -> None:
    names = [f"{id}{'' if key is None else f'[{key}]'}{'' if turn is None else f'#{turn}'}" for id, key, turn in parts]
    name = ".".join(names)
    assert segments(name) == names
    assert depth_of(name) == sum(1 + (key is not None) + (turn is not None) for _, key, turn in parts) - 1


@pytest.mark.parametrize("events", [DIGEST, FAILING, FAN_OUT, ASKING])
def test_a_task_is_open_exactly_while_its_status_says_so(events: list[dict[str, Any]]) -> None:
    story = Story()
    for event in events:
        story.apply(event)
        if story.ended is None:
            assert {name for name, line in story.tasks.items() if line.status in {*OPEN, "unknown"}} == set(story.open)
    assert not story.open


def test_costs_and_tokens_of_the_run_win_over_what_was_summed() -> None:
    story = Story()
    for event in DIGEST[:-1]:
        story.apply(event)
    assert (round(story.cost or 0, 3), story.tokens) == (0.031, 18200)
    story.apply(DIGEST[-1])
    assert (story.cost, story.tokens) == (0.031, 18200)


def test_a_text_without_line_ends_keeps_a_bounded_rest() -> None:
    story = Story()
    story.apply({"type": "task_started", "at": 0.0, "task": "a", "verb": "agent"})
    for _ in range(1000):
        story.apply({"type": "task_chunk", "at": 0.0, "task": "a", "text": "x" * 1000})
    assert len(story.tasks["a"].partial) <= 4000


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"query": "q3 results"}, 'web "q3 results"'),
        ({}, "web"),
        (None, "web"),
        ({"a": 1, "b": [2]}, "web a: 1, b: [2]"),
        ({"path": "a.md", "content": "x" * 200}, "web path: a.md, content: " + "x" * 58 + "…"),
    ],
)
def test_a_tool_call_fits_a_line(arguments: Any, text: str) -> None:
    assert tool_text("web", arguments) == text
