"""Formulas of queueing against exact values and against a simulation, within stated tolerances."""

import math
from fractions import Fraction

import numpy as np
import pytest

from controlplane.planning.queueing import erlang_b, erlang_c, mean_wait_if_any, residual_seconds, wait_beyond
from tests.harness.queues import exponential, log_normal, simulate


def _exact_c(servers: int, load: Fraction) -> float:
    terms = [load**k / math.factorial(k) for k in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return float(last / (sum(terms, Fraction(0)) + last))


@pytest.mark.parametrize(
    ("servers", "load"), [(1, "1/2"), (2, "1"), (5, "4"), (10, "8"), (40, "35"), (7, "1/10")]
)
def test_the_chance_to_wait_is_exact(servers: int, load: str) -> None:
    exact = _exact_c(servers, Fraction(load))

    found = erlang_c(np.array([servers]), np.array([float(Fraction(load))]))

    assert found[0] == pytest.approx(exact, rel=1e-12)


def test_blocking_is_exact_where_it_is_known() -> None:
    found = erlang_b(np.array([0, 1, 1, 2]), np.array([3.0, 1.0, 3.0, 1.0]))

    assert found.tolist() == pytest.approx([1, 1 / 2, 3 / 4, 1 / 5], rel=1e-12)


def test_thousands_of_servers_neither_overflow_nor_underflow() -> None:
    servers = np.array([5000, 5000, 5000, 5000])
    found = erlang_c(servers, np.array([1e-300, 1.0, 4950.0, 4999.9]))

    assert max(found[0], found[1]) < 1e-280
    assert found[2] < found[3] < 1
    # Halfin and Whitt (1981): with c = a + β·√a the chance is 1 / (1 + β·Φ(β)/φ(β)); β = .7107 here.
    beta = 50 / math.sqrt(4950)
    normal = 0.5 * (1 + math.erf(beta / math.sqrt(2)))
    density = math.exp(-beta * beta / 2) / math.sqrt(2 * math.pi)
    assert found[2] == pytest.approx(1 / (1 + beta * normal / density), rel=0.02)


def test_who_cannot_keep_up_lets_everybody_wait_without_end() -> None:
    found = erlang_c(np.array([2, 2, 0]), np.array([2.0, 3.0, 1.0]))

    assert found.tolist() == [1, 1, 1]
    assert mean_wait_if_any(np.array([2]), np.array([2.5]), np.array([1.0]))[0] == np.inf


def test_nobody_waits_where_nothing_comes() -> None:
    assert erlang_c(np.array([1, 3]), np.array([0.0, 0.0])).tolist() == pytest.approx([0, 0], abs=1e-280)


@pytest.mark.parametrize(("places", "busy"), [(1, 0.7), (3, 0.8), (8, 0.9)])
def test_waits_of_memoryless_durations_are_as_simulated_within_6_percent(places: int, busy: float) -> None:
    mean = 20.0
    seen = simulate(7, 3600 / mean * places * busy, [(places, exponential(mean))], 120_000).waits[:, 0]

    chance = erlang_c(np.array([places]), np.array([places * busy]))
    if_any = mean_wait_if_any(np.array([places]), np.array([places * busy]), np.array([mean]))

    assert chance[0] == pytest.approx((seen > 1e-9).mean(), rel=0.06)
    assert chance[0] * if_any[0] == pytest.approx(seen.mean(), rel=0.06)
    for seconds in (10.0, 40.0):
        beyond = wait_beyond(chance, if_any, seconds)
        assert beyond[0] == pytest.approx((seen > seconds).mean(), rel=0.06, abs=0.01)


@pytest.mark.parametrize("variation", [0.3, 0.7, 1.3])
@pytest.mark.parametrize(("places", "busy"), [(1, 0.6), (2, 0.8), (6, 0.85)])
def test_waits_of_other_durations_are_as_simulated_within_20_percent(
    places: int, busy: float, variation: float
) -> None:
    mean = 20.0
    steps = [(places, log_normal(mean, variation))]
    seen = simulate(11, 3600 / mean * places * busy, steps, 120_000).waits[:, 0]

    servers, load = np.array([places]), np.array([places * busy])
    if_any = mean_wait_if_any(servers, load, np.array([residual_seconds(mean, variation)]))
    chance = erlang_c(servers, load)

    assert chance[0] * if_any[0] == pytest.approx(seen.mean(), rel=0.2)
    assert wait_beyond(chance, if_any, mean)[0] == pytest.approx((seen > mean).mean(), abs=0.06)
