"""What a route explores gets its part of the requests on real routers, and keeps its resources afterwards."""

import asyncio
from collections import Counter
from pathlib import Path

from controlplane.catalog.audit import Caller
from controlplane.catalog.changes import stamper
from controlplane.catalog.exploration import ExploringRoutes
from enchain.process.clock import SystemClock
from enchain.state.store import Store
from enchain.v1 import provisioning_pb2
from tests.harness.routers import deprovision_request, shown
from tests.harness.switching import Board, Ended, Switch, board
from tests.harness.waiting import eventually

CALLER = Caller("enchain.v1.Test/Test", reason="to measure it")
KEYS = 24


async def provisions(site: Board, name: str) -> list[Ended]:
    begun = [site.provision(f"{name}-{number}", number) for number in range(KEYS)]
    return list(await asyncio.gather(*begun))


async def expected(site: Board, name: str) -> Counter[str]:
    """What routers say of themselves where keys go."""
    answers = [
        await site.routers[0].stub.ExplainRoute(
            provisioning_pb2.ExplainRouteRequest(workload="workloads/site", key=f"{name}-{number}")
        )
        for number in range(KEYS)
    ]
    return Counter(answer.chain for answer in answers)


async def test_a_quarter_of_the_requests_tries_a_chain_until_that_ends(store: Store, tmp_path: Path) -> None:
    async with board(store, tmp_path) as site:
        routes = ExploringRoutes(store, stamper(SystemClock()))

        begun = await routes.explore("site", {site.new: 0.25}, CALLER)
        await site.until(begun, Switch.STATE_DONE)
        during = await provisions(site, "during")
        told = await expected(site, "during")
        over = await routes.explore("site", {}, CALLER)
        done = await site.until(over, Switch.STATE_DONE)
        after = await provisions(site, "after")

        assert {each.state for each in [*during, *after]} == {"SUCCEEDED"}
        assert Counter(each.chain for each in during) == told
        assert 0 < told[site.new] < KEYS / 2
        assert {each.chain for each in after} == {site.old}
        assert not done.rollback_reason
        tried = next(each for each in during if each.chain == site.new)
        assert (await site.record(tried.resource)).chain == site.new
        stub = site.routers[0].stub
        await eventually(lambda: tried.resource and bool(site.after.standing))
        events = await shown(stub.Deprovision(deprovision_request("gone", tried.resource)))
        assert events[0].admitted.chain == site.new
