"""How figures are written."""

from __future__ import annotations

import pytest

from orchestrator.cli import formats


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.0, "0ms"), (0.048, "48ms"), (0.0996, "0.1s"), (3.14, "3.1s"), (59.94, "59.9s"), (59.96, "1m 00s"),
     (125, "2m 05s"), (3599.6, "1h 00m"), (3720, "1h 02m"), (90_000, "1d 1h")],
)  # fmt: skip
def test_durations(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(None, "USD", ""), (0.0, "USD", "$0.00"), (0.0001, "USD", "<$0.001"), (0.004, "USD", "$0.004"), (0.5, "USD", "$0.50"),
     (2, "EUR", "€2.00"), (12.3456, "USD", "$12.35"), (2, "CHF", "2.00 CHF")],
)  # fmt: skip
def test_money(amount: float | None, currency: str, text: str) -> None:
    assert formats.money(amount, currency) == text


@pytest.mark.parametrize(
    ("amount", "unknown", "currency", "text"),
    [(None, 0, "USD", ""), (0.5, 0, "USD", "$0.50"), (0.5, 2, "EUR", "€0.50 + 2 unknown"), (None, 3, "USD", "cost unknown"),
     (0.0, 1, "USD", "cost unknown"), (0.5, 0, "EUR+USD", "cost in EUR and USD")],
)  # fmt: skip
def test_what_nobody_knows_the_price_of_is_never_shown_as_nothing(
    amount: float | None, unknown: int, currency: str, text: str
) -> None:
    assert formats.cost(amount, {"unpriced": unknown} if unknown else {}, currency) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (18_200, "18.2k"), (999_949, "999.9k"), (1_300_000, "1.3M")]
)
def test_counts(number: int, text: str) -> None:
    assert formats.count(number) == text


@pytest.mark.parametrize(("seconds", "text"), [(42, "0:42"), (600, "10:00"), (3723, "1:02:03")])
def test_a_running_clock(seconds: float, text: str) -> None:
    assert formats.elapsed(seconds) == text


def test_times_always_have_their_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    assert formats.instant(1782914580.0) == "2026-07-01 14:03:00 UTC"
    assert formats.instant(1782914580.0, now=1782914581.0) == "14:03:00 UTC"
    assert formats.instant(None) == ""
    monkeypatch.setenv("TZ", "Europe/Rome")
    time.tzset()
    assert formats.instant(1782914580.0) == "2026-07-01 16:03:00 +02:00"
    assert formats.iso(1782914580.0) == "2026-07-01T14:03:00.000Z"


@pytest.mark.parametrize(("number", "text"), [(512, "512 B"), (2048, "2.0 KiB"), (5 * 1024**2, "5.0 MiB")])
def test_sizes(number: int, text: str) -> None:
    assert formats.size(number) == text


def test_only_random_ids_are_shortened() -> None:
    assert formats.short("7f3a00123456") == "7f3a00"
    assert formats.short("nightly-2026-07-01") == "nightly-2026-07-01"
