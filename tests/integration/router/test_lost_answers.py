"""A store that loses answers or goes away in the middle: settled by reading, nothing done twice or lost."""

import pytest

from enchain.chains.errors import UnavailableError
from enchain.state import keys
from enchain.state.faults import CutStore, DroppingStore, LosingStore
from enchain.v1 import operation_pb2
from tests.harness.routers import (
    Site,
    provision_request,
    refusal,
    running_router,
    shown,
    under,
    until,
)
from tests.harness.waiting import eventually

Operation = operation_pb2.Operation


@pytest.mark.parametrize("kind", [LosingStore, DroppingStore])
@pytest.mark.parametrize("skipped", [0, 1, 2, 3])
async def test_a_transaction_without_an_answer_is_settled_by_reading(
    site: Site, kind: type[LosingStore], skipped: int
) -> None:
    """Every transaction of an operation loses its answer, one after the other."""
    flaky = kind(site.store)
    flaky.about = keys.OPERATIONS  # presence is written whenever it likes
    site.terraform.gate.clear()
    site.process.gate.clear()
    async with running_router(flaky) as router:

        async def announced() -> bool:
            return await under(site.store, keys.ROUTERS) != []

        await eventually(announced)
        if skipped == 0:
            flaky.losing = 1
        if skipped == 0 and kind is DroppingStore:
            error = await refusal(router.stub.Provision(provision_request()))
            assert error.reason == "ADMISSION_UNANSWERED"
            assert error.retry_after is not None
        stream = router.stub.Provision(provision_request())
        await until(stream, "admitted")
        if skipped == 1:
            flaky.losing = 1
        await until(stream, "step_progress")
        if skipped in {2, 3}:
            flaky.losing = skipped - 1
        site.terraform.gate.set()
        site.process.gate.set()
        events = await shown(stream)

        assert events[-1].ended.state == Operation.STATE_SUCCEEDED
        assert sum(site.terraform.made.values()) == sum(site.process.made.values()) == 1
        assert await under(site.store, keys.ACTIVE) == []


async def test_a_running_tool_goes_on_while_the_store_is_away_and_nothing_is_lost(site: Site) -> None:
    cut = CutStore(site.store)
    site.terraform.gate.clear()
    async with running_router(cut) as router:
        stream = router.stub.Provision(provision_request())
        await until(stream, "step_progress")
        cut.cut()
        site.terraform.gate.set()
        refused = await refusal(router.stub.Provision(provision_request("req-2", "two")))
        cut.mend()
        events = await shown(stream)

        assert isinstance(refused, UnavailableError)
        assert events[-1].ended.state == Operation.STATE_SUCCEEDED
        assert sum(site.terraform.made.values()) == 1
