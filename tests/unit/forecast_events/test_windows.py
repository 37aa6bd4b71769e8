"""The time around an event is told in shares of steps."""

import numpy as np

from controlplane.forecast.events.windows import AFTER, BEFORE, DURING, by_type, shares, spans
from controlplane.forecast.series import HOUR, Event

TIMES = np.arange(0, 10 * HOUR, HOUR)


def _event(start: float, end: float, kind: str = "match") -> Event:
    return Event(f"{kind} {start}", kind, int(start * HOUR), int(end * HOUR))


def test_steps_are_covered_in_part() -> None:
    covered = shares([_event(3.5, 5)], TIMES, HOUR)

    np.testing.assert_allclose(covered[:, DURING], [0, 0, 0, 0.5, 1, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(covered[:, BEFORE], [0, 0, 1, 0.5, 0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(covered[:, AFTER], [0, 0, 0, 0, 0, 1, 0.5, 0, 0, 0])


def test_events_at_one_time_count_once() -> None:
    covered = shares([_event(3, 4), _event(3, 5)], TIMES, HOUR)

    assert covered.max() == 1.0


def test_an_event_outside_covers_nothing() -> None:
    assert not shares([_event(-9, -8), _event(30, 31)], TIMES, HOUR).any()


def test_the_time_around_a_long_event_is_limited() -> None:
    before, _, after = spans(_event(10, 60))

    assert before == (8 * HOUR, 10 * HOUR)
    assert after == (60 * HOUR, 62 * HOUR)


def test_events_are_sorted_by_type() -> None:
    kinds = by_type([_event(5, 6), _event(1, 2, "sale"), _event(3, 4)])

    assert list(kinds) == ["match", "sale"]
    assert [event.start for event in kinds["match"]] == [3 * HOUR, 5 * HOUR]
