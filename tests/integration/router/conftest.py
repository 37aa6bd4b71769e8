"""A site's chain in a real etcd, two scopes of engines with two instances each, and routers on demand."""

from collections.abc import AsyncIterator

import pytest

from enchain.state.store import Store
from tests.harness.gated_engines import EngineScope, GatedInstance
from tests.harness.routers import Site, put_chain, site_chain


@pytest.fixture
async def site(store: Store) -> AsyncIterator[Site]:
    """The workload `site` on a chain of two engines."""
    terraform, process = EngineScope("terraform", "tf-scope"), EngineScope("process", "host-a")
    instances = [
        GatedInstance(scope, f"{scope.engine}-{number}")
        for scope in (terraform, process)
        for number in (1, 2)
    ]
    for instance in instances:
        await instance.start(store)
    yield Site(store, terraform, process, instances, await put_chain(store, site_chain()))
    for instance in instances:
        await instance.kill(store)
    for scope in (terraform, process):
        await scope.close()
