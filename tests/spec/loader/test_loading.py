"""What a file means, and where everything in it stands."""

from __future__ import annotations

import pytest

from orchestrator.spec.diagnostics import DiagnosticsError, Span
from orchestrator.spec.loader import Document, load_document


def load(text: str) -> Document:
    return load_document(text.encode(), file="x.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("no", "no"), ("yes", "yes"), ("off", "off"), ("y", "y"), ("12:30", "12:30"), ("1:2:3", "1:2:3"),
        ("2024-01-31", "2024-01-31"), ("0777", 777), ("0o17", 15), ("0x1F", 31), ("1.10", 1.1), ("1e3", 1000.0), (".5", 0.5),
        ("+1", 1), ("-1", -1), ("1_000", "1_000"), ("true", True), ("True", True), ("TRUE", True), ("tRUE", "tRUE"),
        ("null", None), ("~", None), ("", None), ("Null", None), ("nul", "nul"), ("<<", "<<"), ("=", "="),
        ("18446744073709551615", 18446744073709551615), ("'1'", "1"), ('"true"', "true"), ("0b1", "0b1"), ("1.", 1.0),
    ],
)  # fmt: skip
def test_a_plain_scalar_means_what_the_core_schema_says(text: str, value: object) -> None:
    found = load(f"a: {text}\n").data["a"]
    assert found == value
    assert type(found) is type(value)


def test_the_authors_text_survives_beside_the_value() -> None:
    document = load("env: {VERSION: 1.10, MODE: 0777, Q: 'it''s'}\n")
    assert document.data["env"]["VERSION"] == 1.1
    assert document.raw(("env", "VERSION")) == "1.10"
    assert document.raw(("env", "MODE")) == "0777"
    assert document.raw(("env", "Q")) == "it's"
    assert document.raw(("env",)) is None


def test_keys_and_values_have_exact_spans() -> None:
    document = load("name: x\ntasks:\n  fetch: {run: 'echo hi', retry: 3}\n  list:\n    - a\n    - bb\n")
    assert document.key_span(("tasks", "fetch")) == Span(3, 3, 3, 8)
    assert document.value_span(("tasks", "fetch", "run")) == Span(3, 16, 3, 25)
    assert document.key_span(("tasks", "fetch", "retry")) == Span(3, 27, 3, 32)
    assert document.value_span(("tasks", "fetch")) == Span(3, 10, 3, 36)
    assert document.value_span(("tasks", "list", 1)) == Span(6, 7, 6, 9)
    assert document.key_span(("tasks", "list", 1)) == Span(6, 7, 6, 9)
    assert document.line(("tasks", "list")) == 4


def test_columns_count_code_points_also_behind_wide_and_combined_characters() -> None:
    document = load("a: {é: 1, 日本: 2, \U0001f600: 3, z: 4}\n")
    assert document.key_span(("a", "z")) == Span(1, 24, 1, 25)


def test_a_path_that_is_not_there_shows_the_nearest_thing_above() -> None:
    document = load("tasks:\n  one: {run: x}\n")
    assert document.value_span(("tasks", "one", "retry", "max")) == Span(2, 3, 2, 6)
    assert document.key_span(("nothing", 3)) == Span(1, 1, 1, 7)


def test_a_block_ends_with_its_last_value_and_not_at_the_next_key() -> None:
    document = load("a:\n  b: 1\n  c: 2\n\n\n# note\nd: 3\n")
    assert document.value_span(("a",)) == Span(2, 3, 3, 7)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_counts_as_one(end: str) -> None:
    text = end.join(["a: 1", "b:", "  c: x", ""])
    document = load_document(text.encode(), file="x", tolerant=True)
    assert document.key_span(("b", "c")) == Span(3, 3, 3, 4)
    assert [one.code for one in document.diagnostics] == ([] if end == "\n" else ["WF107"])


def test_a_next_line_character_does_not_shift_the_lines() -> None:
    document = load("a: x\x85\nb: y\n")
    assert document.key_span(("b",)).line == 2


def test_aliases_repeat_values_and_point_to_the_anchored_text() -> None:
    document = load("x-a: &a {run: echo}\ntasks: {one: *a, two: *a}\n")
    assert document.data["tasks"] == {"one": {"run": "echo"}, "two": {"run": "echo"}}
    assert document.key_span(("tasks", "two", "run")).line == 1
    assert document.key_span(("tasks", "two")) == Span(2, 18, 2, 21)


def test_merge_keys_give_what_a_mapping_does_not_say_itself() -> None:
    document = load("x-a: &a {k: 1, l: 1}\nx-b: &b {l: 2, m: 2}\nc:\n  <<: [*a, *b]\n  k: 3\n")
    assert document.data["c"] == {"k": 3, "l": 1, "m": 2}
    assert document.key_span(("c", "m")).line == 2
    assert document.key_span(("c", "k")).line == 5


def test_a_quoted_merge_key_is_an_ordinary_key() -> None:
    assert load("a: {'<<': 1}\n").data == {"a": {"<<": 1}}


def test_an_anchor_is_not_part_of_its_value() -> None:
    document = load("a: &x hello\nb: *x\n")
    assert document.value_span(("a",)) == Span(1, 7, 1, 12)
    assert document.position_in(("a",), 1, 2) == Span(1, 8, 1, 10)


def test_tolerant_loading_keeps_the_findings_for_later() -> None:
    document = load_document(b"a: 1\na: 2\n", file="x", tolerant=True)
    assert document.data == {"a": 1}
    assert [one.code for one in document.diagnostics] == ["WF111"]
    with pytest.raises(DiagnosticsError) as caught:
        load_document(b"a: 1\na: 2\n", file="x")
    assert caught.value.exit_code == 3


def test_a_text_cut_by_a_comma_is_put_together_for_the_checks_that_follow() -> None:
    document = load_document(b"a: {i: Do this, then that, x: 1}\n", file="x", tolerant=True)
    assert document.data == {"a": {"i": "Do this, then that", "x": 1}}
    assert document.value_span(("a", "i")) == Span(1, 8, 1, 26)
