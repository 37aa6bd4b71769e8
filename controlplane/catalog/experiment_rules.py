"""What an experiment must be, and what it is where nothing is said. Pure.

`controlplane.catalog.experiments` calls it before it reads anything. Whether chains exist, and what else is
in the way, is asked when it is saved and when it starts.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from controlplane.catalog.experiment_layers import THOUSANDTHS
from controlplane.catalog.experiment_metrics import guardrail_faults, metric_faults, with_direction
from enchain.chains.assignment import WHOLE_PERCENT
from enchain.chains.decision_names import ARM, LayerName, RecommendationName
from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.chains.names import FIELD, ChainName, violation_of
from enchain.v1.experiment_pb2 import Experiment, ExperimentMetric, Ramp

OUTPUT_ONLY = frozenset(
    {
        "name", "etag", "create_time", "update_time", "state", "phases", "start_time", "end_time",
        "conclusion", "history", "warming",
    }
)  # fmt: skip

ARMS_MIN, ARMS_MAX = 2, 8
METRICS_MAX = 8
FORCED_MAX = 100
KEY_CHARS_MAX = 128
RAMP_STEPS_MAX = 20
DESCRIPTION_CHARS_MAX = 1024
WEIGHT_ROUNDING = 1e-6
UNITS = ("resource", "tenant", "requester")

HOLD = timedelta(minutes=10)
HOLD_MAX = timedelta(days=30)
RAMP_OPERATIONS = 50
TIME_LIMIT = timedelta(days=14)
TIME_LIMIT_MAX = timedelta(days=365)
SIGNIFICANCE = 0.05
MINIMUM_EFFECT = 0.05
SUCCESS_TOLERANCE = 0.005


def completed(sent: Experiment) -> Experiment:
    """Answer what people wrote with every default filled in, and nothing that is not theirs to write."""
    after = Experiment()
    after.CopyFrom(sent)
    for each in OUTPUT_ONLY - {"name"}:
        after.ClearField(each)  # type: ignore[arg-type]  # its stub wants a literal
    after.unit = after.unit or UNITS[0]
    if not after.coverage:
        after.coverage = after.ramp.steps[-1] if after.ramp.steps else WHOLE_PERCENT
    if after.HasField("ramp"):
        _complete_ramp(after.ramp)
    if not after.guardrails:
        after.guardrails.add(metric="success", tolerance=SUCCESS_TOLERANCE)
    for metric in (after.goal, *after.metrics, *after.guardrails):
        with_direction(metric)
    after.on_conclusion = after.on_conclusion or Experiment.ON_CONCLUSION_ASK
    after.on_guardrail = after.on_guardrail or Experiment.ON_GUARDRAIL_ROLL_BACK
    if not after.HasField("time_limit"):
        after.time_limit.FromTimedelta(TIME_LIMIT)
    after.significance = after.significance or SIGNIFICANCE
    after.minimum_effect = after.minimum_effect or MINIMUM_EFFECT
    return after


def _complete_ramp(ramp: Ramp) -> None:
    if not ramp.HasField("hold"):
        ramp.hold.FromTimedelta(HOLD)
    ramp.operations = ramp.operations or RAMP_OPERATIONS


def check(experiment: Experiment, workload: str) -> None:
    """Check a completed experiment of a workload by itself.

    Raises:
        InvalidArgumentError: Something is wrong; every fault is listed, by its field.
    """
    refuse(list(_faults(experiment, workload)))


def check_weights(experiment: Experiment, weights: Mapping[str, float]) -> None:
    """Check weights that are to replace an experiment's.

    Raises:
        InvalidArgumentError: An arm is missing or unknown, or they are no percents that sum to 100.
    """
    arms = [arm.name for arm in experiment.arms]
    faults = [
        Violation(f"weights.{name}", f"{experiment.name} has no arm {name}", "UNKNOWN_ARM")
        for name in sorted(set(weights) - set(arms))
    ]
    faults += [
        Violation(f"weights.{name}", f"the weight of {name} is missing; write all arms", "REQUIRED")
        for name in arms
        if name not in weights
    ]
    refuse([*faults, *_weight_faults({f"weights.{name}": weights[name] for name in weights}, "weights")])


def check_coverage(coverage: float) -> None:
    """Check a coverage that is to replace an experiment's.

    Raises:
        InvalidArgumentError: It is no percent above 0.
    """
    refuse(list(_percent_faults(coverage, "coverage")))


def refuse(faults: Iterable[Violation]) -> None:
    """Raise what was found, if anything was."""
    found = list(dict.fromkeys(faults))
    if found:
        told = f"{found[0].field}: {found[0].description}"
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise InvalidArgumentError(told + more, reason=found[0].reason, violations=found)


def _faults(experiment: Experiment, workload: str) -> Iterator[Violation]:
    if len(experiment.description) > DESCRIPTION_CHARS_MAX:
        told = f"it has more than {DESCRIPTION_CHARS_MAX} characters"
        yield Violation("experiment.description", told, "TOO_LONG")
    yield from _arm_faults(experiment, workload)
    yield from _unit_faults(experiment)
    yield from _layer_faults(experiment)
    yield from _percent_faults(experiment.coverage, "experiment.coverage")
    if experiment.HasField("ramp"):
        yield from _ramp_faults(experiment)
    yield from _all_metric_faults(experiment)
    yield from _forced_faults(experiment)
    yield from _end_faults(experiment, workload)


def _arm_faults(experiment: Experiment, workload: str) -> Iterator[Violation]:
    if not ARMS_MIN <= len(experiment.arms) <= ARMS_MAX:
        told = f"an experiment has {ARMS_MIN} to {ARMS_MAX} arms, not {len(experiment.arms)}"
        yield Violation("experiment.arms", told, "WRONG_NUMBER")
    names = [arm.name for arm in experiment.arms]
    for index, arm in enumerate(experiment.arms):
        field = f"experiment.arms[{index}]"
        if fault := violation_of(ARM, arm.name, f"{field}.name"):
            yield fault
        if arm.name in names[:index]:
            yield Violation(f"{field}.name", f"there are two arms named {arm.name}", "DOUBLED")
        yield from _chain_faults(arm.chain, workload, f"{field}.chain")
    weights = {f"experiment.arms[{index}].weight": arm.weight for index, arm in enumerate(experiment.arms)}
    yield from _weight_faults(weights, "experiment.arms")


def _chain_faults(chain: str, workload: str, field: str) -> Iterator[Violation]:
    try:
        name = ChainName.parse(chain, field)
    except InvalidArgumentError as error:
        yield from error.violations
        return
    if name.workload != workload:
        yield Violation(field, f"{chain} is no chain of workloads/{workload}", "OTHER_WORKLOAD")


def _weight_faults(weights: Mapping[str, float], field: str) -> Iterator[Violation]:
    wrong = [
        Violation(each, f"the weight {weight:g} is not above 0 and at most 100 %", "OUT_OF_RANGE")
        for each, weight in weights.items()
        if not (math.isfinite(weight) and 0 < weight <= WHOLE_PERCENT)
    ]
    yield from wrong
    total = math.fsum(weights.values()) if weights and not wrong else WHOLE_PERCENT
    if abs(total - WHOLE_PERCENT) > WEIGHT_ROUNDING:
        told = f"the weights sum to {total:g} %, and must sum to 100 %"
        yield Violation(field, told, "WEIGHTS_DO_NOT_SUM")


def _unit_faults(experiment: Experiment) -> Iterator[Violation]:
    unit, dot, attribute = experiment.unit.partition(".")
    if dot and unit == "inputs":
        if fault := violation_of(FIELD, attribute, "experiment.unit"):
            yield fault
    elif experiment.unit not in UNITS:
        told = f"“{experiment.unit}” is no unit; write {', '.join(UNITS)}, or inputs.NAME"
        yield Violation("experiment.unit", told, "UNKNOWN_UNIT")


def _layer_faults(experiment: Experiment) -> Iterator[Violation]:
    if not experiment.HasField("layer"):
        return
    layer = experiment.layer
    try:
        LayerName.parse(layer.layer, "experiment.layer.layer")
    except InvalidArgumentError as error:
        yield from error.violations
    if not 0 <= layer.start < layer.end <= THOUSANDTHS:
        told = f"{layer.start} to {layer.end} is no part; write 0 <= start < end <= {THOUSANDTHS}"
        yield Violation("experiment.layer", told, "INVALID_RANGE")


def _percent_faults(percent: float, field: str) -> Iterator[Violation]:
    if not (math.isfinite(percent) and 0 < percent <= WHOLE_PERCENT):
        yield Violation(field, f"{percent:g} is not above 0 and at most 100 %", "OUT_OF_RANGE")


def _ramp_faults(experiment: Experiment) -> Iterator[Violation]:
    steps = list(experiment.ramp.steps)
    if not 1 <= len(steps) <= RAMP_STEPS_MAX:
        told = f"write 1 to {RAMP_STEPS_MAX} steps of coverage"
        yield Violation("experiment.ramp.steps", told, "WRONG_NUMBER")
        return
    for index, step in enumerate(steps):
        field = f"experiment.ramp.steps[{index}]"
        yield from _percent_faults(step, field)
        if index and step <= steps[index - 1]:
            yield Violation(
                field, f"{step:g} does not exceed {steps[index - 1]:g} before it", "NOT_ASCENDING"
            )
    if steps[-1] != experiment.coverage:
        told = f"the last step is {steps[-1]:g} %, and the coverage {experiment.coverage:g} %: leave one out"
        yield Violation("experiment.ramp.steps", told, "CONTRADICTION")
    if experiment.ramp.operations < 0:
        yield Violation("experiment.ramp.operations", "it is negative", "OUT_OF_RANGE")
    yield from _duration_faults(experiment.ramp.hold, "experiment.ramp.hold", timedelta(), HOLD_MAX)


def _all_metric_faults(experiment: Experiment) -> Iterator[Violation]:
    if not experiment.goal.metric:
        told = "the goal is missing: say what decides, such as success or p95_time"
        yield Violation("experiment.goal.metric", told, "REQUIRED")
    else:
        yield from metric_faults(experiment.goal, "experiment.goal")
    groups: tuple[tuple[str, Iterable[ExperimentMetric]], ...] = (
        ("metrics", experiment.metrics),
        ("guardrails", experiment.guardrails),
    )
    for group, metrics in groups:
        seen: set[str] = set()
        found = list(metrics)
        if len(found) > METRICS_MAX:
            yield Violation(f"experiment.{group}", f"at most {METRICS_MAX} are taken", "WRONG_NUMBER")
        for index, metric in enumerate(found):
            field = f"experiment.{group}[{index}]"
            yield from metric_faults(metric, field)
            if group == "guardrails":
                yield from guardrail_faults(metric, field)
            if metric.metric in seen:
                yield Violation(f"{field}.metric", f"{metric.metric} stands there already", "DOUBLED")
            seen.add(metric.metric)


def _forced_faults(experiment: Experiment) -> Iterator[Violation]:
    if len(experiment.forced) > FORCED_MAX:
        yield Violation("experiment.forced", f"at most {FORCED_MAX} keys are forced", "WRONG_NUMBER")
    arms = {arm.name for arm in experiment.arms}
    for key, arm in sorted(experiment.forced.items()):
        if not 0 < len(key) <= KEY_CHARS_MAX:
            told = f"a key has 1 to {KEY_CHARS_MAX} characters"
            yield Violation("experiment.forced", told, "OUT_OF_RANGE")
        elif arm not in arms:
            told = f"there is no arm {arm}; arms are {', '.join(sorted(arms))}"
            yield Violation(f"experiment.forced.{key}", told, "UNKNOWN_ARM")


def _end_faults(experiment: Experiment, workload: str) -> Iterator[Violation]:
    shortest = timedelta(seconds=1)
    yield from _duration_faults(experiment.time_limit, "experiment.time_limit", shortest, TIME_LIMIT_MAX)
    for field, most in (("significance", 0.5), ("minimum_effect", 1.0)):
        value = getattr(experiment, field)
        if not (math.isfinite(value) and 0 < value <= most):
            yield Violation(
                f"experiment.{field}", f"{value:g} is not above 0 and at most {most:g}", "OUT_OF_RANGE"
            )
    if experiment.on_conclusion not in Experiment.OnConclusion.values():
        yield Violation("experiment.on_conclusion", "there is no such choice", "UNKNOWN_CHOICE")
    if experiment.on_guardrail not in Experiment.OnGuardrail.values():
        yield Violation("experiment.on_guardrail", "there is no such choice", "UNKNOWN_CHOICE")
    if experiment.recommendation:
        try:
            name = RecommendationName.parse(experiment.recommendation, "experiment.recommendation")
        except InvalidArgumentError as error:
            yield from error.violations
        else:
            if name.workload != workload:
                told = f"{name} is about another workload"
                yield Violation("experiment.recommendation", told, "OTHER_WORKLOAD")


def _duration_faults(
    duration: Duration, field: str, least: timedelta, most: timedelta
) -> Iterator[Violation]:
    if not least.total_seconds() <= duration.seconds + duration.nanos / 1e9 <= most.total_seconds():
        told = f"it is {duration.seconds} s; write {least.total_seconds():g} s to {most.days} days"
        yield Violation(field, told, "OUT_OF_RANGE")
