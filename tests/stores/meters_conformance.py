"""What every backend of `Meters` promises. A backend's test class subclasses this and gives `meters`."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.ports.meters import Draw, MeterRefusal, Meters

NOW = 1_000_000.0
MINUTE = 60.0
FRESH = itertools.count()


def draw(amount: int = 1, limit: int | None = 10, *, meter: str = "m", window: float | None = MINUTE) -> Draw:
    return Draw(meter=meter, amount=amount, limit=limit, window=window)


def place(limit: int) -> Draw:
    return Draw(meter="places", amount=1, limit=limit, place=True)


class MetersConformance:
    def test_what_is_drawn_counts_until_the_window_has_passed(self, meters: Meters) -> None:
        meters.reserve([draw(7)], NOW)
        with pytest.raises(MeterRefusal) as caught:
            meters.reserve([draw(4)], NOW + 30)
        assert (caught.value.drawn, caught.value.reserved) == (7, 7)
        assert caught.value.free_at == pytest.approx(NOW + MINUTE, abs=MINUTE / 256)
        meters.reserve([draw(10)], caught.value.free_at or 0.0)

    def test_the_window_slides_it_does_not_jump(self, meters: Meters) -> None:
        for second in range(10):
            meters.reserve([draw(1)], NOW + second * 6)
        for second in range(10):
            at = NOW + MINUTE + second * 6 + 0.5
            meters.reserve([draw(1)], at)
            with pytest.raises(MeterRefusal):
                meters.reserve([draw(1)], at)

    def test_all_or_none_is_drawn(self, meters: Meters) -> None:
        meters.reserve([draw(9)], NOW)
        with pytest.raises(MeterRefusal):
            meters.reserve([draw(1, meter="other"), draw(2)], NOW)
        assert meters.drawn("other", NOW) == 0
        assert meters.drawn("m", NOW) == 9

    def test_settled_with_less_the_rest_is_free_again(self, meters: Meters) -> None:
        ticket = meters.reserve([draw(9), draw(1, meter="other")], NOW)
        meters.settle(ticket, {"m": 3})
        assert (meters.drawn("m", NOW), meters.drawn("other", NOW)) == (3, 1)
        with pytest.raises(MeterRefusal) as caught:
            meters.reserve([draw(8)], NOW)
        assert caught.value.reserved == 0
        meters.reserve([draw(7)], NOW)

    def test_settled_with_more_all_of_it_counts(self, meters: Meters) -> None:
        meters.settle(meters.reserve([draw(9)], NOW), {"m": 12})
        assert meters.drawn("m", NOW) == 12

    def test_a_ticket_is_closed_once(self, meters: Meters) -> None:
        ticket = meters.reserve([draw(9)], NOW)
        meters.settle(ticket, {"m": 3})
        meters.settle(ticket, {"m": 0})
        meters.withdraw(ticket)
        assert meters.drawn("m", NOW) == 3

    def test_withdrawn_nothing_was_used(self, meters: Meters) -> None:
        meters.withdraw(meters.reserve([draw(9), place(1)], NOW))
        assert meters.drawn("m", NOW) == 0
        meters.reserve([place(1)], NOW)

    def test_a_place_is_held_however_long_and_free_once_settled(self, meters: Meters) -> None:
        ticket = meters.reserve([place(1)], NOW)
        with pytest.raises(MeterRefusal) as caught:
            meters.reserve([place(1)], NOW + 1_000_000)
        assert caught.value.free_at is None
        meters.settle(ticket, {})
        meters.reserve([place(1)], NOW)

    def test_more_than_the_limit_never_fits(self, meters: Meters) -> None:
        with pytest.raises(MeterRefusal) as caught:
            meters.reserve([draw(11)], NOW)
        assert caught.value.free_at is None

    def test_a_meter_without_a_limit_only_counts(self, meters: Meters) -> None:
        meters.reserve([draw(10**15, None)], NOW)
        assert meters.drawn("m", NOW) == 10**15

    def test_a_meter_without_a_window_counts_for_ever(self, meters: Meters) -> None:
        meters.reserve([draw(9, window=None)], NOW)
        with pytest.raises(MeterRefusal):
            meters.reserve([draw(2, window=None)], NOW + 10**9)

    def test_a_clock_that_is_put_back_costs_one_window_at_most(self, meters: Meters) -> None:
        meters.settle(meters.reserve([draw(10)], NOW + 10**7), {})
        with pytest.raises(MeterRefusal):
            meters.reserve([draw(1)], NOW)
        with pytest.raises(MeterRefusal):
            meters.reserve([draw(1)], NOW + MINUTE / 2)
        meters.reserve([draw(1)], NOW + 2 * MINUTE)

    def test_a_hundred_threads_never_exceed_a_limit_and_every_sum_is_exact(self, meters: Meters) -> None:
        start = threading.Barrier(100)

        def one(number: int) -> int:
            start.wait()
            try:
                ticket = meters.reserve([draw(number % 7 + 1, 150)], NOW)
            except MeterRefusal:
                return 0
            if number % 2:
                meters.settle(ticket, {"m": 1})
                return 1
            return number % 7 + 1

        with ThreadPoolExecutor(100) as pool:
            kept = sum(pool.map(one, range(100)))
        assert meters.drawn("m", NOW) == kept <= 150

    def test_no_true_window_ever_holds_more_than_its_limit(self, meters: Meters) -> None:
        # Within, not around: Hypothesis wants one caller for each of its laws.
        @settings(max_examples=40, deadline=None)
        @given(st.data())
        def law(data: st.DataObject) -> None:
            hold_window_law(meters, data)

        law()


def hold_window_law(meters: Meters, data: st.DataObject) -> None:
    meter = f"law {next(FRESH)}"
    now, kept = NOW, list[tuple[float, int]]()
    for _ in range(data.draw(st.integers(1, 25))):
        now += data.draw(st.floats(0, 25))
        amount = data.draw(st.integers(1, 6))
        refusal: MeterRefusal | None = None
        try:
            ticket = meters.reserve([draw(amount, meter=meter)], now)
        except MeterRefusal as error:
            refusal = error
        if refusal is not None:
            in_window = sum(a for at, a in kept if at > now - MINUTE - MINUTE / 256)
            assert in_window + amount > 10, "refused though there was room"
            assert refusal.free_at is None or refusal.free_at > now
            continue
        used = data.draw(st.integers(0, amount))
        if data.draw(st.booleans()):
            meters.settle(ticket, {meter: used})
            amount = used
        kept.append((now, amount))
        assert sum(a for at, a in kept if at > now - MINUTE) <= 10
