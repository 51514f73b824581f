"""Durations, sizes, counts and money as people write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.units import (
    BYTES_PATTERN,
    COUNT_PATTERN,
    DURATION_PATTERN,
    MONEY_PATTERN,
    Money,
    UnitError,
    format_duration,
    parse_bytes,
    parse_count,
    parse_duration,
    parse_money,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("24h", 86400),
        ("2d", 172800),
        ("500ms", 0.5),
        ("1h30m", 5400),
        ("1w", 604800),
        ("2.5s", 2.5),
        ("0s", 0),
        ("PT90S", 90),
        ("P1DT2H", 93600),
    ],
)
def test_a_duration_is_the_sum_of_its_parts(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("value", "help"),
    [
        (30, "did you mean `30s`?"),
        ("30", "did you mean `30s`?"),
        (30000, "did you mean `30000ms`?"),
        (1.5, "did you mean `1.5s`?"),
        ("30 seconds", "did you mean `30s`?"),
        ("5min", "did you mean `5m`?"),
        ("1h 30m", "did you mean `1h30m`?"),
        ("2 Hours", "did you mean `2h`?"),
        ("30m1h", "for example `1h30m`"),
    ],
)
def test_a_duration_without_its_unit_or_with_another_is_refused_with_the_likely_one(value: object, help: str) -> None:
    with pytest.raises(UnitError) as refused:
        parse_duration(value)
    assert refused.value.help == help


@pytest.mark.parametrize(
    "value", ["", "abc", "1x", "-5s", "1m1h", "1s1s", "P", "PT", None, True, [], {}, "9" * 80 + "s", "99999999w"]
)
def test_what_is_no_duration_is_refused_with_a_place_inside_the_text(value: object) -> None:
    with pytest.raises(UnitError) as refused:
        parse_duration(value)
    assert 0 <= refused.value.start <= refused.value.end <= len(str(value))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10MiB", 10 * 2**20),
        ("64KiB", 65_536),
        ("5kB", 5_000),
        ("1.5GiB", 3 * 2**29),
        ("512B", 512),
        ("2 MB", 2_000_000),
    ],
)
def test_sizes_know_powers_of_1024_and_of_1000(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("value", "help"),
    [
        (10, "did you mean `10MiB`?"),
        ("10mb", "did you mean `10MB`?"),
        ("4096", "did you mean `4096B`?"),
        ("10M", "did you mean `10MiB`?"),
    ],
)
def test_a_size_without_its_unit_is_refused_with_the_likely_one(value: object, help: str) -> None:
    with pytest.raises(UnitError) as refused:
        parse_bytes(value)
    assert refused.value.help == help


def test_counts_may_be_bare_or_in_thousands_and_millions() -> None:
    assert [parse_count(value) for value in (4, "4", "400k", "1.5M")] == [4, 4, 400_000, 1_500_000]


@pytest.mark.parametrize("value", ["4K", "1.5", 2.5, "many", -1, True, "1.0001k"])
def test_what_is_no_count_is_refused(value: object) -> None:
    with pytest.raises(UnitError):
        parse_count(value)


def test_money_names_its_currency() -> None:
    assert parse_money("$2.00") == Money(2.0, "USD")
    assert parse_money("€5") == parse_money("5 EUR") == Money(5.0, "EUR")
    assert parse_money("2.00 EUR") == Money(2.0, "EUR")


def test_an_amount_without_its_currency_is_refused_with_the_likely_ones() -> None:
    with pytest.raises(UnitError) as refused:
        parse_money(2)
    assert refused.value.help == "did you mean `$2` or `2 EUR`?"


@given(st.integers(0, 10**12))
def test_a_duration_that_was_formatted_is_read_back_to_the_millisecond(milliseconds: int) -> None:
    text = format_duration(milliseconds / 1000)
    assert round(parse_duration(text) * 1000) == milliseconds
    assert re.fullmatch(DURATION_PATTERN, text)


@given(st.one_of(st.text(max_size=12), st.from_regex(r"\d{1,3}(\.\d)?[a-zA-Z$€]{0,3}", fullmatch=True)))
def test_what_the_patterns_of_the_schema_accept_is_refused_for_its_meaning_only(text: str) -> None:
    for pattern, parse in (
        (DURATION_PATTERN, parse_duration),
        (BYTES_PATTERN, parse_bytes),
        (COUNT_PATTERN, parse_count),
        (MONEY_PATTERN, parse_money),
    ):
        if re.fullmatch(pattern, text, re.ASCII) is None:
            continue
        try:
            parse(text)
        except UnitError as refused:
            reasons = ("large to small", "hundred years", "whole number", "needs its unit")
            assert any(reason in refused.message for reason in reasons), text  # noqa: PT017
