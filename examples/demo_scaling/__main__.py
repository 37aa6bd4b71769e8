"""Play it: `python -m examples.demo_scaling [--data DIR] [--png FILE] [--output json]`.

Ends with 0 where all is as promised: no request failed, a switch was made ahead of the demand that needed it,
and enchain missed less and cost less than reactive scaling with the headroom that suits it best in hindsight.
"""

import argparse
import asyncio
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from enchain.client import Client
from enchain.dev.cluster import Cluster
from enchain.dev.plan import Layout
from enchain.state.etcd import open_store
from examples.demo_scaling import picture, summary
from examples.demo_scaling.priming import prime
from examples.demo_scaling.replaying import Outcome, replay
from examples.demo_scaling.stage import furnish
from examples.demo_scaling.traces import Replay, replays

STEPS = 240
"""Values of each trace that are replayed: twenty hours."""

MEAN_RATE = 1.8
"""Requests a second, of each policy, at the mean of what came before the replay."""

PLANNING_SECONDS = 0.5


async def play(traces: list[Replay], data: Path, tell: Callable[[str], None]) -> list[Outcome]:
    """Replay all traces, one after the other."""
    layout = Layout(
        data=data,
        control="127.0.0.1:0",
        routers=("127.0.0.1:0",),
        terraform=0,
        process=0,
        log_level="warning",
        more=("--no-forecasting", "--planning-seconds", str(PLANNING_SECONDS)),
    )
    # A fresh process inherits no channel and no thread, as a forked one would.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        tell("Starting etcd, a control plane and a router")
        async with (
            Cluster(layout) as cluster,
            Client(control=cluster.control, routers=cluster.routers) as client,
        ):
            store = await open_store([cluster.etcd.address])
            try:
                tell("Starting engines, saving three workloads that ask for the same")
                await furnish(client)
                tell("Measuring what the engines do")
                await prime(client)
                outcomes = []
                for trace in traces:
                    tell(f"Replaying {trace.name}: {len(trace.coming)} values")
                    outcomes.append(await replay(trace, client, store, pool, tell))
                return outcomes
            finally:
                await store.close()


def main() -> int:
    """Play, tell, and answer the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with the traces; else from the package")
    parser.add_argument("--png", type=Path, default=Path("demo-scaling.png"))
    parser.add_argument("--json", type=Path, default=Path("demo-scaling.json"))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--traces", default="", help="only these, by commas")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    asked = parser.parse_args()
    wanted = set(filter(None, asked.traces.split(",")))
    found = [
        each for each in replays(asked.data, asked.steps, MEAN_RATE) if not wanted or each.name in wanted
    ]
    folder = Path(tempfile.mkdtemp(prefix="enchain-demo-scaling-"))
    began = time.monotonic()
    try:
        outcomes = asyncio.run(play(found, folder, _tell))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    told: dict[str, Any] = summary.document(outcomes, seconds=time.monotonic() - began)
    asked.json.write_text(json.dumps(told, indent=2) + "\n")
    picture.draw(outcomes, asked.png)
    if asked.output == "json":
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        summary.show(told)
        sys.stdout.write(f"\npicture: {asked.png}   summary: {asked.json}\n")
    return 0 if all(told["promises"].values()) else 1


def _tell(words: str) -> None:
    sys.stderr.write(f"{words}\n")


if __name__ == "__main__":
    sys.exit(main())
