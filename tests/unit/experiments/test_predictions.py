"""What was said of chains beforehand, held against what arms measured, and what planning makes of it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from controlplane.experiments.merging import in_one_currency
from controlplane.experiments.outcomes import OutcomeReader
from controlplane.experiments.predictions import checks, doubted, doubts, predicted
from enchain.v1 import chain_pb2, experiment_pb2, profile_pb2, recommendation_pb2
from tests.harness.outcomes import FAILED, SUCCEEDED, assigned

CHAIN = "workloads/site/chains/quick@0123456789ab"
END = datetime(2026, 3, 1, tzinfo=UTC)
READER = OutcomeReader()


def measured(count: int = 1000) -> experiment_pb2.ArmStatistics:
    """An arm whose provisions take 10 s in the median, cost 2 on average, and succeed 19 times of 20."""
    random = Random(5)
    entries = [
        assigned(
            number,
            arm="quick",
            seconds=random.lognormvariate(2.3026, 0.5),
            cost=random.uniform(1, 3),
            state=FAILED if number % 20 == 0 else SUCCEEDED,
        )
        for number in range(count)
    ]
    folded = READER.fold(READER.empty("site/faster.1.quick"), entries)
    ((arms, _), _) = in_one_currency([folded], [])
    return arms[0]


def experiment() -> experiment_pb2.Experiment:
    made = experiment_pb2.Experiment()
    made.arms.add(name="control", chain="workloads/site/chains/default@ba9876543210")
    made.arms.add(name="quick", chain=CHAIN)
    return made


def found(said: Mapping[str, float], count: int = 1000) -> list[experiment_pb2.PredictionCheck]:
    return list(checks(experiment(), {"quick": measured(count)}, {CHAIN: said}))


def test_a_recommendation_says_success_p95_and_what_engines_charge() -> None:
    recommendation = recommendation_pb2.Recommendation()
    recommendation.rivals.add(chain=CHAIN, success=0.97).p95.FromTimedelta(timedelta(seconds=30))
    inputs = recommendation_pb2.PlanningInputs()
    steps = inputs.chains.add(chain=CHAIN).steps
    steps.add(cost=1.5, attempts=1.2)
    steps.add(cost=0.2)

    said = predicted(recommendation, inputs)[CHAIN]

    assert said == {"cost": pytest.approx(2.0), "p95_time": 30.0, "success": 0.97}


@pytest.mark.parametrize(
    ("metric", "right", "wrong"), [("cost", 2.0, 1.6), ("p95_time", 22.8, 12.0), ("success", 0.95, 0.999)]
)
def test_what_was_right_holds_and_what_was_not_does_not(metric: str, right: float, wrong: float) -> None:
    (good,), (bad,) = found({metric: right}), found({metric: wrong})

    assert (good.held, bad.held) == (True, False)
    assert (good.arm, good.metric, good.predicted) == ("quick", metric, right)
    assert good.lower < good.observed < good.upper


def test_few_outcomes_and_other_revisions_say_nothing() -> None:
    assert found({"success": 0.1, "p95_time": 1.0}, count=20) == []
    said = {"workloads/site/chains/quick@ffffffffffff": {"success": 0.1}}
    assert list(checks(experiment(), {"quick": measured()}, said)) == []


def concluded(*found: experiment_pb2.PredictionCheck) -> experiment_pb2.Experiment:
    made = experiment()
    made.end_time.FromDatetime(END)
    made.conclusion.evidence.predictions.extend(found)
    return made


def test_a_prediction_that_did_not_hold_is_worth_few_measurements_and_more_each_week() -> None:
    told = concluded(*found({"p95_time": 11.4, "success": 0.95}))

    fresh, later = (doubts([told], END + timedelta(weeks=weeks))[CHAIN] for weeks in (0, 2))

    assert fresh == pytest.approx(2, abs=0.5), "it was off by a factor of two: 1 / ln(2)^2"
    assert later == pytest.approx(4 * fresh)
    assert doubts([concluded(*found({"success": 0.95})), experiment()], END) == {}


def test_profiles_of_a_doubted_chain_count_for_less_and_others_as_before() -> None:
    chain = chain_pb2.Chain(name=CHAIN)
    chain.steps.add(steps=["serve"], engine="process", version="1")
    mine, other = profile_pb2.PerformanceProfile(), profile_pb2.PerformanceProfile()
    for profile, engine in ((mine, "process"), (other, "script")):
        profile.steps.append("serve")
        profile.engine, profile.version, profile.provision.weight = engine, "1", 400

    after = doubted([mine, other], [chain], {CHAIN: 3.0})

    assert [profile.provision.weight for profile in after] == [3.0, 400.0]
    assert mine.provision.weight == 400.0, "what was given stays as it is"
    assert [p.provision.weight for p in doubted([mine], [chain], {})] == [400.0]
