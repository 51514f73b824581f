"""Did you mean: near names only, the nearest first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.spec.suggest import did_you_mean, edit_distance, suggest


@pytest.mark.parametrize(
    ("wanted", "known", "found"),
    [
        ("retires", ["retry", "run", "retries"], ["retries", "retry"]),
        ("Fetch", ["Fetchy", "fetch"], ["fetch", "Fetchy"]),
        ("by-sales", ["by_sale", "by_sales", "by_sams"], ["by_sales", "by_sale"]),
        ("ab", ["a", "b", "abc", "abcd", "x"], ["a", "b", "abc"]),
        ("promt", ["prompt"], ["prompt"]),
        ("prmopt", ["prompt"], ["prompt"]),
        ("zzz", ["prompt"], []),
        ("x" * 10_000, ["x" * 9_999], []),
    ],
)
def test_near_names_are_found(wanted: str, known: list[str], found: list[str]) -> None:
    assert suggest(wanted, known) == found


def test_the_sentence_names_at_most_three() -> None:
    assert did_you_mean("ab", ["aa", "ac", "ad", "ae"]) == "did you mean `aa`, `ac` or `ad`?"
    assert did_you_mean("ab", ["aa"]) == "did you mean `aa`?"
    assert did_you_mean("qqq", ["aa"]) is None


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_the_distance_is_symmetric_and_bounded(left: str, right: str) -> None:
    distance = edit_distance(left, right, 10)
    assert distance == edit_distance(right, left, 10)
    assert abs(len(left) - len(right)) <= distance <= max(len(left), len(right))
    assert (distance == 0) == (left == right)
