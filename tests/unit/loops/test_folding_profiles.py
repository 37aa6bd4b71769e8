"""Request rates and profiles are folded in one transaction, exactly once, whatever becomes of it."""

import asyncio
import contextlib
from datetime import timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.demand.request_rate import RequestRateReader
from controlplane.loops.folding import ENTRIES_MAX
from controlplane.loops.outbox import OutboxLoop
from controlplane.profiles.reader import ProfileReader
from controlplane.profiles.statistics import Statistics
from enchain.chains.errors import UnavailableError
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.memory import MemoryStore
from enchain.state.store import Put, Store, put
from tests.harness.fates import CrashError, Fate, FatefulStore
from tests.harness.outbox import START, Entry, HurriedClock, folds, learned, waiting, write
from tests.harness.profiles import CLEAN, ended, step

RATES, PROFILES = RequestRateReader(), ProfileReader()
CONFIGURE, SERVE = "site/configure.terraform@1.15.0", "site/serve.process@0.1.0"


def folding() -> OutboxLoop:
    """A loop for which no time passes."""
    return OutboxLoop((RATES, PROFILES), clock=HurriedClock(START + timedelta(days=90)), rng=Random(0))


def operation(hour: int, seconds: float) -> Entry:
    """One that configured and served."""
    served = step(seconds, name="serve", engine="process", version="0.1.0", outcome=CLEAN, code="NO_PORT")
    return ended(step(seconds), served, hour=hour)


async def profile(store: Store, subject: str) -> Statistics:
    """The statistics of a profile."""
    item = await store.get(keys.learned("profiles", subject))
    return decode(Statistics, item.value, key=item.key) if item is not None else Statistics()


@settings(max_examples=60, deadline=None)
@given(
    operations=st.lists(st.tuples(st.integers(0, 1500), st.floats(0, 900)), min_size=1, max_size=110),
    fates=st.lists(st.sampled_from(Fate), max_size=8),
)
def test_both_count_every_entry_once_whatever_becomes_of_the_transactions(
    operations: list[tuple[int, float]], fates: list[Fate]
) -> None:
    entries = [operation(hour, seconds) for hour, seconds in operations]

    async def check() -> None:
        memory = MemoryStore()
        await write(memory, entries)
        store = FatefulStore(memory, fates, folds)
        while await waiting(memory):
            with contextlib.suppress(CrashError, UnavailableError):
                # Whoever dies is followed by another one, that knows nothing.
                await folding().sweep(store)
        await store.arrive()

        assert (await learned(memory)).requests == len(entries)
        for subject in (CONFIGURE, SERVE):
            assert await profile(memory, subject) == PROFILES.fold(PROFILES.empty(subject), entries)
        await memory.close()

    asyncio.run(check())


async def test_entries_that_add_to_the_same_statistics_share_transactions(memory_store: MemoryStore) -> None:
    workloads = [f"workload-{number}" for number in range(40)]
    await write(memory_store, [ended(step(), workload=name) for _ in range(5) for name in workloads])
    before = (await memory_store.status()).revision

    await folding().sweep(memory_store)

    # 200 entries for 80 statistics, of which a transaction takes 32.
    assert 200 / ENTRIES_MAX <= (await memory_store.status()).revision - before <= 5


async def test_statistics_under_a_wrong_key_cost_nobody_an_entry(memory_store: MemoryStore) -> None:
    other = PROFILES.empty(SERVE)
    await put(memory_store, [Put(keys.learned("profiles", CONFIGURE), encode(other))])
    await write(memory_store, [ended(step()), ended(step())])

    await folding().sweep(memory_store)

    refused = (await memory_store.list(keys.REFUSED)).items
    assert [b"OTHER_PROFILE" in item.value for item in refused] == [True, True]
    assert await profile(memory_store, CONFIGURE) == other
