"""`matches`: agrees with Python's `re.search` on what it supports, in linear time on what kills a backtracking matcher."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.expressions import ExpressionError, evaluate
from orchestrator.core.expressions.faults import Fault
from orchestrator.core.expressions.patterns import pattern
from orchestrator.core.expressions.values import Context, Limits


def matches(regex: str, text: str) -> bool:
    return pattern(regex).found_in(text, Context(lambda name, missing: missing, 0.0, Limits()))


_ATOMS = st.sampled_from(
    ["a", "b", "1", " ", "-", ".", r"\d", r"\w", r"\s", r"\W", r"\.", "[ab]", "[^a]", "[a-c1]", r"[\d-]", r"\n"]
)
_ENDS = st.sampled_from(["^", "$", r"\b", r"\B", r"\A", r"\Z"])


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    repeat = st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,1}", "{2,}", "*?", "+?"])
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        st.tuples(inner, repeat).map(lambda p: f"(?:{p[0]}){p[1]}"),
        inner.map(lambda p: f"({p})"),
    )


PATTERNS = st.recursive(st.one_of(_ATOMS, _ATOMS, _ATOMS, _ENDS), _larger, max_leaves=8)
TEXTS = st.text(alphabet="ab1 -\n.Cé_", min_size=1, max_size=12)


@given(st.sampled_from(["", "(?i)", "(?m)", "(?s)", "(?im)"]), PATTERNS, TEXTS)
@settings(max_examples=settings().max_examples * 6)
def test_it_finds_what_python_finds(flags: str, regex: str, text: str) -> None:
    assert matches(flags + regex, text) == (re.search(flags + regex, text) is not None)


@pytest.mark.parametrize(
    ("regex", "text", "found"),
    [
        ("", "", True),
        ("^$", "", True),
        ("a$", "a\n", True),
        ("a$", "a\nb", False),
        ("(?m)a$", "a\nb", True),
        ("[]x]", "]", True),
        ("[^]]", "]", False),
        ("a{,2}b", "aab", True),
        ("x{y}", "x{y}", True),
        (r"\x41é", "Aé", True),
        ("(?P<n>a)b", "ab", True),
        ("(?i)É", "é", True),
        ("(?i)[^a]", "A", False),
        ("(?i)[a-c]+$", "ABC", True),
    ],
)
def test_details_of_the_syntax(regex: str, text: str, found: bool) -> None:
    assert matches(regex, text) is found


@pytest.mark.parametrize(
    "regex",
    [
        "(",
        ")",
        "a)",
        "[",
        "[a",
        "*",
        "a**",
        "a++",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        r"(a)\1",
        r"\q",
        "\\",
        "[b-a]",
        "a{3,2}",
        "(?x)a",
        "(?P=n)",
        r"\x1",
        "(" * 100 + ")" * 100,
        "(a{1000}){1000}",
        "(){9999}" * 5,
        "((){9999}){9999}",
        "a" * 5000,
    ],
)
def test_what_is_not_supported_or_too_large_is_refused(regex: str) -> None:
    with pytest.raises(Fault):
        pattern(regex)


@pytest.mark.parametrize(
    "regex", ["(a*)*b", "(a|a)*b", "(a+)+$", "(.*a){12}b", "(a?){200}a{200}$", "^(([a-z])+.)+[A-Z]([a-z])+$"]
)
def test_patterns_that_take_others_for_ever_are_counted_in_steps(regex: str) -> None:
    # A million steps are the limit of one evaluation; a backtracking matcher needs 2^30 of them here.
    text = "a" * 20_000
    assert evaluate("t | matches(r)", {"t": text, "r": regex}) in (True, False)


def test_the_place_of_a_bad_pattern_is_shown() -> None:
    with pytest.raises(ExpressionError, match="pattern, character 4: `\\[` without its"):
        evaluate("'x' | matches(r)", {"r": "ab[c"})
