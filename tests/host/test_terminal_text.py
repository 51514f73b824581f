"""Nothing that text from outside holds can act on a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.host.terminal_text import clean_terminal

ACTS = {"Cc", "Cs"}


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("naïve ☃ 日本 👩‍💻", "naïve ☃ 日本 👩‍💻"),
        ("\x1b[2J\x1b]0;title\x07", "␛[2J␛]0;title␇"),
        ("\x9b31m", "<U+009B>31m"),
        ("\x7f\x00\x08", "␡␀␈"),
        ("10%\r20%\r\nok", "10%\n20%\nok"),
        ("safe\u202egnp.exe", "safe<U+202E>gnp.exe"),
        ("\u2066a\u2069 \u200e \u061c", "<U+2066>a<U+2069> <U+200E> <U+061C>"),
        ("one\u2028two\u2029three\x85four", "one<U+2028>two<U+2029>three<U+0085>four"),
        ("zero\u200bwidth \U000e0041", "zero<U+200B>width <U+E0041>"),
        ("half \ud800", "half \ufffd"),
    ],
)
def test_what_would_act_is_shown(raw: str, clean: str) -> None:
    assert clean_terminal(raw) == clean


@given(st.text())
def test_nothing_that_acts_is_left_and_cleaning_twice_is_cleaning_once(text: str) -> None:
    clean = clean_terminal(text)
    assert not [char for char in clean if unicodedata.category(char) in ACTS and char not in "\n\t"]
    assert not [
        char
        for char in clean
        if unicodedata.bidirectional(char) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    ]
    assert clean_terminal(clean) == clean
