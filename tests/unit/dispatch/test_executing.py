"""Which claims a router begins to run, and that everything it began ends with the lease."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from dataplane.dispatch.executing import Executor
from dataplane.journal.ownership import DisplacedError, Owned
from dataplane.router import Router
from dataplane.routing import events
from dataplane.settings import RouterSettings
from enchain.chains.names import OperationName
from enchain.process.clock import ManualClock
from enchain.state.memory import MemoryStore
from tests.harness.pipelines import chain_of, provision_of

RUN = provision_of(chain_of())
NAME = OperationName.parse(RUN.operation.name)


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    """A router that serves nobody, with room for one operation."""
    clock = ManualClock()
    settings = RouterSettings(running_max=1)
    made = Router(settings, MemoryStore(clock=clock), clock=clock, rng=Random(1), new_ulid=lambda: "01")
    await made.lease.start()
    yield made
    await made.executor.displace_all("the test is over")
    await made.lease.stop(revoke=False)


def start(router: Router, *, token: int, lease: int) -> Executor:
    owned = Owned(NAME, token=token, record_revision=token, lease=lease)
    router.executor.start(owned, RUN, epoch=1, first=events.Admitted())
    return router.executor


async def test_a_claim_under_a_lease_that_was_replaced_is_not_run(router: Router) -> None:
    before = router.lease.id
    await router.lease.stop(revoke=False)
    await router.lease.start()

    with pytest.raises(DisplacedError, match="lost the lease"):
        start(router, token=5, lease=before)

    assert not router.executor.runs(str(NAME))


async def test_a_claim_that_was_taken_up_again_is_not_run(router: Router) -> None:
    start(router, token=5, lease=router.lease.id)

    with pytest.raises(DisplacedError, match="again meanwhile"):
        start(router, token=4, lease=router.lease.id)

    assert router.executor.running[str(NAME)].owned.token == 5


async def test_two_claims_of_one_operation_both_end_with_the_lease(router: Router) -> None:
    start(router, token=5, lease=router.lease.id)
    first = router.executor.running[str(NAME)]
    start(router, token=6, lease=router.lease.id)
    assert router.executor.running[str(NAME)] is not first

    await router.executor.displace_all("the lease is lost")

    assert not router.executor.runs(str(NAME))
    assert f"run {NAME}" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_what_is_cancelled_before_its_first_step_takes_no_room(router: Router) -> None:
    assert not start(router, token=5, lease=router.lease.id).has_room

    await router.executor.displace_all("the lease is lost")

    assert router.executor.has_room
