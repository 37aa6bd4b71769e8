"""One switch while 50 operations run and new requests arrive: none fails, and none sees two chains."""

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

from enchain.state.store import Store
from enchain.v1 import provisioning_pb2
from tests.harness.switching import Board, Ended, Switch, board
from tests.harness.waiting import eventually

IN_FLIGHT = 50


async def applied(site: Board, router: int, chain: str) -> float:
    """Wait until a router's own table leads to a chain; answer when it did."""
    request = provisioning_pb2.ExplainRouteRequest(workload="workloads/site", key="x")

    async def leads() -> float:
        answer = await site.routers[router].stub.ExplainRoute(request)
        return time.perf_counter() if answer.chain == chain else 0.0

    return await eventually(leads)


def timeline(made: Switch, since: float) -> str:
    """Write a switch's phases, in milliseconds since it was asked for."""
    lines = []
    for phase in made.phases:
        at = phase.start_time.ToMilliseconds() - since * 1000
        lines.append(f"{at:8.0f} ms  {Switch.State.Name(phase.state)[6:]:<11} {phase.description}")
    return "\n".join(lines)


async def all_run(site: Board) -> bool:
    return await site.active(site.old) >= IN_FLIGHT and len(site.before.works) >= IN_FLIGHT


async def check_made(site: Board, ended: list[Ended]) -> None:
    """Every resource was made by the engines of the one chain that it was admitted on."""
    engines = {site.old: ["terraform", "process"], site.new: ["ansible", "process"]}
    for each in ended:
        resource = await site.record(each.resource)
        assert resource.chain == each.chain
        assert [step.engine for step in resource.steps] == engines[each.chain]


async def test_a_switch_under_load_fails_nobody_and_shows_nobody_two_chains(
    store: Store, tmp_path: Path
) -> None:
    async with board(store, tmp_path) as site:
        site.before.gate.clear()
        old = [asyncio.create_task(site.provision(f"old-{n}", n), name=f"old {n}") for n in range(IN_FLIGHT)]
        await eventually(lambda: all_run(site))
        stop = asyncio.Event()
        coming = asyncio.create_task(site.arriving(stop), name="new requests")

        wall, began = time.time(), time.perf_counter()
        made = await site.switch(reason="under load")
        committed = time.perf_counter()
        took = await asyncio.gather(*(applied(site, router, site.new) for router in range(2)))
        draining = await site.until(made.name, Switch.STATE_DRAINING)
        await eventually(lambda: len(site.after.standing) >= 5)
        still = await site.active(site.old)
        site.before.gate.set()
        ended = await asyncio.gather(*old)
        done = await site.until(made.name)
        stop.set()
        new = await coming

        late = ", ".join(f"{1000 * (each - committed):.1f}" for each in took)
        sys.stdout.write(f"\ncommitted after {1000 * (committed - began):.1f} ms, applied {late} ms later\n")
        sys.stdout.write(f"{timeline(done, wall)}\n{len(ended)} in flight, {len(new)} arrived\n")
        assert draining.phases[-1].description == "2 routers follow"
        assert still == IN_FLIGHT + sum(each.chain == site.old for each in new)
        assert Counter(each.state for each in [*ended, *new]) == {"SUCCEEDED": len(ended) + len(new)}
        assert {each.chain for each in ended} == {site.old}
        assert new[-1].chain == site.new
        await check_made(site, [*ended, *new])
        assert done.state == Switch.STATE_DONE
        assert done.impact.operations_running >= IN_FLIGHT
        assert max(site.before.made.values()) == 1, "a step was done twice"
