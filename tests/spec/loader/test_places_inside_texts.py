"""An error inside `${{ }}` is shown where it stands in the file, whatever quotes, escapes and folding are around it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.spec.loader import load_document
from orchestrator.spec.loader_causes import quoted

CASES = {
    "plain": "a: say HERE now\n",
    "plain over lines": "a: one\n  two\n\n  say HERE now\nb: 1\n",
    "single": "a: 'it''s HERE'\n",
    "single over lines": "a: 'one\n\n  it''s HERE'\n",
    "double": 'a: "tab\\t \\x41\\u00e9\\U0001F600 \\"HERE\\""\n',
    "double with an escaped line break": 'a: "one \\\n   HERE \\n x"\n',
    "literal": "a: |\n  one\n\n    two\n  HERE\n",
    "literal with chomping and comment": "a: |- # note\n  one HERE\n\n",
    "literal that keeps": "a: |+\n  one\n\n  HERE\n\n\nb: 1\n",
    "literal with its own indentation": "a: |2\n    one HERE\n  two\n",
    "folded": "a: >\n  one\n  two\n\n  HERE\n   more\n  end\n",
    "folded with deep lines": "a: >-\n  one\n\n    deep\n    HERE\n\n  two\n",
    "deep in a list": "a:\n  - b:\n      - x\n      - |\n        say HERE\n",
    "with carriage returns": "a: |\r\n  one\r\n  HERE\r\n",
    "not at the end": "a: >\n  one\n  HERE",
}


@pytest.mark.parametrize("text", CASES.values(), ids=CASES.keys())
def test_a_word_in_a_value_is_found_in_the_file(text: str) -> None:
    document = load_document(text.encode(), file="x", tolerant=True)
    path: tuple[str | int, ...] = ("a", 0, "b", 1) if "- b:" in text else ("a",)
    value = document.raw(path)
    assert value is not None
    span = document.position_in(path, value.index("HERE"), 4)
    start = document.lines.offset(span.line, span.column)
    end = document.lines.offset(span.end_line, span.end_column)
    assert text[start:end] == "HERE"


def test_an_offset_past_the_text_shows_the_whole_scalar() -> None:
    document = load_document(b"a: abc\n", file="x")
    assert document.position_in(("a",), 99, 1) == document.value_span(("a",))
    assert document.position_in(("a",), 3, 1)[1:4:2] == (7, 7)


LINES = st.lists(st.text("ab \t'\"\\#:é日", max_size=8), min_size=1, max_size=6)


@given(LINES, st.sampled_from(["|", "|-", "|+", ">", ">-", ">+"]))
def test_every_character_of_a_block_stands_where_the_map_says(lines: list[str], header: str) -> None:
    body = "\n".join("  " + line for line in ["x", *lines])
    text = f"a: {header}\n{body}\n"
    _agrees(text)


@given(st.text(" ab'\"\\\n\t\x00\x85é日\u2028", max_size=20))
def test_every_character_of_a_quoted_text_stands_where_the_map_says(value: str) -> None:
    import json

    _agrees(f"a: {json.dumps(value)}\n")
    if value.isprintable():
        _agrees(f"a: {quoted(value)}\n")


def _agrees(text: str) -> None:
    """Every visible character of the value is that very character in the file, or a single escape there."""
    document = load_document(text.encode(), file="x", tolerant=True)
    value = document.raw(("a",)) or ""
    for offset, char in enumerate(value):
        span = document.position_in(("a",), offset, 1)
        if span == document.value_span(("a",)):
            continue
        start = document.lines.offset(span.line, span.column)
        if re.match(r"[^\s\\'\"]", char) and text[start] != "\\":
            assert text[start] == char
