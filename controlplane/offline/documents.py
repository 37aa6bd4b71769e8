"""What people write for an offline recommendation: a workload, its engines, and what they expect of these.

`controlplane.offline.__main__` calls it. Before anything is installed nothing was measured, so what an engine
does at a step must be stated, in documents of a kind of their own; nothing is made up in its place.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from enchain.chains.errors import InvalidArgumentError
from enchain.chains.profiles import profile_faults
from enchain.cli.fields import Field
from enchain.cli.kinds import parse
from enchain.cli.yamlfile import Document, DocumentError, read
from enchain.v1 import engine_pb2, profile_pb2, workload_pb2

EXPECTATION = "Expectation"

WEIGHT = 1000.0
"""What people state counts as so many measurements: nothing is explored on paper."""

CAPACITY = 4
"""Steps that an instance runs at once, where nothing is said: what engine servers do by themselves."""

CHAINS_MAX = 64


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an engine is expected to do.

    Attributes:
        engine: Its id.
        steps: At which steps; empty: at all.
        profile: Durations, success and start-up time.
        capacity: Steps that an instance runs at once.
    """

    engine: str
    steps: frozenset[str]
    profile: profile_pb2.PerformanceProfile
    capacity: int = CAPACITY


@dataclass(frozen=True, slots=True)
class Written:
    """All that a file says."""

    workload: workload_pb2.Workload
    engines: dict[str, engine_pb2.Engine]
    expectations: tuple[Expectation, ...]


def load(file: Path) -> Written:
    """Read a file.

    Raises:
        InvalidArgumentError: Something in it is wrong, or it has not exactly one workload.
    """
    try:
        documents = read(file, file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(file, 1, "", f"cannot be read: {error}") from error
    expected = [document for document in documents if document.body.get("kind") == EXPECTATION]
    messages = [parse(document).message for document in documents if document not in expected]
    workloads = [message for message in messages if isinstance(message, workload_pb2.Workload)]
    if len(workloads) != 1:
        raise InvalidArgumentError(
            f"{file} has {len(workloads)} workloads, and planning takes one",
            reason="BAD_DOCUMENT",
            remedy="Give a file with one document `kind: Workload`, and those of its engines.",
            metadata={"file": str(file)},
        )
    if faults := profile_faults(workloads[0]):
        fault = faults[0]
        told = f"{file}: {fault.field}: {fault.description}"
        raise InvalidArgumentError(told, reason=fault.reason, violations=faults)
    engines = {
        message.name.rpartition("/")[2]: message
        for message in messages
        if isinstance(message, engine_pb2.Engine)
    }
    return Written(workloads[0], engines, tuple(_expectation(document) for document in expected))


def _expectation(document: Document) -> Expectation:
    root = Field(document, (), document.body)
    root.only("kind", "engine", "steps", "p50", "p95", "success", "cold_start", "cost", "capacity")
    profile = profile_pb2.PerformanceProfile(engine=root.child("engine").required().text())
    measured = profile.provision
    measured.count, measured.weight = int(WEIGHT), WEIGHT
    success = root.child("success")
    measured.success = 1.0 if success.value is None else success.share()
    measured.attempts = 1.0
    measured.cost = root.child("cost").number()
    middle = root.child("p50").required().duration()
    upper = root.child("p95").required().duration()
    assert middle is not None
    assert upper is not None
    if upper.ToNanoseconds() < middle.ToNanoseconds() or middle.ToNanoseconds() <= 0:
        root.child("p95").fail("is to be at least p50, and p50 more than 0 s", "Write p50: 2s and p95: 5s.")
    measured.duration.p50.CopyFrom(middle)
    measured.duration.p95.CopyFrom(upper)
    _spread(measured.duration)
    if (start := root.child("cold_start").duration()) is not None:
        profile.cold_start.p95.CopyFrom(start)
    return Expectation(
        profile.engine,
        frozenset(root.child("steps").texts()),
        profile,
        root.child("capacity").integer(CAPACITY),
    )


def _spread(duration: profile_pb2.DurationProfile) -> None:
    """Fill in mean and variation of a log-normal duration with these two quantiles."""
    middle = duration.p50.ToNanoseconds() / 1e9
    sigma = math.log(duration.p95.ToNanoseconds() / duration.p50.ToNanoseconds()) / 1.6449
    duration.mean.FromNanoseconds(round(middle * math.exp(sigma**2 / 2) * 1e9))
    duration.p99.FromNanoseconds(round(middle * math.exp(2.3263 * sigma) * 1e9))
    duration.variation = math.sqrt(math.exp(sigma**2) - 1)


@dataclass(frozen=True, slots=True)
class Choice:
    """One engine for one or several consecutive steps."""

    engine: str
    version: str
    steps: tuple[str, ...]


def ways(workload: workload_pb2.Workload) -> list[tuple[Choice, ...]]:
    """Answer every way to do all steps, the first implementations first.

    Raises:
        InvalidArgumentError: There are too many, or none.
    """
    found = []
    for way in _ways(workload.steps, 0):
        found.append(way)
        if len(found) > CHAINS_MAX:
            raise InvalidArgumentError(
                f"there are more than {CHAINS_MAX} ways to do the steps of {workload.name}",
                reason="TOO_MANY_CHAINS",
                remedy="Leave out implementations that you would not take.",
            )
    if not found:
        raise InvalidArgumentError(
            f"{workload.name} has no way to do all its steps",
            reason="NO_CHAIN",
            remedy="Give each step an implementation.",
        )
    return found


def _ways(steps: Sequence[workload_pb2.Step], first: int) -> Iterator[tuple[Choice, ...]]:
    if first == len(steps):
        yield ()
        return
    for implementation in steps[first].implementations:
        covered = tuple(implementation.covers) or (steps[first].name,)
        if covered != tuple(step.name for step in steps[first : first + len(covered)]):
            continue
        choice = Choice(implementation.engine, implementation.version, covered)
        for rest in _ways(steps, first + len(covered)):
            yield (choice, *rest)
