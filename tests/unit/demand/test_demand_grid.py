"""Resources become demand on a grid: the silent are carried, gaps stay gaps, nothing counts twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.demand.grid import CARRIED_CELLS, ResourceCell, cell_of, coarser, combined
from controlplane.demand.signals import CELL_SECONDS

START = 1_767_225_600
NAN = float("nan")


def cells(resource: str, *values: float | None, rank: int = 0) -> list[ResourceCell]:
    """What a resource showed in consecutive cells; None where it was silent."""
    return [
        ResourceCell(resource, rank, START + index * CELL_SECONDS, value)
        for index, value in enumerate(values)
        if value is not None
    ]


def added(*resources: list[ResourceCell], count: int) -> list[float]:
    every = [cell for resource in resources for cell in resource]
    return list(map(float, combined(every, START, START + count * CELL_SECONDS)))


def test_a_cell_is_named_by_its_beginning() -> None:
    assert [cell_of(START), cell_of(START + 299.9), cell_of(START + 300)] == [START, START, START + 300]


def test_resources_are_added_up_and_silence_of_all_is_a_gap_and_not_zero() -> None:
    np.testing.assert_equal(
        added(cells("a", 1, 2, None, 0), cells("b", 10, 20, None, 0), count=4), [11, 22, NAN, 0]
    )


def test_a_silent_resource_counts_with_what_it_showed_last_and_then_is_gone() -> None:
    told = added(cells("a", 1, 1, 1, 1, 1, 1, 1), cells("b", 5), count=7)

    assert told == [6, 6, 6, 6, 1, 1, 1]
    assert told.count(6) == 1 + CARRIED_CELLS


def test_where_most_resources_are_silent_there_is_a_gap() -> None:
    one, two, three = cells("a", 1, 1), cells("b", 1), cells("c", 1)

    np.testing.assert_equal(added(one, two, three, count=2), [3, NAN])


def test_what_was_shown_before_the_window_is_carried_into_it() -> None:
    before = [ResourceCell("b", 0, START - CELL_SECONDS, 5)]

    assert added(cells("a", 1), before, count=1) == [6]


def test_the_most_direct_kind_of_metric_counts_and_parts_of_one_kind_are_added() -> None:
    direct = cells("a", 1, None) + cells("a", 2, None)
    general = cells("a", 100, 100, rank=3)

    assert added(general, direct, count=2) == [3, 100]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-3, 9), st.floats(0, 1e6)), max_size=40))
def test_a_value_is_never_negative_nor_more_than_all_that_was_shown(
    shown: list[tuple[str, int, float]],
) -> None:
    every = [ResourceCell(name, 0, START + index * CELL_SECONDS, value) for name, index, value in shown]
    values = combined(every, START, START + 10 * CELL_SECONDS)

    assert len(values) == 10
    there = values[np.isfinite(values)]
    assert (there >= 0).all()
    assert (there <= sum(value for _, _, value in shown) * (1 + 1e-9)).all()
    heard = {index for _, index, _ in shown}
    assert all(np.isnan(value) for index, value in enumerate(values) if index not in heard)


@pytest.mark.parametrize(
    ("values", "means"),
    [([1, 3, 5, 7], [2, 6]), ([1, NAN, 5, 7], [1, 6]), ([NAN, NAN, 5, 7], [NAN, 6]), ([], [])],
)
def test_coarser_cells_are_means_of_what_was_measured(values: list[float], means: list[float]) -> None:
    np.testing.assert_equal(coarser(np.array(values, dtype=float), 2), means)


def test_a_coarser_cell_that_is_mostly_gap_is_a_gap() -> None:
    np.testing.assert_equal(coarser(np.array([1.0, NAN, NAN, NAN, 1, 2, NAN, NAN]), 4), [NAN, 1.5])
