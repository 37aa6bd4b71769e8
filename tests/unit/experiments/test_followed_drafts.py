"""Drafts as the leader follows them: those that are there, and no longer than they are drafts."""

from random import Random

from controlplane.experiments.drafts import DRAFTS_MAX
from controlplane.loops.drafts import DraftsLoop
from enchain.process.clock import ManualClock
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Batch, Event, EventKind, KeyValue
from enchain.v1 import experiment_pb2
from tests.harness.outbox import START
from tests.harness.outcomes import draft


def batch(name: str, made: experiment_pb2.Experiment | None, value: bytes = b"") -> Batch:
    item = KeyValue(keys.experiment("site", name), encode(made) if made else value, 1, 1, 1, 0)
    kind = EventKind.PUT if made or value else EventKind.DELETE
    return Batch(revision=1, events=(Event(kind, item),))


def loop() -> DraftsLoop:
    return DraftsLoop(clock=ManualClock(START), rng=Random(1))


def names(known: DraftsLoop) -> list[str]:
    return [each.experiment for each in known.of("site")]


def test_a_draft_is_known_until_it_starts_or_goes() -> None:
    known = loop()
    for name in ("b", "a"):
        known.apply(batch(name, draft()))
    assert names(known) == ["a", "b"]

    started = draft()
    started.state = experiment_pb2.Experiment.STATE_RUNNING
    known.apply(batch("a", started))
    known.apply(batch("b", None))

    assert names(known) == []
    assert list(known.of("shop")) == []


def test_few_drafts_of_a_workload_have_a_pre_period_and_what_cannot_be_read_has_none() -> None:
    known = loop()
    for number in range(DRAFTS_MAX + 5):
        known.apply(batch(f"d{number:02}", draft()))
    known.apply(batch("d00", None, b"no JSON"))

    assert names(known) == [f"d{number:02}" for number in range(1, DRAFTS_MAX + 1)]


def test_arms_are_those_of_the_coverage_where_a_ramp_ends() -> None:
    made = draft()
    made.coverage = 50
    known = loop()
    known.apply(batch("a", made))

    assert [(each.start, each.end) for each in known.of("site")[0].ranges] == [(0, 2500), (5000, 7500)]
