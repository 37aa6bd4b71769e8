"""`python -m benchmarks.chaos [--seed N] [--operations 200] [--faults 66]`: prints what it counted.

Ends with 1 where anything is not as promised. `make chaos` runs it. A seed fixes the stories, and the kinds,
roles and lengths of the faults; which process is hit depends on what runs just then, and is printed.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.chaos import experiment, outage, standing
from benchmarks.chaos.faulting import Faults
from benchmarks.chaos.house import House, open_house
from benchmarks.chaos.plan import Plan, make_plan
from benchmarks.chaos.report import summary, table
from benchmarks.chaos.telling import Telling
from benchmarks.chaos.verdict import Account, judge
from benchmarks.chaos.witness import read_witness
from enchain.chains.errors import EnchainError
from enchain.client import Client
from enchain.v1 import operation_pb2

SCALES = {"full": (200, 66, 3), "small": (24, 9, 2)}
"""Operations, faults, and instances of an engine."""

QUIET_SECONDS = 120.0
QUIET_LOOKS = 0.5


async def play(plan: Plan, data: Path, instances: int) -> dict[str, Any]:
    """Play a plan in a folder of its own; answer what was found."""
    began = time.monotonic()
    async with open_house(data, instances) as house:
        started = time.monotonic()
        tell(f"started in {started - began:.0f} s; {plan.operations} operations, {len(plan.faults)} faults")
        faults = Faults(house, plan)
        telling = Telling(house, plan, faults.share_done)
        watching = asyncio.create_task(_say(faults, telling), name="say how far it is")
        await asyncio.gather(telling.tell_all(), faults.do_all(telling.share_begun))
        watching.cancel()
        played = time.monotonic()
        tell("all stories are told; waiting until nothing runs")
        await _until_quiet(house)
        got = await _get_all(house, [told.operation for told in telling.told if told.operation])
        ended = house.ended_by_themselves()
        account = Account(
            telling.told,
            faults.done,
            read_witness(house.world / "witness"),
            await standing.look(data, house.store),
            got,
            ended,
        )
        wrong = judge(account)
        tell("deprovisioning what stands")
        wrong += await _clear(house)
    ends = time.monotonic()
    seconds = {"start": started - began, "play": played - started, "clear": ends - played}
    return summary(plan, account, wrong, {name: round(value, 1) for name, value in seconds.items()})


async def _say(faults: Faults, telling: Telling) -> None:
    while True:
        await asyncio.sleep(10)
        over = len([told for told in telling.told if told.state or told.error])
        tell(f"{over} operations ended, {len(faults.done)} faults done, out: {sorted(faults.out)}")


async def _until_quiet(house: House) -> None:
    """Wait until no operation has an owner; what still has one then is a finding."""
    for _ in range(int(QUIET_SECONDS / QUIET_LOOKS)):
        found = await standing.look(house.data, house.store)
        if not found.owners and not found.tools and all(found.active.values()):
            return
        await asyncio.sleep(QUIET_LOOKS)


async def _get_all(house: House, names: list[str]) -> dict[str, str]:
    async with house.client() as client:
        return {
            name: operation_pb2.Operation.State.Name((await client.get_operation(name)).state)
            for name in dict.fromkeys(names)
        }


async def _clear(house: House) -> list[str]:
    """Deprovision everything; answer what could not be, and what stands nevertheless."""
    wrong: list[str] = []
    async with house.client() as client:
        names = [resource.name async for resource in client.list_resources()]
        gate = asyncio.Semaphore(6)

        async def clear(name: str) -> None:
            async with gate:
                wrong.extend(await _deprovision(client, name))

        await asyncio.gather(*(clear(name) for name in names))
    left = await standing.look(house.data, house.store)
    wrong += [f"{work} stands after its deprovision" for work in {**left.things, **left.services}]
    return wrong + [f"{name} is left after its deprovision" for name in left.resources]


async def _deprovision(client: Client, name: str) -> list[str]:
    state = "nothing"
    try:
        async for event in client.deprovision(name):
            if isinstance(event, operation_pb2.OperationEvent) and event.WhichOneof("kind") == "ended":
                state = operation_pb2.Operation.State.Name(event.ended.state)
    except EnchainError as error:
        state = f"{error.reason}: {error.message}"
    return [] if state == "STATE_SUCCEEDED" else [f"deprovision of {name} at the end: {state}"]


def tell(line: str) -> None:
    """Say how far it is, beside the report."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Read the arguments, play, print, and answer the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", choices=sorted(SCALES), default="full")
    parser.add_argument("--operations", type=int)
    parser.add_argument("--faults", type=int)
    parser.add_argument("--scenario", choices=["chaos", "etcd-outage", "experiment"], default="chaos")
    parser.add_argument("--output", choices=["table", "json"], default="table")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all data and logs")
    args = parser.parse_args()
    compares = args.scenario == "experiment"
    operations, faults, instances = (experiment.SCALES if compares else SCALES)[args.scale]
    plan = (experiment.make_plan if compares else make_plan)(
        args.seed,
        args.operations if args.operations is not None else operations,
        args.faults if args.faults is not None else faults,
    )
    data = Path(tempfile.mkdtemp(prefix="enchain-chaos-"))
    if args.scenario == "chaos":
        found = asyncio.run(play(plan, data, instances))
    elif compares:
        found = asyncio.run(experiment.play(data, plan, instances, tell))
    else:
        found = asyncio.run(outage.play(data, *outage.SCALES[args.scale], tell))
    print(json.dumps(found, indent=2) if args.output == "json" else table(found))
    if found["wrong"] or args.keep:
        tell(f"data and logs: {data}")
    else:
        shutil.rmtree(data, ignore_errors=True)
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
