"""How long provisions take: several steps with waits, against the simulation and against known answers."""

import numpy as np
import pytest

from controlplane.planning.completion import Waits, done_by, time_at
from controlplane.planning.durations import below, quantile_of, shape_of, sums_below
from controlplane.planning.queueing import erlang_c, mean_wait_if_any, residual_seconds
from controlplane.planning.rules import CELLS
from tests.harness.queues import log_normal, simulate

ONE = np.ones(1)


def _waits(chance: float, seconds: float) -> Waits:
    return Waits(ONE * chance, ONE * seconds, ONE * 0.0, ONE)


def test_a_duration_goes_through_its_measured_quantiles() -> None:
    shape = shape_of(10, 30, 80, 0, 0, 1)

    found = below(np.array([shape]), np.array([[10.0, 30.0, 80.0]]))[0]

    assert found.tolist() == pytest.approx([0.5, 0.95, 0.99], abs=1e-6)
    assert quantile_of(shape, 2.3263478740408408) == pytest.approx(80)


def test_a_duration_of_unknown_quantiles_is_log_normal_by_mean_and_variation() -> None:
    shape = np.array([shape_of(0, 0, 0, 20, 0.5, 1)])
    grid = np.linspace(0.05, 400, 80_000)

    reached = below(shape, grid[None])[0]
    mass = np.diff(reached, prepend=0)

    assert (mass @ grid) == pytest.approx(20, rel=0.01)
    assert np.sqrt(mass @ grid**2 - (mass @ grid) ** 2) / 20 == pytest.approx(0.5, rel=0.01)


def test_a_stretched_duration_takes_that_much_longer() -> None:
    plain, twice = shape_of(10, 30, 80, 0, 0, 1), shape_of(10, 30, 80, 0, 0, 2)

    assert quantile_of(twice, 1) == pytest.approx(2 * quantile_of(plain, 1))


def test_durations_in_a_row_add_up() -> None:
    rng = np.random.default_rng(3)
    drawn = sum(log_normal(mean, 0.6)(rng, 400_000) for mean in (5.0, 20.0, 8.0))
    shapes = np.array([[shape_of(0, 0, 0, mean, 0.6, 1) for mean in (5, 20, 8)]])

    found = sums_below(shapes, np.array([3.0]), np.array([80.0]), CELLS)[:, 0]

    edges = np.linspace(0, 80, CELLS + 1)
    seen = [(np.asarray(drawn) <= edge).mean() for edge in edges]
    assert found.tolist() == pytest.approx(seen, abs=0.006)


def test_a_wait_alone_is_exponential() -> None:
    grid = np.ones((CELLS + 1, 1))
    found = done_by(grid, [_waits(0.4, 10.0)], ONE * 30)[:, 0]

    edges = np.linspace(0, 30, CELLS + 1)
    assert found[1:].tolist() == pytest.approx((1 - 0.4 * np.exp(-edges[1:] / 10)).tolist(), abs=1e-9)


def test_the_time_by_which_so_many_are_done_lies_between_points() -> None:
    grid = np.array([[0.0], [0.5], [1.0]])

    assert time_at(grid, ONE * 10, 0.75)[0] == pytest.approx(7.5)
    assert time_at(grid * 0.9, ONE * 10, 0.95)[0] == np.inf


@pytest.mark.parametrize("busy", [0.5, 0.8, 0.88])
def test_p95_of_three_steps_is_as_simulated_within_8_percent(busy: float) -> None:
    # Steps of a chain are no independent queues in truth: what leaves one enters the next.
    steps = [(2, 15.0, 0.5), (4, 40.0, 0.9), (1, 6.0, 0.4)]
    per_hour = busy * min(places * 3600 / mean for places, mean, _ in steps)
    seen = simulate(5, per_hour, [(places, log_normal(mean, cv)) for places, mean, cv in steps], 120_000)

    until = ONE * 600.0
    shapes = np.array([[shape_of(0, 0, 0, mean, cv, 1) for _, mean, cv in steps]])
    waits = []
    for places, mean, cv in steps:
        servers, load = np.array([places]), np.array([per_hour * mean / 3600])
        if_any = mean_wait_if_any(servers, load, ONE * residual_seconds(mean, cv))
        waits.append(_waits(float(erlang_c(servers, load)[0]), float(if_any[0])))
    done = done_by(sums_below(shapes, ONE * 3, until, CELLS), waits, until)

    assert time_at(done, until, 0.95)[0] == pytest.approx(np.quantile(seen.totals, 0.95), rel=0.08)
