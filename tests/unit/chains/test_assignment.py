"""An experiment's answer for a key: the arm by its bucket, or the precise reason why there is none."""

import pytest

from enchain.chains import assignment
from enchain.chains.assignment import Reason
from enchain.chains.eligibility import check_eligibility
from enchain.chains.errors import MalformedError
from enchain.chains.expressions import ExpressionError
from enchain.chains.units import Attributes, attributes_message, attributes_of
from enchain.chains.values import Json, SecretRef, to_value_map
from enchain.v1 import experiment_pb2
from tests.harness.stored_experiments import experiment

INPUTS: dict[str, Json] = {
    "type": "object",
    "properties": {"size": {"type": "string"}, "count": {"type": "integer"}},
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        (Attributes("one"), Reason.ENROLLED),
        (Attributes("tester"), Reason.FORCED),
        (Attributes(""), Reason.NO_UNIT),
        (Attributes("k" * 257), Reason.NO_UNIT),
        (Attributes("two"), Reason.OUTSIDE_COVERAGE),
    ],
)
def test_each_key_gets_its_reason(attributes: Attributes, reason: Reason) -> None:
    # Of the seed "abc", "one" has bucket 6431 and "two" another one that half the keys leave out.
    found = assignment.Assigner(experiment(coverage=50, forced={"tester": "b"})).of_request(attributes)

    assert (found.reason, found.place is not None) == (reason, reason in (Reason.ENROLLED, Reason.FORCED))
    assert "{" not in assignment.words(found)


@pytest.mark.parametrize("state", ["DRAFT", "PAUSED", "CONCLUDED"])
def test_only_one_that_runs_enrols_and_forces(state: str) -> None:
    value = experiment_pb2.Experiment.State.Value(f"STATE_{state}")
    stopped = assignment.Assigner(experiment(state=value, forced={"tester": "b"}))

    assert [stopped.of_unit(key).reason for key in ("one", "tester")] == [Reason.NOT_RUNNING] * 2
    assert stopped.hashed("one")[1] is not None  # what a draft's key would get is known all the same


@pytest.mark.parametrize(
    ("unit", "inputs", "key"),
    [
        ("resource", {}, "one"),
        ("tenant", {}, "acme"),
        ("requester", {}, "mona"),
        ("inputs.team", {"team": "ops"}, "ops"),
        ("inputs.team", {"team": 7}, "7"),
        ("inputs.team", {"team": [1]}, ""),
        ("inputs.team", {"team": True}, ""),
        ("inputs.team", {}, ""),
    ],
)
def test_the_unit_is_what_the_experiment_says(unit: str, inputs: dict[str, Json], key: str) -> None:
    asked = Attributes("one", "acme", "mona", inputs=to_value_map(inputs))

    found = assignment.Assigner(experiment(unit=unit)).of_request(asked)

    assert (found.key, found.reason is Reason.NO_UNIT) == (key, key == "")


@pytest.mark.parametrize(
    ("attributes", "detail"),
    [
        (Attributes("one", region="eu", inputs=to_value_map({"size": "large"})), ""),
        (Attributes("one", inputs=to_value_map({"size": "large"})), "is not true of it"),
        (Attributes("one", region="eu"), "there is no field size"),
    ],
)
def test_eligibility_goes_by_what_the_request_is(attributes: Attributes, detail: str) -> None:
    asked = assignment.Assigner(experiment(eligibility="region == 'eu' && inputs.size == 'large'"))

    found = asked.of_request(attributes)

    assert (found.reason is Reason.NOT_ELIGIBLE) == bool(detail)
    assert detail in found.detail
    assert asked.of_unit("one").reason is Reason.ENROLLED  # nobody was asked for attributes


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        ("inputs.size == 'large' && inputs.count > 3 && host == 'h' && 'qa' in groups", ""),
        ("[account, zone, tenant, requester] == ['a', 'z', 't', 'r'] && size(inputs) == 2", ""),
        ("inputs.size", "inputs.size is not true of it"),
        ("inputs.size > 3", "${inputs.size > 3}: No matching overloads found"),
        ("inputs.count / 0 == 1", "${inputs.count / 0 == 1}: divide by zero"),
    ],
)
def test_a_condition_has_all_that_it_reads_and_a_reason_where_it_is_not_true(
    source: str, detail: str
) -> None:
    inputs = to_value_map({"size": "large", "count": 4})
    asked = Attributes("one", "t", "r", ["qa"], "eu", "z", "a", "h", inputs)

    found = assignment.Assigner(experiment(eligibility=source)).of_request(asked)

    assert found.reason is (Reason.NOT_ELIGIBLE if detail else Reason.ENROLLED)
    assert found.detail.startswith(detail)


