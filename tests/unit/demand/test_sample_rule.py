"""The rule for samples: each bad one is left out for its own reason, and counters become increases."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.demand.samples import (
    FUTURE_SECONDS,
    LATE_SECONDS,
    SPAN_SECONDS,
    WORDS,
    Kind,
    Line,
    Newest,
    Point,
    Reason,
    Share,
    Taken,
    taken,
    value_fault,
)
from controlplane.demand.signals import RULES, Signal

NOW = 1_767_225_600.0
CPU = Line("site", Signal.CPU, "r", "p", 0)
GAUGE = Point(CPU, "", Kind.GAUGE, 0, NOW, 2.0)
COUNTER = Point(CPU, "", Kind.CUMULATIVE, NOW - 9000, NOW, 100.0)


def judged(point: Point, newest: Newest | None = None, *, oldest: float = 0) -> Taken:
    return taken(point, newest, now=NOW, oldest=oldest)


@pytest.mark.parametrize("point", [GAUGE, COUNTER, replace(COUNTER, kind=Kind.DELTA, start=NOW - 60)])
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"value": math.nan}, Reason.NAN),
        ({"value": math.inf}, Reason.INFINITE),
        ({"value": -math.inf}, Reason.INFINITE),
        ({"value": -0.5}, Reason.NEGATIVE),
        ({"value": 1e300}, Reason.ABSURD),
        ({"time": NOW + FUTURE_SECONDS + 1}, Reason.FUTURE),
        ({"time": NOW - LATE_SECONDS - 1}, Reason.LATE),
        ({"time": 0.0}, Reason.LATE),
        ({"time": NOW - 60}, Reason.DUPLICATE),
        ({"time": NOW - 61}, Reason.OUT_OF_ORDER),
    ],
)
def test_a_bad_sample_is_left_out_for_its_reason_and_changes_nothing(
    point: Point, changes: dict[str, float], reason: Reason
) -> None:
    newest = Newest(NOW - 60, 1.0, COUNTER.start)

    assert judged(replace(point, **changes), newest) == Taken(newest, reason=reason)  # type: ignore[arg-type]  # all are floats


def test_what_belongs_to_a_settled_cell_is_late() -> None:
    assert judged(GAUGE, oldest=NOW + 1).reason is Reason.LATE


def test_every_reason_says_in_words_what_is_wrong() -> None:
    assert set(WORDS) == set(Reason)


def test_a_gauge_counts_in_its_cell() -> None:
    assert judged(GAUGE) == Taken(Newest(NOW, 2.0, 0), (Share(int(NOW), 2.0, 1.0),))


def test_the_first_value_of_a_counter_only_says_where_to_count_from() -> None:
    assert judged(COUNTER) == Taken(Newest(NOW, 100.0, COUNTER.start))
    assert judged(COUNTER, Newest(NOW - SPAN_SECONDS - 1, 1.0, COUNTER.start)).shares == ()


def test_an_increase_is_spread_over_the_cells_in_which_it_came_about() -> None:
    told = judged(replace(COUNTER, time=NOW + 30), Newest(NOW - 30, 94.0, COUNTER.start))

    assert told.shares == (Share(int(NOW) - 300, 3.0, 30.0), Share(int(NOW), 3.0, 30.0))


@pytest.mark.parametrize("start", [0.0, NOW - 20])
def test_a_counter_that_begins_anew_counts_from_nought(start: float) -> None:
    told = judged(
        replace(COUNTER, start=start, value=5.0), Newest(NOW - 30, 94.0, start - 9000 * bool(start))
    )

    assert told.reason is None
    assert sum(share.total for share in told.shares) == pytest.approx(5.0)
    assert sum(share.weight for share in told.shares) == pytest.approx(30 if not start else 20)


def test_a_counter_that_only_went_back_is_counted_on_from_there() -> None:
    told = judged(replace(COUNTER, value=90.0), Newest(NOW - 30, 94.0, COUNTER.start))

    assert told == Taken(Newest(NOW, 90.0, COUNTER.start), reason=Reason.SHRUNK)


def test_after_an_absurd_value_the_counter_goes_on_from_the_sane_one() -> None:
    sane = Newest(NOW - 60, 94.0, COUNTER.start)
    after_absurd = judged(replace(COUNTER, time=NOW - 30, value=1e18), sane).newest

    assert after_absurd == sane
    assert sum(share.total for share in judged(COUNTER, after_absurd).shares) == pytest.approx(6.0)


def test_a_delta_is_an_increase_over_the_time_that_it_covers() -> None:
    delta = replace(COUNTER, kind=Kind.DELTA, start=NOW - 60, value=6.0)

    assert judged(delta).shares == (Share(int(NOW) - 300, 6.0, 60.0),)
    assert judged(replace(delta, start=0), Newest(NOW - 60, 0, 0)).shares == judged(delta).shares
    assert judged(replace(delta, start=0)).shares == ()
    assert judged(replace(delta, start=NOW - 901)).reason is Reason.TOO_COARSE


def test_values_that_were_pulled_are_judged_too() -> None:
    assert value_fault(Signal.CPU, 1.0) is None
    assert value_fault(Signal.CPU, RULES[Signal.CPU].ceiling * 2) is Reason.ABSURD
    assert value_fault(Signal.CPU, math.nan) is Reason.NAN


FLOATS = st.floats(allow_nan=True, allow_infinity=True)


@given(
    st.lists(
        st.tuples(st.sampled_from(Kind), FLOATS, st.floats(-9e3, 9e2), st.floats(-9e3, 9e2)), max_size=20
    )
)
def test_whatever_comes_what_is_added_is_finite_sane_and_in_time(
    sent: list[tuple[Kind, float, float, float]],
) -> None:
    newest: Newest | None = None
    ceiling = RULES[Signal.CPU].ceiling
    for kind, value, time, start in sent:
        told = judged(Point(CPU, "", kind, NOW + start, NOW + time, value), newest)
        newest = told.newest
        assert told.reason is None or not told.shares
        for share in told.shares:
            assert math.isfinite(share.total)
            assert share.weight > 0
            assert 0 <= share.total / share.weight <= ceiling * (1 + 1e-6)
            assert NOW - LATE_SECONDS - SPAN_SECONDS - 300 <= share.cell <= NOW + FUTURE_SECONDS
