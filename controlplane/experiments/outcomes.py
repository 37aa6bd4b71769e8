"""The reader of the outbox that learns what came of the arms of experiments. Pure.

The leader's folding loop calls it. To an arm belongs what was assigned to it at admission, and nothing is
assigned here: the entry says which. Only for the time as a draft, which is phase 0, is the arm reckoned from
the draft's hash. What was assigned by an experiment that is deleted counts nowhere, not even for one of the
same name. Whatever the order of entries, the statistics end up the same: sums are exact, and what is left out
where there is too much is decided by its name.
"""

from collections.abc import Collection, Mapping, MutableMapping, Sequence

from controlplane.experiments import tails
from controlplane.experiments.drafts import Draft, DraftsOf, place_of
from controlplane.experiments.merging import COST
from controlplane.experiments.outcome import OTHER, OUTPUTS, Outcome, counts, outcome_of
from controlplane.experiments.sums import CLUSTERS, Sums
from controlplane.profiles.sketch import Sketch
from enchain.chains.cohort import BUCKETS
from enchain.chains.decision_names import ARM, ExperimentName
from enchain.chains.errors import InvalidArgumentError
from enchain.chains.names import WORKLOAD
from enchain.v1 import experiment_pb2, operation_pb2

Statistics = experiment_pb2.ArmStatistics
Entry = operation_pb2.OutboxEntry

OUTPUTS_MAX = 8
CURRENCIES_MAX = 2
COUNTED_CURRENCIES_MAX = 8
CODES_MAX = 24
"""The first by name are kept: so it does not matter which came first."""


def no_drafts(_: str) -> Sequence[Draft]:
    """Say that no workload has drafts."""
    return ()


class OutcomeReader:
    """Adds what came of provisions to the sums of the arms that they were assigned to.

    Args:
        drafts: Answers the drafts of a workload. What is folded of those that run does not depend on it.
    """

    name = "experiments"
    kind = Statistics
    documents = "experiments"
    document_kind = experiment_pb2.Experiment

    def __init__(self, drafts: DraftsOf = no_drafts) -> None:
        self._drafts = drafts

    def subjects(self, entry: Entry) -> Collection[str]:
        """The arms that an entry adds to, as `workload/experiment.phase.arm`."""
        if not counts(entry):
            return ()
        if entry.experiment:
            assigned = _assigned(entry)
            return () if assigned is None or entry.experiment_forced else (assigned,)
        workload = entry.workload.removeprefix("workloads/")
        placed = ((draft, place_of(draft, entry)) for draft in self._drafts(workload))
        return [f"{workload}/{draft.experiment}.0.{place[0]}" for draft, place in placed if place is not None]

    def document_of(self, subject: str) -> str:
        """The path of the experiment; empty for the time as a draft, which belongs to a seed by itself."""
        workload, _, rest = subject.partition("/")
        experiment, phase, _ = rest.split(".")
        return f"{workload}/{experiment}" if int(phase) else ""

    def belongs(self, entry: Entry, document: experiment_pb2.Experiment | None) -> bool:
        """Say whether the experiment that assigned an entry is the one that stands: it has the seed.

        Where the router did not say the seed, the one of that name is taken to be it.
        """
        seed, phases = entry.experiment_seed, document.phases if document is not None else ()
        number = entry.experiment_phase
        return not seed or any((each.number, each.seed) == (number, seed) for each in phases)

    def empty(self, subject: str) -> Statistics:
        """Statistics of an arm of which nothing was counted yet."""
        workload, _, rest = subject.partition("/")
        experiment, phase, arm = rest.split(".")
        name = str(ExperimentName(workload, experiment))
        return Statistics(experiment=name, phase=int(phase), arm=arm)

    def fold(self, statistics: Statistics, entries: Sequence[Entry]) -> Statistics:
        """Add entries of one arm."""
        if statistics.phase:
            return added(statistics, [(entry, entry.bucket) for entry in entries])
        name = ExperimentName.parse(statistics.experiment)
        drafts = {draft.experiment: draft for draft in self._drafts(name.workload)}
        draft = drafts.get(name.experiment)
        if draft is None:  # it was started or deleted meanwhile
            return added(statistics, [])
        if draft.seed != statistics.seed:
            statistics = Statistics(experiment=str(name), arm=statistics.arm, seed=draft.seed)
        places = [(entry, place_of(draft, entry)) for entry in entries]
        return added(statistics, [(entry, place[1]) for entry, place in places if place is not None])


