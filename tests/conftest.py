"""Fixtures that every test may ask for: a real etcd, a store on it, and the memory store.

`etcd` is one server for the whole run and is started by the first test that asks; a test that kills, freezes
or compacts starts its own with `LocalEtcd`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import settings

from enchain.state.etcd import open_store
from enchain.state.memory import MemoryStore
from enchain.state.server import LocalEtcd
from enchain.state.store import Delete, Store, Txn

# How long an example takes says nothing about the code while another worker has the processor.
settings.register_profile("enchain", deadline=None, print_blob=True)
settings.load_profile("enchain")


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real etcd server that all tests share."""
    server = LocalEtcd(tmp_path_factory.mktemp("etcd") / "data")
    # A loop of its own: tests have one each, and the server outlives them.
    with asyncio.Runner() as runner:
        address = runner.run(server.start())
    yield address
    server.kill()


@pytest.fixture
async def store(etcd: str) -> AsyncIterator[Store]:
    """Store on the shared etcd, with nothing under `/enchain/`."""
    store = await open_store([etcd])
    await store.commit(Txn(success=(Delete("/enchain/", prefix=True),)))
    yield store
    await store.close()


@pytest.fixture
async def memory_store() -> AsyncIterator[MemoryStore]:
    """Store in memory, empty."""
    store = MemoryStore()
    yield store
    await store.close()
