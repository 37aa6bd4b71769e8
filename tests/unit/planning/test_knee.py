"""How many steps an instance usefully runs at once."""

import pytest

from controlplane.planning.knee import useful
from controlplane.planning.problem import Call, Concurrency, EngineVersion

ENGINE = EngineVersion("terraform", "1.15.0")


def _call(*points: tuple[int, float]) -> Call:
    measured = tuple(Concurrency(count, seconds, 100.0) for count, seconds in points)
    return Call(("configure",), ENGINE, 500.0, 10.0, variation=0.5, concurrency=measured)


def test_what_was_not_measured_is_the_capacity() -> None:
    assert useful(_call(), 4) == (4, 10.0)


def test_steps_that_do_not_slow_each_other_down_fill_the_instance() -> None:
    assert useful(_call((1, 10.0), (2, 10.0), (4, 10.0)), 8) == (8, 10.0)


def test_steps_that_only_share_the_instance_gain_nothing() -> None:
    assert useful(_call((1, 10.0), (2, 20.0), (4, 40.0)), 8) == (1, 10.0)


def test_the_knee_is_where_more_at_once_does_hardly_more() -> None:
    # Steps an hour: 360, 720, 1080, then 1094 and 1108: the fourth and fifth at once add next to nothing.
    found = useful(_call((1, 10.0), (2, 10.0), (3, 10.0), (4, 13.16), (5, 16.25)), 5)

    assert found == (3, 10.0)


def test_beyond_what_was_measured_it_slows_down_as_surely_as_before() -> None:
    # 10 s, 12 s, then 14 s, 16 s: 2/12 = .167, 4/16 = .25 a second; so many samples leave hardly any doubt.
    often = Call(
        ("serve",),
        EngineVersion("a", "1"),
        2e8,
        11.0,
        variation=0.3,
        concurrency=(Concurrency(1, 10.0, 1e8), Concurrency(2, 12.0, 1e8)),
    )

    found = useful(often, 4)

    assert found.places == 4
    assert found.seconds == pytest.approx(16.0, abs=0.01)


def test_a_few_quick_steps_are_no_reason_to_think_less_of_an_engine() -> None:
    few = Call(
        ("serve",),
        EngineVersion("a", "1"),
        40,
        0.7,
        variation=0.2,
        concurrency=(Concurrency(1, 0.6, 1), Concurrency(2, 0.66, 1), Concurrency(3, 0.71, 38)),
    )

    assert useful(few, 64).places == 64
    assert useful(few, 64).seconds == pytest.approx(0.71, abs=0.01)


@pytest.mark.parametrize("slow", range(1, 13))
def test_one_slow_step_does_not_make_an_engine_take_fewer(slow: int) -> None:
    points = tuple(Concurrency(n, 3.9 if n == slow else 2.5, 1 if n == slow else 8) for n in range(1, 13))
    measured = Call(("serve",), ENGINE, 89, 2.52, variation=0.2, concurrency=points)

    assert useful(measured, 12).places == 12
    assert useful(measured, 12).seconds == pytest.approx(2.52, abs=0.1)


def test_one_slow_step_among_the_busiest_does_not_make_all_beyond_it_slow() -> None:
    points = (Concurrency(8, 2.5, 30), Concurrency(12, 3.9, 1))
    measured = Call(("serve",), ENGINE, 31, 2.55, variation=0.2, concurrency=points)

    assert useful(measured, 64).places == 64
    assert useful(measured, 64).seconds == pytest.approx(2.55)


def test_more_at_once_is_useful_where_still_more_does_more_again() -> None:
    # Steps an hour: 360, 720, then 750 (not a tenth of 360 more), then 1440: the third at once is no end.
    assert useful(_call((1, 10.0), (2, 10.0), (3, 14.4), (4, 14.4), (6, 14.4), (8, 14.4)), 8).places == 8


def test_noise_that_makes_more_at_once_look_faster_is_averaged_out() -> None:
    places, seconds = useful(_call((1, 12.0), (2, 8.0)), 2)

    assert (places, seconds) == (2, 10.0)


@pytest.mark.parametrize("capacity", [1, 3, 20])
def test_it_is_never_more_than_the_instance_takes(capacity: int) -> None:
    assert useful(_call((1, 10.0), (50, 10.0)), capacity).places == capacity
