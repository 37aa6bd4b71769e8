"""Outcomes of experiments that were deleted count nowhere, on real etcd: nor for one that took the name."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from controlplane.catalog.experiment_statistics import ExperimentStatistics
from controlplane.experiments.outcomes import OutcomeReader
from controlplane.loops.outbox import OutboxLoop
from enchain.state import keys
from enchain.state.store import Delete, Put, Store, Txn, put
from tests.harness.experiments import Experiments, name
from tests.harness.fates import MeddledStore
from tests.harness.metering import recorded
from tests.harness.outbox import START, Entry, HurriedClock, folds, waiting, write
from tests.harness.outcomes import assigned


def outcomes(experiment: Any, count: int, phase: int = 1) -> Sequence[Entry]:
    """What provisions leave that an experiment assigned to its control."""
    seed = experiment.phases[phase - 1].seed
    return [assigned(n, arm="default", name=name(), phase=phase, seed=seed) for n in range(count)]


async def fold(store: Store, entries: Sequence[Entry]) -> None:
    await write(store, entries)
    clock = HurriedClock(START + timedelta(days=1))
    await OutboxLoop([OutcomeReader()], clock=clock, rng=Random(1)).sweep(store)
    assert not await waiting(store)


async def counted(store: Store, experiment: Any, phase: int = 1) -> int:
    measured = await ExperimentStatistics(store).measured(experiment, phase)
    return measured.arms["default"].operations


async def again(ab: Experiments) -> Any:
    """Conclude, delete, and start another one of the same name."""
    await ab.conclude()
    await ab.delete()
    return await ab.running()


def late() -> float:
    return recorded("enchain.folding.late", reader="experiments")


async def test_late_outcomes_of_a_deleted_experiment_do_not_count_for_one_of_its_name(
    ab: Experiments,
) -> None:
    store, before = ab.plane.store, late()
    first = await ab.running()
    await fold(store, outcomes(first, 3))
    assert await counted(store, first) == 3

    second = await again(ab)
    await fold(store, [*outcomes(first, 7), *outcomes(second, 5)])

    assert await counted(store, second) == 5
    assert late() == before + 7


async def test_outcomes_of_an_earlier_phase_count_for_that_phase(ab: Experiments) -> None:
    store, before = ab.plane.store, late()
    await ab.running()
    made = await ab.weigh({"default": 10, "via-files": 90})

    await fold(store, [*outcomes(made, 4, phase=1), *outcomes(made, 6, phase=2)])

    assert (await counted(store, made, 1), await counted(store, made, 2)) == (4, 6)
    assert late() == before


async def test_late_outcomes_leave_no_statistics_behind(ab: Experiments) -> None:
    store, before = ab.plane.store, late()
    made = await ab.running()
    await ab.conclude()
    await ab.delete()

    await fold(store, outcomes(made, 7))

    assert not (await store.list(keys.experiment_statistics_of("site"))).items
    assert late() == before + 7


@pytest.mark.parametrize("recreated", [False, True])
async def test_what_is_deleted_amid_folding_gets_no_outcome(ab: Experiments, recreated: bool) -> None:
    store, before = ab.plane.store, late()
    made = await ab.running()
    await ab.conclude()

    async def delete() -> None:
        await ab.delete()
        if recreated:
            await ab.running()

    await fold(MeddledStore(store, delete, folds), outcomes(made, 7))

    assert not (await store.list(keys.experiment_statistics_of("site"))).items
    assert late() == before + 7


async def test_outcomes_whose_router_did_not_say_the_seed_count_by_the_name(ab: Experiments) -> None:
    made = await ab.running()

    await fold(ab.plane.store, [assigned(n, arm="default", name=name()) for n in range(3)])

    assert await counted(ab.plane.store, made) == 3


async def test_outcomes_count_while_their_experiment_cannot_be_read(ab: Experiments) -> None:
    store, before = ab.plane.store, late()
    made = await ab.running()
    key = keys.experiment("site", "ab")
    item = await store.get(key)
    assert item is not None
    await put(store, [Put(key, b"oops")])

    await fold(store, outcomes(made, 3))
    await put(store, [Put(key, item.value)])

    assert await counted(store, made) == 3
    assert late() == before


async def test_statistics_that_an_operator_deletes_begin_anew(ab: Experiments) -> None:
    store = ab.plane.store
    made = await ab.running()
    await fold(store, outcomes(made, 3))

    await store.commit(Txn(success=(Delete(keys.experiment_statistics_of("site"), prefix=True),)))
    await fold(store, outcomes(made, 4))

    assert await counted(store, made) == 4
