"""Problems and plans as messages."""

from random import Random

from benchmarks.planning.making import fleet, workload
from controlplane.planning.documents import (
    inputs_as_planned,
    inputs_of,
    policy_of,
    problem_of,
    recommendation_of,
)
from controlplane.planning.plan import plan, plan_together
from enchain.state.codec import decode, encode
from enchain.v1 import recommendation_pb2


def _inputs() -> recommendation_pb2.PlanningInputs:
    rng = Random(4)
    return inputs_of(workload(rng, 1, fleet(rng, 4), 3, 4))


def test_inputs_come_back_from_the_store_as_they_were() -> None:
    inputs = _inputs()

    again = decode(recommendation_pb2.PlanningInputs, encode(inputs))

    assert again == inputs
    assert problem_of(again) == problem_of(inputs)


def test_a_recommendation_tells_what_was_planned() -> None:
    inputs = _inputs()
    found = plan(problem_of(inputs))
    assert found.chosen is not None

    told = recommendation_of(found, inputs)

    assert told.chosen.chain == found.chosen.chain
    assert told.chosen.cost_per_hour == found.chosen.cost.total
    assert [rival.chain for rival in told.rivals] == [rival.chain for rival in found.rivals]
    assert told.quantile == found.chosen.quantile
    assert told.input_digest.startswith("sha256:")
    assert told.lead_time.ToTimedelta().total_seconds() > 0
    assert len(encode(told)) < 64 * 1024


def test_other_inputs_have_another_digest() -> None:
    inputs = _inputs()
    found = plan(problem_of(inputs))
    other = recommendation_pb2.PlanningInputs()
    other.CopyFrom(inputs)
    other.reactive_rate += 1

    assert recommendation_of(found, inputs).input_digest != recommendation_of(found, other).input_digest


def test_inputs_of_a_plan_made_with_others_have_it_by_themselves() -> None:
    rng = Random(9)
    pools = fleet(rng, 4)
    every = [inputs_of(workload(rng, at, pools, 3, 4)) for at in range(6)]
    plans = plan_together([problem_of(inputs) for inputs in every])

    for inputs, found in zip(every, plans, strict=True):
        kept = decode(recommendation_pb2.PlanningInputs, encode(inputs_as_planned(inputs, found)))
        assert recommendation_of(plan(problem_of(kept)), kept) == recommendation_of(found, kept)


def test_a_policy_that_names_nothing_has_the_defaults() -> None:
    policy = policy_of(recommendation_pb2.PlanningPolicy())

    assert (policy.hysteresis, policy.cool_down_seconds) == (0.1, 1800)
    assert (policy.exceed_max_by, policy.exploration) == (0, 0)


def test_a_queue_without_end_can_be_written() -> None:
    inputs = _inputs()
    for engine in inputs.engines:
        engine.launchable = False
        engine.ready = 0

    told = recommendation_of(plan(problem_of(inputs)), inputs)

    assert told.chosen.p95.seconds > 3e11
    assert encode(told)
