"""Documents of `kind: Experiment`: what they become, and how precisely a fault is named."""

from pathlib import Path

import pytest

from enchain.cli.kinds import Parsed, parse
from enchain.cli.yamlfile import DocumentError, read
from enchain.v1.experiment_pb2 import Experiment, ExperimentMetric

SHORTEST = (
    "{kind: Experiment, workload: site, name: tf-or-ansible, arms: {default: 50, via-ansible: 50}, "
    "goal: p95_time}\n"
)

WHOLE = """
kind: Experiment
workload: site
name: ab
arms:
  now: {chain: default, weight: 90%}
  new: {chain: "via-ansible@r1", weight: 10}
unit: inputs.customer
eligibility: region == "eu"
layer: {name: checkout, start: 100, end: 300}
ramp: {steps: [1, 5, 20%, 50], hold: 5m, operations: 20}
goal: {metric: outputs.score, better: higher}
metrics: [cost, time]
guardrails: [{metric: success, tolerance: 1%}]
forced: {tester: new}
on_conclusion: promote
on_guardrail: pause
time_limit: 7d
significance: 0.01
minimum_effect: 10%
recommendation: 01ARZ3NDEKTSV4RRFFQ69G5FAV
"""


def parsed(text: str) -> Parsed:
    return parse(next(iter(read(Path("e.yaml"), text))))


def experiment(text: str) -> Experiment:
    message = parsed(text).message
    assert isinstance(message, Experiment)
    return message


def test_the_shortest_document_names_arms_as_their_chains() -> None:
    made = experiment(SHORTEST)

    assert made.name == "workloads/site/experiments/tf-or-ansible"
    assert [(arm.name, arm.chain, arm.weight) for arm in made.arms] == [
        ("default", "workloads/site/chains/default", 50),
        ("via-ansible", "workloads/site/chains/via-ansible", 50),
    ]
    assert made.goal.metric == "p95_time"


def test_all_that_can_be_written_is_read() -> None:
    made = experiment(WHOLE)

    assert [(arm.name, arm.chain.rpartition("/")[2], arm.weight) for arm in made.arms] == [
        ("now", "default", 90),
        ("new", "via-ansible@r1", 10),
    ]
    assert (made.unit, made.eligibility) == ("inputs.customer", 'region == "eu"')
    assert (made.layer.layer, made.layer.start, made.layer.end) == ("layers/checkout", 100, 300)
    assert list(made.ramp.steps) == [1, 5, 20, 50]
    assert (made.ramp.hold.seconds, made.ramp.operations) == (300, 20)
    assert (made.goal.metric, made.goal.better) == ("outputs.score", ExperimentMetric.BETTER_HIGHER)
    assert [each.metric for each in made.metrics] == ["cost", "time"]
    assert made.guardrails[0].tolerance == 0.01
    assert dict(made.forced) == {"tester": "new"}
    assert made.on_conclusion == Experiment.ON_CONCLUSION_PROMOTE
    assert made.on_guardrail == Experiment.ON_GUARDRAIL_PAUSE
    assert made.time_limit.seconds == 7 * 86400
    assert (made.significance, made.minimum_effect) == (0.01, 0.1)
    assert made.recommendation == "workloads/site/recommendations/01ARZ3NDEKTSV4RRFFQ69G5FAV"


def test_faults_of_the_control_plane_come_back_to_the_line() -> None:
    document = parsed(WHOLE)

    assert document.place_of("experiment.arms[1].chain") == ("arms", "new", "chain")
    assert document.document.line_of(document.place_of("experiment.arms[1].weight")) == 7
    assert document.place_of("experiment.guardrails[0].tolerance") == ("guardrails", 0, "tolerance")


@pytest.mark.parametrize(
    ("text", "place", "cause"),
    [
        (SHORTEST.replace("goal: p95_time", "gaol: p95_time"), "gaol", "not known"),
        (SHORTEST.replace("default: 50", "default: half"), "arms.default", "half"),
        (SHORTEST.replace("default: 50", "Default: 50"), "arms.Default", "chain id"),
        (SHORTEST.replace("}\n", ", on_conclusion: guess}\n"), "on_conclusion", "guess"),
        (SHORTEST.replace(", goal: p95_time", ""), "goal", "missing"),
    ],
)
def test_a_wrong_field_is_named_with_its_cause(text: str, place: str, cause: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parsed(text)

    assert place in str(caught.value)
    assert cause in str(caught.value)
