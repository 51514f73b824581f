"""Cron texts: read as an independent library reads them, stricter where it is careless."""

from __future__ import annotations

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.spec.cron import CronError, check_cron


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    # The other library takes `1-1` for the whole range.
    span = (
        st.tuples(number, number).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: f"{min(pair)}-{max(pair)}")
    )
    step = st.tuples(st.just("*") | span, st.integers(1, high)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.just("*") | st.lists(number.map(str) | span | step, min_size=1, max_size=3).map(",".join)


FIELDS = st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6))


@given(FIELDS)
def test_the_fields_hold_what_the_other_library_says(words: tuple[str, ...]) -> None:
    text = " ".join(words)
    ours = check_cron(text)
    theirs, *_ = croniter.expand(text)
    whole = [range(60), range(24), range(1, 32), range(1, 13), range(7)]
    values = [set(whole[n]) if part == ["*"] else {int(one) for one in part} for n, part in enumerate(theirs[:5])]
    assert (ours.seconds, ours.minutes, ours.hours, ours.months) == ({0}, values[0], values[1], values[3])
    assert (set(range(1, 32)) if ours.days is None else ours.days) == values[2]
    assert (set(range(7)) if ours.weekdays is None else ours.weekdays) == values[4]


def test_with_six_fields_the_second_comes_first() -> None:
    assert check_cron("30 0 8 * * *").seconds == {30}
    assert check_cron("30 0 8 * * *").hours == {8}


def test_a_range_of_one_is_one() -> None:
    assert check_cron("0 0 1-1 * *").days == {1}


def test_sunday_is_both_0_and_7_and_names_are_known() -> None:
    assert check_cron("0 0 * * 7").weekdays == check_cron("0 0 * * SUN").weekdays == {0}
    assert check_cron("0 0 1 jan,Dec *").months == {1, 12}


@pytest.mark.parametrize("text", ["0 8 30 2 *", "0 8 31 2,4,6,9,11 *", "0 0 30-31 feb *"])
def test_a_date_that_no_year_has_never_comes(text: str) -> None:
    with pytest.raises(CronError, match="never comes"):
        check_cron(text)


@pytest.mark.parametrize("text", ["0 8 29 2 *", "0 8 31 4,5 *", "0 8 31 4 1", "0 8 30 2 1"])
def test_a_rare_date_or_a_day_of_the_week_beside_it_comes(text: str) -> None:
    check_cron(text)


@given(st.text("0123456789*/-,?@ abcLW#", max_size=20))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        check_cron(text)
    except CronError as error:
        place = (error.start, error.end)
    else:
        return
    assert 0 <= place[0] <= place[1]
