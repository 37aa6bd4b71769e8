"""What the leader does about an experiment, by what is known of it. Pure: no clock, no store.

`controlplane.loops.experiments` asks at every look and commits the answer. It is level-triggered: the answer
follows from the experiment, its analysis and the time alone, so a leader that dies between asking and
committing leaves nothing undone. One thing at a look; the order is that of harm: what may hurt goes first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TypeAlias

from controlplane.experiments.conclusions import GOAL, GUARDRAIL, SAMPLE_RATIO, TIME_LIMIT
from controlplane.experiments.states import PAUSED, RUNNING
from enchain.v1.experiment_pb2 import Experiment, ExperimentAnalysis, MetricAnalysis


@dataclass(frozen=True, slots=True)
class Nothing:
    """It goes on as it is."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Nobody new is to be enrolled."""

    description: str


@dataclass(frozen=True, slots=True)
class Climb:
    """The ramp takes a step."""

    step: int
    description: str


@dataclass(frozen=True, slots=True)
class End:
    """It is concluded."""

    reason: str
    description: str
    winner: str = ""
    promote: bool = False


Action: TypeAlias = Nothing | Pause | Climb | End

NOTHING = Nothing()


@dataclass(frozen=True, slots=True)
class Look:
    """What is decided upon.

    Attributes:
        experiment: As it was read.
        analysis: What is known of its newest phase.
        operations: Provisions that ended in the newest phase, by arm.
        now: The time, in UTC.
    """

    experiment: Experiment
    analysis: ExperimentAnalysis
    operations: Mapping[str, int]
    now: datetime

    @property
    def control(self) -> str:
        """The arm that others are compared with."""
        return self.experiment.arms[0].name


def decide(look: Look) -> Action:
    """Answer what is to be done about an experiment now."""
    for rule in RULES.get(look.experiment.state, ()):
        action = rule(look)
        if action is not None:
            return action
    return NOTHING


def _harmful(look: Look) -> Action | None:
    """A guardrail stands against an arm: back to the control, or as the experiment says."""
    if look.analysis.verdict != ExperimentAnalysis.VERDICT_HARMFUL:
        return None
    told = look.analysis.advice or f"a guardrail stands against {look.analysis.arm}"
    return _contained(look, End(GUARDRAIL, told, look.control), told)


def _invalid(look: Look) -> Action | None:
    """The shares are not as configured: nothing that was measured can be trusted, and nobody wins."""
    if look.analysis.verdict != ExperimentAnalysis.VERDICT_INVALID:
        return None
    told = look.analysis.advice or "the arms did not get the shares that they should have"
    return _contained(look, End(SAMPLE_RATIO, told), told)


def _contained(look: Look, end: End, told: str) -> Action:
    chosen = look.experiment.on_guardrail
    if chosen == Experiment.ON_GUARDRAIL_ASK:
        return NOTHING
    return Pause(told) if chosen == Experiment.ON_GUARDRAIL_PAUSE else end


def _decided(look: Look) -> Action | None:
    """One arm is better, or all are as good as equal; without a promotion agreed upon a person decides."""
    if look.experiment.on_conclusion != Experiment.ON_CONCLUSION_PROMOTE:
        return None
    if look.analysis.verdict == ExperimentAnalysis.VERDICT_BETTER and look.analysis.arm:
        told = look.analysis.advice or f"{look.analysis.arm} is better"
        return End(GOAL, told, look.analysis.arm, promote=True)
    if look.analysis.verdict == ExperimentAnalysis.VERDICT_EQUAL:
        return End(GOAL, look.analysis.advice or "the arms are as good as equal")
    return None


def _expired(look: Look) -> Action | None:
    """The time limit is reached without a decision."""
    experiment = look.experiment
    limit = experiment.start_time.ToDatetime(UTC) + experiment.time_limit.ToTimedelta()
    if look.now < limit:
        return None
    return End(TIME_LIMIT, f"the time limit was reached at {limit:%Y-%m-%d %H:%MZ} without a decision")


def _climbing(look: Look) -> Action | None:
    """The ramp goes on: its time has passed, enough has ended in each arm, no guardrail stands against it."""
    experiment, phase = look.experiment, look.experiment.phases[-1]
    steps = experiment.ramp.steps
    following = phase.ramp_step + 1
    if following >= len(steps) or objections(look.analysis):
        return None
    held = look.now - phase.ramp_time.ToDatetime(UTC)
    if held < _hold(experiment) or fewest(look) < experiment.ramp.operations * following:
        return None
    told = (
        f"ramp: coverage {steps[phase.ramp_step]:g} % -> {steps[following]:g} %, after {fewest(look)}"
        " operations in the smallest arm, with no guardrail against it"
    )
    return Climb(following, told)


def _hold(experiment: Experiment) -> timedelta:
    return experiment.ramp.hold.ToTimedelta()


def fewest(look: Look) -> int:
    """Provisions that ended in the arm where fewest did, in the newest phase."""
    return min(look.operations.get(arm.name, 0) for arm in look.experiment.arms)


def objections(analysis: ExperimentAnalysis) -> list[str]:
    """Answer the guardrails that stand against an arm, as `arm: metric`."""
    return [
        f"{each.arm}: {each.metric}"
        for each in analysis.metrics
        if each.role == MetricAnalysis.ROLE_GUARDRAIL and each.finding == MetricAnalysis.FINDING_WORSE
    ]


Rule: TypeAlias = Callable[[Look], Action | None]

RULES: Mapping[Experiment.State.ValueType, Sequence[Rule]] = MappingProxyType(
    {
        RUNNING: (_harmful, _invalid, _decided, _expired, _climbing),
        # Nobody new comes, but what was assigned still ends; harm and time go on.
        PAUSED: (_expired,),
    }
)
"""By state, in the order in which they are asked; the first answer counts."""