def added(statistics: Statistics, entries: Sequence[tuple[Entry, int]]) -> Statistics:
    """Answer statistics of an arm with entries added, each with its bucket; what was given stays as it is."""
    folded = Statistics()
    folded.CopyFrom(statistics)
    outcomes = [(outcome_of(entry), number) for entry, number in entries]
    folded.operations += len(outcomes)
    folded.cancelled += sum(outcome.cancelled for outcome, _ in outcomes)
    _add_values(folded, outcomes)
    _add_times(
        folded, [(outcome.seconds, number) for outcome, number in outcomes if outcome.seconds is not None]
    )
    for outcome, _ in outcomes:
        if outcome.code:
            folded.failures[outcome.code] += 1
    _cap_failures(folded.failures)
    folded.buckets_seen = _seen(folded.buckets_seen, [number for _, number in entries])
    _tell_times(folded, [entry for entry, _ in entries])
    return folded


def _assigned(entry: Entry) -> str | None:
    """The subject of what an entry was assigned to; None where it says nothing that can be."""
    try:
        name = ExperimentName.parse(entry.experiment)
    except InvalidArgumentError:
        return None
    sound = (
        entry.workload == f"workloads/{name.workload}"
        and entry.experiment_phase > 0
        and 0 <= entry.bucket < BUCKETS
        and ARM.pattern.fullmatch(entry.arm)
        and WORKLOAD.pattern.fullmatch(name.workload)
    )
    return f"{name.workload}/{name.experiment}.{entry.experiment_phase}.{entry.arm}" if sound else None


def _add_values(folded: Statistics, outcomes: Sequence[tuple[Outcome, int]]) -> None:
    sums: dict[str, Sums] = {}
    for outcome, number in outcomes:
        for metric, value in outcome.values.items():
            if metric not in sums:
                sums[metric] = Sums.of(folded.metrics[metric])
            sums[metric].add(value, number % CLUSTERS)
            if metric.startswith(f"{COST}."):
                folded.currencies[metric.removeprefix(f"{COST}.")] += 1
    for metric, each in sums.items():
        folded.metrics[metric].CopyFrom(each.message())
    _cap(folded.metrics, OUTPUTS, OUTPUTS_MAX)
    _cap(folded.metrics, f"{COST}.", CURRENCIES_MAX)
    _cap(folded.currencies, "", COUNTED_CURRENCIES_MAX)


def _cap(kept: MutableMapping[str, object] | Mapping[str, object], prefix: str, most: int) -> None:
    """Keep the first by name of those that begin so."""
    for name in sorted(name for name in kept if name.startswith(prefix))[most:]:
        del kept[name]  # type: ignore[union-attr]  # maps of messages are none that one may assign to


def _cap_failures(failures: MutableMapping[str, int]) -> None:
    for code in sorted(code for code in failures if code != OTHER)[CODES_MAX:]:
        failures[OTHER] = failures.get(OTHER, 0) + failures.pop(code)


def _add_times(folded: Statistics, times: Sequence[tuple[float, int]]) -> None:
    """Add durations, each with its bucket."""
    sketch = Sketch.of(folded.times)
    for seconds, _ in times:
        sketch.add(seconds)
    folded.times.CopyFrom(sketch.message())
    tails.add(folded.tails, times)


def _seen(kept: bytes, numbers: Sequence[int]) -> bytes:
    seen = bytearray(kept.ljust(BUCKETS // 8, b"\0")[: BUCKETS // 8])
    for number in numbers:
        seen[number // 8] |= 1 << number % 8
    return bytes(seen)


def _tell_times(folded: Statistics, entries: Sequence[Entry]) -> None:
    """Say when the first and the last of them ended."""
    times = [(entry.end_time if entry.HasField("end_time") else entry.create_time) for entry in entries]
    known = [folded.first_time, folded.last_time] if folded.HasField("first_time") else []
    told = sorted(time.ToNanoseconds() for time in (*times, *known))
    if told:
        folded.first_time.FromNanoseconds(told[0])
        folded.last_time.FromNanoseconds(told[-1])
