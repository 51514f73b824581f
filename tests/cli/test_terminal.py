"""What may reach a screen, how wide it is, and when there are colours."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.table import table
from orchestrator.cli.terminal import Screen, cell_width, clean, clean_line, cut, wants_color


@given(st.text())
def test_cleaned_text_has_nothing_that_a_terminal_obeys(text: str) -> None:
    cleaned = clean(text)
    assert not any(
        (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) <= 0x9F or "\u202a" <= c <= "\u202e" for c in cleaned
    )
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
        ("\x1b]0;title without end\nnext line", "\nnext line"),
        ("\x1b(B\x1b=plain", "plain"),
        ("a\r\nb", "a\nb"),
    ],
)
def test_escape_sequences_go_as_a_whole(raw: str, shown: str) -> None:
    assert clean(raw) == shown


def test_a_million_unfinished_sequences_take_no_time_worth_naming() -> None:
    assert clean("\x1b]" * 1_000_000) == ""


@given(st.text(), st.integers(1, 20))
def test_cut_text_fits(text: str, width: int) -> None:
    line = clean_line(text)
    assert cell_width(cut(line, width)) <= width


def test_wide_characters_count_twice_and_combining_ones_not_at_all() -> None:
    assert [cell_width(text) for text in ("ab", "漢字", "e\u0301")] == [2, 4, 1]


@pytest.mark.parametrize(
    ("choice", "terminal", "environ", "color"),
    [
        ("auto", True, {"TERM": "xterm"}, True),
        ("auto", False, {"TERM": "xterm"}, False),
        ("auto", True, {"TERM": "dumb"}, False),
        ("auto", True, {"TERM": "xterm", "CI": "true"}, False),
        ("auto", True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        ("auto", True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        ("auto", False, {"FORCE_COLOR": "1", "CI": "true"}, True),
        ("auto", False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("auto", False, {"FORCE_COLOR": "0"}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_when_there_are_colours(choice: str, terminal: bool, environ: dict[str, str], color: bool) -> None:
    assert wants_color(choice, terminal, environ) is color  # type: ignore[arg-type]


def test_a_stream_that_knows_ascii_only_gets_ascii() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    screen = Screen.of(stream)
    screen.line("✓ fetch · done → é")
    assert raw.getvalue() == b"+ fetch - done -> ?\n"


def test_a_table_stays_within_a_narrow_window_and_is_whole_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        ["files.write", "runs for path=notes/*; else asks at a terminal", "Write a whole text file."],
        ["x", "y", "z"],
    ]
    for columns in (30, 50, 80, 200):
        monkeypatch.setattr(Screen, "width", property(lambda screen, columns=columns: columns))
        told = table(Screen(io.StringIO(), terminal=True, color=False, unicode=True), ["tool", "a call", "what"], rows)
        assert max(cell_width(row) for row in told.splitlines()) <= columns
        assert ("asks at a terminal" in told) == (columns >= 80)
