"""What each act makes of an experiment: its state, phases, conclusion and history. Pure.

`controlplane.catalog.experiment_life` commits what these answer. What is given is never changed. Everything
that routers act on (weights, coverage, seed, ranges) changes here and nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controlplane.experiments.states import Act, advance
from enchain.chains.assignment import ranges
from enchain.chains.cohort import HASH_VERSION
from enchain.chains.digests import canonical
from enchain.v1.experiment_pb2 import (
    Arm,
    Conclusion,
    Experiment,
    ExperimentAnalysis,
    ExperimentChange,
    MetricAnalysis,
    Phase,
)
from enchain.v1.origin_pb2 import Identity

HISTORY_MAX = 100
SENTENCE_CHARS_MAX = 240
NAMED_MAX = 8
"""How many engine versions that are waited for are named."""
BYTES_MAX = 56 * 1024
"""Below what a value may take."""

TRIMMED_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Why:
    """Who changes an experiment, when, and on what evidence.

    Attributes:
        now: The time, in UTC.
        actor: Who.
        description: What is done, as a sentence.
        evidence: What was known; empty where nothing was.
    """

    now: datetime
    actor: Identity = field(default_factory=Identity)
    description: str = ""
    evidence: str = ""


def first_phase(experiment: Experiment, seed: str) -> Phase:
    """Answer the phase that an experiment begins with, not yet started."""
    steps = experiment.ramp.steps
    coverage = steps[0] if steps else experiment.coverage
    return Phase(
        number=1,
        seed=seed,
        hash_version=HASH_VERSION,
        coverage=coverage,
        ranges=ranges(experiment.arms, coverage),
    )


def started(experiment: Experiment, chains: Sequence[str], why: Why) -> Experiment:
    """Answer it running, each arm on the chain revision given, in the order of the arms."""
    after = _acted(experiment, Act.START, why)
    for arm, chain in zip(after.arms, chains, strict=True):
        arm.chain = chain
    after.ClearField("warming")
    phase = after.phases[-1]
    phase.start_time.FromDatetime(why.now)
    phase.ramp_time.FromDatetime(why.now)
    after.start_time.FromDatetime(why.now)
    return _told(after, Act.START, why)


def warmed(
    experiment: Experiment, chains: Sequence[str], waiting: Sequence[str], time: timedelta, why: Why
) -> Experiment:
    """Answer it as it waits for instances, each arm on the chain revision given.

    Args:
        experiment: A draft.
        chains: In the order of the arms.
        waiting: What it waits for.
        time: How long that may take.
        why: Who started it.
    """
    after = _acted(experiment, Act.WARM, why)
    after.warming.Clear()
    after.warming.start_time.FromDatetime(why.now)
    after.warming.deadline.FromDatetime(why.now + time)
    after.warming.actor.CopyFrom(why.actor)
    after.warming.waiting.extend(waiting)
    after.warming.written_chains.extend(arm.chain for arm in after.arms)
    for arm, chain in zip(after.arms, chains, strict=True):
        arm.chain = chain
    return _told(after, Act.WARM, why)


def waiting_for(experiment: Experiment, waiting: Sequence[str]) -> Experiment:
    """Answer it as it waits for something else than before: nothing that anybody decided."""
    after = Experiment()
    after.CopyFrom(experiment)
    del after.warming.waiting[:]
    after.warming.waiting.extend(waiting)
    return after


def cooled(experiment: Experiment, reason: str, why: Why) -> Experiment:
    """Answer it as a draft again, its arms on the chains that were written, since it could not be started."""
    after = _acted(experiment, Act.COOL, why)
    for arm, chain in zip(after.arms, after.warming.written_chains, strict=False):
        arm.chain = chain
    del after.warming.written_chains[:]
    after.warming.reason, after.warming.fault = reason, why.description
    return _told(after, Act.COOL, why)


def paused(experiment: Experiment, why: Why) -> Experiment:
    """Answer it paused: nobody new is enrolled."""
    return _told(_acted(experiment, Act.PAUSE, why), Act.PAUSE, why)


def resumed(experiment: Experiment, why: Why) -> Experiment:
    """Answer it running again, in the same phase; a ramp holds anew."""
    after = _acted(experiment, Act.RESUME, why)
    after.phases[-1].ramp_time.FromDatetime(why.now)
    return _told(after, Act.RESUME, why)


def covered(experiment: Experiment, coverage: float, why: Why) -> Experiment:
    """Answer it with another coverage, set by a person: the ramp, where there is one, ends."""
    after = _acted(experiment, Act.COVERAGE, why)
    after.coverage = coverage
    after.ClearField("ramp")
    _cover(after, coverage, why.now)
    return _told(after, Act.COVERAGE, why)


def ramped(experiment: Experiment, step: int, why: Why) -> Experiment:
    """Answer it at a step of its ramp."""
    after = _acted(experiment, Act.COVERAGE, why)
    _cover(after, after.ramp.steps[step], why.now)
    after.phases[-1].ramp_step = step
    return _told(after, Act.COVERAGE, why)


def reweighted(experiment: Experiment, weights: Mapping[str, float], seed: str, why: Why) -> Experiment:
    """Answer it in a new phase with other weights and a new seed, at the coverage that it has."""
    after = _acted(experiment, Act.WEIGHTS, why)
    before = after.phases[-1]
    before.end_time.FromDatetime(why.now)
    for arm in after.arms:
        arm.weight = weights[arm.name]
    phase = after.phases.add(
        number=before.number + 1,
        seed=seed,
        hash_version=HASH_VERSION,
        coverage=before.coverage,
        ranges=ranges(after.arms, before.coverage),
        ramp_step=before.ramp_step,
    )
    phase.start_time.FromDatetime(why.now)
    phase.ramp_time.FromDatetime(why.now)
    return _told(after, Act.WEIGHTS, why)


def concluded(experiment: Experiment, conclusion: Conclusion, why: Why) -> Experiment:
    """Answer it concluded."""
    after = _acted(experiment, Act.CONCLUDE, why)
    after.ClearField("warming")
    after.phases[-1].end_time.FromDatetime(why.now)
    after.end_time.FromDatetime(why.now)
    after.conclusion.CopyFrom(conclusion)
    after.conclusion.evidence.ClearField("looks")
    return _told(after, Act.CONCLUDE, why)


def noted(experiment: Experiment, act: Act, why: Why) -> Experiment:
    """Answer it with a change in its history that left its state as it was."""
    after = Experiment()
    after.CopyFrom(experiment)
    after.update_time.FromDatetime(why.now)
    return _told(after, act, why)


def arm_named(experiment: Experiment, name: str) -> Arm | None:
    """Answer an arm by its name; None where there is none."""
    return next((arm for arm in experiment.arms if arm.name == name), None)


def sentence(text: str) -> str:
    """Answer a text, or as much of it as is kept."""
    return text if len(text) <= SENTENCE_CHARS_MAX else f"{text[: SENTENCE_CHARS_MAX - 1]}…"


def _acted(experiment: Experiment, act: Act, why: Why) -> Experiment:
    after = Experiment()
    after.CopyFrom(experiment)
    after.state = advance(experiment, act)
    after.update_time.FromDatetime(why.now)
    return after


def _cover(experiment: Experiment, coverage: float, now: datetime) -> None:
    phase = experiment.phases[-1]
    phase.coverage = coverage
    del phase.ranges[:]
    phase.ranges.extend(ranges(experiment.arms, coverage))
    phase.ramp_time.FromDatetime(now)


def _told(experiment: Experiment, act: Act, why: Why) -> Experiment:
    change = ExperimentChange(
        actor=why.actor,
        kind=act.value,
        description=sentence(why.description),
        evidence=sentence(why.evidence) if why.evidence != why.description else "",
    )
    change.time.FromDatetime(why.now)
    experiment.history.append(change)
    return bounded(experiment)


def bounded(experiment: Experiment) -> Experiment:
    """Let an experiment fit a value: the oldest history goes first, then evidence beside the goal's."""
    del experiment.history[: max(len(experiment.history) - HISTORY_MAX, 0)]
    while _bytes(experiment) > BYTES_MAX and len(experiment.history) > TRIMMED_AT_ONCE:
        del experiment.history[:TRIMMED_AT_ONCE]
    if _bytes(experiment) > BYTES_MAX:
        _shorten(experiment.conclusion.evidence)
    return experiment


def _shorten(evidence: ExperimentAnalysis) -> None:
    kept = [each for each in evidence.metrics if each.role != MetricAnalysis.ROLE_METRIC]
    del evidence.metrics[:]
    evidence.metrics.extend(kept)
    evidence.ClearField("looks")


def _bytes(experiment: Experiment) -> int:
    return len(canonical(experiment).encode())
