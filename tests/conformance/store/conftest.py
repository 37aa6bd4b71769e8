"""One suite for every `Store`: run over the memory store and over a real etcd.

Whatever a caller may rely on stands here; what only etcd can show (crashes, cut connections, users) is in
`tests/integration/state`.
"""

from collections.abc import AsyncIterator

import pytest

from enchain.state.etcd import open_store
from enchain.state.memory import MemoryStore
from enchain.state.store import Delete, Txn
from tests.harness.stores import ROOT, Aging, Subject


@pytest.fixture
def aging() -> Aging:
    """The clock of the memory store."""
    return Aging()


@pytest.fixture(params=["memory", "etcd"])
async def subject(request: pytest.FixtureRequest, etcd: str, aging: Aging) -> AsyncIterator[Subject]:
    """The store under test, with nothing under the root."""
    if request.param == "memory":
        store: Subject = MemoryStore(clock=aging.clock)
    else:
        store = await open_store([etcd])
        await store.commit(Txn(success=(Delete(ROOT, prefix=True),)))
    yield store
    await store.close()