def test_a_layer_keeps_out_who_is_in_another_part() -> None:
    slot = 769  # of "one" in the layer "checkout"
    inside, outside = (
        assignment.assign(experiment(layer="checkout", part=part), "one")
        for part in ((slot, slot + 1), (slot + 1, 1000))
    )

    assert (inside.reason, outside.reason) == (Reason.ENROLLED, Reason.OUTSIDE_LAYER)


@pytest.mark.parametrize("fault", ["phases", "hash", "arms", "order", "forced"])
def test_what_does_not_fit_together_is_not_guessed_at(fault: str) -> None:
    wrong = experiment()
    match fault:
        case "phases":
            del wrong.phases[:]
        case "hash":
            wrong.phases[-1].hash_version = 1
        case "arms":
            wrong.arms[0].name = "other"
        case "order":
            wrong.phases[-1].ranges[1].start = 10
        case "forced":
            wrong.forced["tester"] = "nobody"

    with pytest.raises(MalformedError):
        assignment.assign(wrong, "one")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "tenant == 'acme' && 'qa' in groups",
        "inputs.size == 'large' || !has(inputs.count)",
        "inputs.count > 3",
    ],
)
def test_a_condition_that_fits_the_types_is_saved(source: str) -> None:
    check_eligibility(source, INPUTS)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("inputs.shape == 'round'", "UNKNOWN_FIELD"),
        ("steps.build.outputs.url == 'x'", "UNKNOWN_VARIABLE"),
        ("region", "TYPE_MISMATCH"),
        ("inputs.count", "TYPE_MISMATCH"),
        ("inputs.count == 'three'", "EXPRESSION_INVALID"),
        ("region ==", "EXPRESSION_INVALID"),
    ],
)
def test_a_condition_that_does_not_is_refused_when_saved(source: str, reason: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        check_eligibility(source, INPUTS)

    assert refused.value.reason == reason


def test_a_condition_may_read_all_inputs_and_sees_no_secret() -> None:
    inputs = to_value_map({"size": "large", "count": 3, "password": SecretRef("env:PASSWORD")})
    asked = Attributes("one", groups=["qa"], inputs=inputs)

    counting = assignment.Assigner(experiment(eligibility="size(inputs) == 2 && 'qa' in groups"))
    peeking = assignment.Assigner(experiment(eligibility="has(inputs.password)"))

    assert counting.of_request(asked).reason is Reason.ENROLLED
    assert peeking.of_request(asked).reason is Reason.NOT_ELIGIBLE


def test_the_newest_phase_is_in_force() -> None:
    changed = experiment()
    changed.phases.add(number=2, seed="other", hash_version=2, ranges=changed.phases[0].ranges)

    found = assignment.explain(changed, "one")

    assert (found.phase, found.seed, found.reason) == (2, "other", "ENROLLED")


@pytest.mark.parametrize(
    ("key", "attributes", "eligibility", "layer", "not_asked"),
    [
        ("one", None, "region == 'eu'", "", True),
        ("one", Attributes(region="eu"), "region == 'eu'", "", False),
        ("one", None, "", "", False),
        ("one", None, "region == 'eu'", "elsewhere", False),
        ("tester", None, "region == 'eu'", "", False),
        ("", None, "region == 'eu'", "", False),
    ],
)
def test_an_answer_says_whether_eligibility_was_not_asked(
    key: str, attributes: Attributes | None, eligibility: str, layer: str, not_asked: bool
) -> None:
    of = experiment(forced={"tester": "b"}, eligibility=eligibility, layer=layer, part=(0, 1))

    found = assignment.explain(of, key, attributes)

    assert found.eligibility_not_asked == not_asked
    assert found.description.endswith("whether the request is eligible was not asked") == not_asked


def test_attributes_travel_whole() -> None:
    asked = Attributes("one", "acme", "mona", ["qa"], "eu", "z", "a", "h", to_value_map({"size": 3}))

    assert attributes_of(attributes_message(asked), "one") == asked
