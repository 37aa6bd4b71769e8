"""Experiments of one workload together: each request asks one of them, by its part of the layer."""

import pytest

from enchain.chains import cohort
from enchain.chains.assignment import Reason
from enchain.chains.enrolment import enrolment_of
from enchain.chains.errors import InvalidArgumentError
from enchain.chains.units import Attributes
from enchain.v1 import experiment_pb2
from tests.harness.stored_experiments import experiment

Experiment = experiment_pb2.Experiment


def fifty(state: Experiment.State.ValueType = Experiment.STATE_RUNNING) -> list[Experiment]:
    """Experiments that share out the whole layer."""
    return [
        experiment(f"e{i:02}", layer="l", part=(20 * i, 20 * i + 20), seed=f"s{i}", state=state)
        for i in range(50)
    ]


def test_each_key_is_in_the_experiment_whose_part_it_is_in() -> None:
    enrolment = enrolment_of(fifty())
    assert enrolment is not None

    for number in range(300):
        found = enrolment.of_request(Attributes(f"key-{number}"))
        part = cohort.layer_slot("l", f"key-{number}") // 20
        assert (found.experiment, found.reason) == (f"workloads/site/experiments/e{part:02}", Reason.ENROLLED)
        told = enrolment.explain(f"key-{number}")
        assert [one.experiment for one in told if one.arm] == [found.experiment]


def test_a_key_in_nobodys_part_is_outside_the_layer() -> None:
    one, *_ = fifty()
    enrolment = enrolment_of([one])
    assert enrolment is not None

    outside = next(key for key in map(str, range(100)) if cohort.layer_slot("l", key) >= 20)

    assert enrolment.of_request(Attributes(outside)).reason is Reason.OUTSIDE_LAYER


def test_a_paused_one_keeps_its_part_and_enrols_nobody() -> None:
    enrolment = enrolment_of(fifty(Experiment.STATE_PAUSED))
    assert enrolment is not None

    assert enrolment.of_request(Attributes("one")).reason is Reason.NOT_RUNNING


def test_a_forced_key_is_in_its_arm_whatever_its_part() -> None:
    some = fifty()
    some[7].forced["tester"] = "b"
    enrolment = enrolment_of(some)
    assert enrolment is not None

    found = enrolment.of_request(Attributes("tester"))

    assert (found.experiment, found.reason) == (some[7].name, Reason.FORCED)


def test_a_request_without_the_unit_asks_nobody() -> None:
    enrolment = enrolment_of([experiment(unit="inputs.team")])
    assert enrolment is not None

    found = enrolment.of_request(Attributes("one"))

    assert (found.reason, found.detail.split(" that")[0]) == (Reason.NO_UNIT, "it carries no inputs.team")


@pytest.mark.parametrize("unit", ["tenant", "inputs.team"])
def test_parts_of_a_layer_are_of_one_unit(unit: str) -> None:
    first, second, *_ = fifty()
    second.unit = unit

    with pytest.raises(InvalidArgumentError, match="share no layer and unit"):
        enrolment_of([first, second])


def test_no_experiment_in_force_is_no_enrolment() -> None:
    assert enrolment_of(fifty(Experiment.STATE_CONCLUDED)) is None
