"""`kind: Experiment`, turned into a message.

`enchain.cli.kinds` has it in its table. What a field means is said in the protos; here is only how it is
written. A metric is written as its name, or with `better` and `tolerance` beside it.
"""

import re

from enchain.chains.names import CHAIN, violation_of
from enchain.cli.fields import Field
from enchain.cli.yamlfile import Place
from enchain.v1 import experiment_pb2

Experiment = experiment_pb2.Experiment
Metric = experiment_pb2.ExperimentMetric

ON_CONCLUSION = {"": 0, "ask": 1, "promote": 2}
ON_GUARDRAIL = {"": 0, "roll-back": 1, "pause": 2, "ask": 3}
BETTER = {"": 0, "higher": 1, "lower": 2}

FIELDS = (
    "kind", "workload", "name", "description", "arms", "unit", "eligibility", "layer", "coverage", "ramp",
    "goal", "metrics", "guardrails", "forced", "on_conclusion", "on_guardrail", "time_limit", "significance",
    "minimum_effect", "recommendation",
)  # fmt: skip

PLACED = (
    "name", "description", "arms", "unit", "eligibility", "layer", "coverage", "ramp", "goal", "metrics",
    "guardrails", "forced", "on_conclusion", "on_guardrail", "time_limit", "significance",
    "minimum_effect", "recommendation",
)  # fmt: skip
"""Fields of the message that stand under their own name in the document."""


def read_experiment(root: Field) -> tuple[Experiment, dict[str, Place]]:
    """Read an experiment, and where its parts were written.

    Raises:
        DocumentError: A field is wrong.
    """
    root.only(*FIELDS)
    workload = root.child("workload").required().text()
    places: dict[str, Place] = {f"experiment.{field}": (field,) for field in PLACED}
    message = Experiment(
        name=f"workloads/{workload}/experiments/{root.child('name').required().text()}",
        description=root.child("description").text(),
        arms=_arms(root.child("arms").required(), workload, places),
        unit=root.child("unit").text(),
        eligibility=root.child("eligibility").text(),
        layer=_layer(root.child("layer")),
        coverage=_percent(root.child("coverage")),
        ramp=_ramp(root.child("ramp")),
        goal=_metric(root.child("goal").required()),
        metrics=[_metric(each) for each in root.child("metrics").items()],
        guardrails=[_metric(each) for each in root.child("guardrails").items()],
        forced=root.child("forced").text_map(),
        on_conclusion=_choice(root.child("on_conclusion"), ON_CONCLUSION),  # type: ignore[arg-type]  # enum
        on_guardrail=_choice(root.child("on_guardrail"), ON_GUARDRAIL),  # type: ignore[arg-type]  # enum
        time_limit=root.child("time_limit").duration(),
        significance=root.child("significance").number(),
        minimum_effect=_share(root.child("minimum_effect")),
        recommendation=_recommendation(root.child("recommendation"), workload),
    )
    return message, places


def _arms(arms: Field, workload: str, places: dict[str, Place]) -> list[experiment_pb2.Arm]:
    """Read `CHAIN: WEIGHT`, or `NAME: {chain: CHAIN, weight: WEIGHT}`, the control first."""
    found = []
    for index, (name, arm) in enumerate(arms.entries()):
        places[f"experiment.arms[{index}]"] = arm.place
        chain, weight = name, arm
        if isinstance(arm.value, dict):
            arm.only("chain", "weight")
            chain, weight = arm.child("chain").text(name), arm.child("weight").required()
        plain = chain.partition("@")[0]
        if fault := violation_of(CHAIN, plain, "chain"):
            arm.fail(fault.description, "Name a chain of the workload, such as `default`.")
        found.append(
            experiment_pb2.Arm(
                name=name, chain=f"workloads/{workload}/chains/{chain}", weight=_percent(weight)
            )
        )
    return found


def _percent(field: Field) -> float:
    """Read `50`, `50%` or `0.5%` as percent; 0 where it is absent."""
    if isinstance(field.value, str) and re.fullmatch(r"\d+(\.\d+)?%", field.value):
        return float(field.value[:-1])
    return field.number()


def _share(field: Field) -> float:
    return 0.0 if field.value is None else field.share()


def _layer(field: Field) -> experiment_pb2.LayerRange | None:
    if field.value is None:
        return None
    field.only("name", "start", "end")
    return experiment_pb2.LayerRange(
        layer=f"layers/{field.child('name').required().text()}",
        start=field.child("start").integer(),
        end=field.child("end").required().integer(),
    )


def _ramp(field: Field) -> experiment_pb2.Ramp | None:
    """Read a list of percents, or `{steps: …, hold: …, operations: …}`."""
    if field.value is None:
        return None
    if isinstance(field.value, list):
        return experiment_pb2.Ramp(steps=[_percent(step) for step in field.items()])
    field.only("steps", "hold", "operations")
    return experiment_pb2.Ramp(
        steps=[_percent(step) for step in field.child("steps").required().items()],
        hold=field.child("hold").duration(),
        operations=field.child("operations").integer(),
    )


def _metric(field: Field) -> Metric:
    if isinstance(field.value, str):
        return Metric(metric=field.value)
    field.only("metric", "better", "tolerance")
    return Metric(
        metric=field.child("metric").required().text(),
        better=_choice(field.child("better"), BETTER),  # type: ignore[arg-type]  # enum
        tolerance=_share(field.child("tolerance")),
    )


def _choice(field: Field, choices: dict[str, int]) -> int:
    word = field.text()
    if word not in choices:
        field.fail(f"is `{word}`", f"Write one of {', '.join(choice for choice in choices if choice)}.")
    return choices[word]


def _recommendation(field: Field, workload: str) -> str:
    text = field.text()
    return f"workloads/{workload}/recommendations/{text}" if text and "/" not in text else text
