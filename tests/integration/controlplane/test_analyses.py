"""Analyses on real etcd: outcomes are folded, put together with what was known before, and answered."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from random import Random

import pytest

from controlplane.catalog.analyses import AnalysisCatalog
from controlplane.catalog.experiment_statistics import ExperimentStatistics
from controlplane.experiments.drafts import draft_of
from controlplane.experiments.looks import added
from controlplane.experiments.outcomes import OutcomeReader
from controlplane.loops.outbox import OutboxLoop
from enchain.chains.decision_names import ExperimentName
from enchain.chains.errors import NotFoundError
from enchain.process.clock import ManualClock
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Put, Store, put
from enchain.v1 import experiment_pb2, recommendation_pb2
from tests.harness.outbox import START, Entry, entry, write
from tests.harness.outcomes import NAME, assigned, draft

NOW = START + timedelta(days=1)
NAMED = ExperimentName.parse(NAME)
RECOMMENDATION = "workloads/site/recommendations/01K0000000000000000000000A"


def running() -> experiment_pb2.Experiment:
    made = draft(unit="tenant")
    made.state = experiment_pb2.Experiment.STATE_RUNNING
    made.goal.metric, made.recommendation = "time", RECOMMENDATION
    made.phases[0].start_time.FromDatetime(START)
    made.start_time.FromDatetime(START)
    return made


async def fold(store: Store, reader: OutcomeReader, entries: Sequence[Entry]) -> None:
    await write(store, entries)
    await OutboxLoop([reader], clock=ManualClock(NOW), rng=Random(1)).sweep(store)


async def test_an_analysis_is_put_together_of_what_was_folded(store: Store) -> None:
    random, made = Random(3), running()
    known = draft_of("faster", draft(unit="tenant"))
    assert known is not None
    early = [entry(n) for n in range(30)]
    for n, each in enumerate(early):
        each.tenant = f"tenant-{n}"
    await fold(store, OutcomeReader(lambda _: (known,)), early)
    outcomes = [
        assigned(n, arm=arm, seconds=random.lognormvariate(mean, 0.3), cost=1.0)
        for n in range(3000)
        for arm, mean in (("control", 2.0), ("quick", 1.5))
    ]
    await fold(store, OutcomeReader(), outcomes)
    said = recommendation_pb2.Recommendation(name=RECOMMENDATION)
    said.chosen.chain, said.chosen.success = made.arms[1].chain, 0.5
    recommendation = keys.recommendation("site", RECOMMENDATION.rpartition("/")[2])
    await put(store, [
        Put(keys.experiment("site", "faster"), encode(made)), Put(recommendation, encode(said))
    ])  # fmt: skip

    measured = await ExperimentStatistics(store).measured(made)
    analysis = await AnalysisCatalog(store, ManualClock(NOW)).analysis(NAMED)

    assert {arm: each.operations for arm, each in measured.arms.items()} == {"control": 3000, "quick": 3000}
    assert sum(each.operations for each in measured.before.values()) == 30
    assert (analysis.verdict, analysis.arm) == (experiment_pb2.ExperimentAnalysis.VERDICT_BETTER, "quick")
    assert [(check.arm, check.metric, check.held) for check in analysis.predictions] == [
        ("quick", "success", False)
    ]


async def test_looks_and_older_phases_are_answered_where_they_are_asked_for(store: Store) -> None:
    made = running()
    made.phases.add().CopyFrom(made.phases[0])
    made.phases[1].number, made.phases[1].seed = 2, "second"
    await fold(store, OutcomeReader(), [assigned(1), assigned(2, phase=2), assigned(3, phase=2)])
    await put(store, [Put(keys.experiment("site", "faster"), encode(made))])
    catalog = AnalysisCatalog(store, ManualClock(NOW))
    looks = experiment_pb2.ExperimentLooks()
    for phase in (1, 2):
        looks = added(looks, await catalog.analysis(NAMED, phase))
    await put(store, [Put(keys.experiment_looks("site", "faster"), encode(looks))])

    first, newest = await asyncio.gather(catalog.analysis(NAMED, 1), catalog.analysis(NAMED, looks=True))

    assert (first.phase, first.metrics[0].operations, len(first.looks)) == (1, 1, 0)
    assert (newest.phase, newest.metrics[0].operations) == (2, 2)
    assert [look.phase for look in newest.looks] == [2]
    assert (await ExperimentStatistics(store).measured(made)).before == {}


async def test_what_is_not_there_is_said(store: Store) -> None:
    catalog = AnalysisCatalog(store, ManualClock(NOW))
    with pytest.raises(NotFoundError, match=r"there is no workloads/site/experiments/faster"):
        await catalog.analysis(NAMED)

    await put(store, [Put(keys.experiment("site", "faster"), encode(running()))])
    with pytest.raises(NotFoundError, match="no phase 7"):
        await catalog.analysis(NAMED, 7)
