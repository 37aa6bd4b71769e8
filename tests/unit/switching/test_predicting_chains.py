"""What profiles say of chains: durations against a simulation, costs, and silence where nothing is known."""

import math
from datetime import timedelta
from random import Random

import pytest

from controlplane.switching.predicting import Predicted, predict, write_prediction
from enchain.v1.chain_pb2 import Chain, ChainStep, SwitchImpact
from enchain.v1.diagnostic_pb2 import Money
from enchain.v1.engine_pb2 import Engine, Price
from enchain.v1.profile_pb2 import PerformanceProfile

CHAIN = Chain(
    steps=[
        ChainStep(steps=["configure"], engine="terraform", version="1"),
        ChainStep(steps=["serve"], engine="process", version="2"),
    ]
)


def profile(
    engine: str, version: str, step: str, mean: float, variation: float, **fields: float | str
) -> PerformanceProfile:
    made = PerformanceProfile(engine=engine, version=version, steps=[step])
    duration = made.provision.duration
    duration.weight = 10
    duration.mean.FromTimedelta(timedelta(seconds=mean))
    duration.p95.FromTimedelta(timedelta(seconds=2 * mean))
    duration.variation = variation
    for name, value in fields.items():
        setattr(made.provision, name, value)
    return made


KNOWN = [
    profile("terraform", "1", "configure", 3.0, 0.5, cost=0.02, currency_code="EUR"),
    profile("process", "2", "serve", 1.0, 1.0),
]


def test_the_sum_of_two_steps_is_what_a_simulation_says() -> None:
    rng = Random(1)

    def lognormal(mean: float, variation: float) -> float:
        spread = math.sqrt(math.log1p(variation**2))
        return rng.lognormvariate(math.log(mean) - spread**2 / 2, spread)

    sums = sorted(lognormal(3.0, 0.5) + lognormal(1.0, 1.0) for _ in range(20_000))

    predicted = predict(CHAIN, KNOWN, {})

    assert predicted is not None
    assert predicted.p95_seconds == pytest.approx(sums[19_000], rel=0.05)


def test_a_single_call_is_what_was_measured() -> None:
    alone = Chain(steps=[CHAIN.steps[0]])

    predicted = predict(alone, KNOWN, {})

    assert predicted is not None
    assert predicted.p95_seconds == 6.0


def test_what_engines_report_and_what_requests_are_priced_at_adds_up() -> None:
    engines = {"process": Engine(price=Price(request=Money(nanos=30_000_000, currency_code="EUR")))}

    predicted = predict(CHAIN, KNOWN, engines)

    assert predicted is not None
    assert predicted.cost == pytest.approx(0.05)
    assert predicted.currency == "EUR"


def test_a_step_that_was_never_measured_leaves_the_chain_unknown() -> None:
    assert predict(CHAIN, KNOWN[:1], {}) is None
    assert predict(CHAIN, [KNOWN[0], profile("process", "3", "serve", 1.0, 1.0)], {}) is None
    failed = PerformanceProfile(engine="process", version="2", steps=["serve"])
    assert predict(CHAIN, [KNOWN[0], failed], {}) is None


def test_amounts_in_two_currencies_are_not_added() -> None:
    engines = {"process": Engine(price=Price(request=Money(units=1, currency_code="USD")))}

    assert predict(CHAIN, KNOWN, engines) is None


BOTH = {"p95_before", "p95_after"}


@pytest.mark.parametrize(
    ("old", "new", "known"),
    [
        (Predicted(2, 0.1, "EUR"), Predicted(1, 0.3, "EUR"), BOTH | {"cost_per_request_change"}),
        (Predicted(2, 0.1, "EUR"), Predicted(1, 0.0, ""), BOTH | {"cost_per_request_change"}),
        (Predicted(2, 0.1, "EUR"), Predicted(1, 0.3, "USD"), BOTH),
        (Predicted(2, 0.1, "EUR"), None, {"p95_before"}),
        (None, None, set()),
    ],
)
def test_what_is_not_known_stays_unset(old: Predicted | None, new: Predicted | None, known: set[str]) -> None:
    impact = SwitchImpact()

    write_prediction(impact, old, new)

    assert {field.name for field, _ in impact.ListFields()} == known
