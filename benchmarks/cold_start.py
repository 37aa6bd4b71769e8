"""How long people wait at first: `enchain --help`, and `enchain dev` until it answers.

Run as a script: `python benchmarks/cold_start.py [--output json]`. The goals are 300 ms and 5 s; a missed
goal is printed, and is no failure, since machines differ.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from enchain.chains.errors import EnchainError
from enchain.client import Client

ENCHAIN = Path(sysconfig.get_path("scripts")) / "enchain"
HELP_RUNS = 20
DEV_RUNS = 3
GOALS = {"help_ms": 300.0, "dev_s": 5.0}


def help_ms() -> list[float]:
    """Time `enchain --help` as a whole process, in ms."""
    times = []
    for _ in range(HELP_RUNS):
        began = time.perf_counter()
        subprocess.run([ENCHAIN, "--help"], stdout=subprocess.DEVNULL, check=True)
        times.append((time.perf_counter() - began) * 1000)
    return times


async def answers(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once a router explains a route of the example."""
    async with Client(routers=[f"127.0.0.1:{port + 1}"], patience_seconds=0.1) as client:
        while process.poll() is None:
            try:
                await client.explain_route("site", "anyone")
            except EnchainError:
                await asyncio.sleep(0.02)
            else:
                return
    raise SystemExit("enchain dev ended before it answered")


def dev_s(port: int) -> float:
    """Time `enchain dev --example site` until a router answers for it, in seconds."""
    data = tempfile.mkdtemp(prefix="enchain-cold-")
    began = time.perf_counter()
    process = subprocess.Popen(
        [ENCHAIN, "dev", "--data", data, "--example", "site", "--port", str(port)],
        stdout=subprocess.DEVNULL,
    )
    try:
        asyncio.run(answers(port, process))
        return time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        shutil.rmtree(data, ignore_errors=True)


def main() -> int:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", choices=["table", "json"], default="table")
    parser.add_argument("--port", type=int, default=17400)
    args = parser.parse_args()
    figures = {
        "help_ms": help_ms(),
        "dev_s": [dev_s(args.port + 10 * run) for run in range(DEV_RUNS)],
    }
    rows = {
        name: {"median": statistics.median(times), "max": max(times), "goal": GOALS[name]}
        for name, times in figures.items()
    }
    if args.output == "json":
        print(json.dumps({"cores": os.cpu_count(), "figures": rows}, indent=2))
        return 0
    for name, row in rows.items():
        verdict = "met" if row["median"] <= row["goal"] else "missed"
        print(f"{name:8} median {row['median']:8.2f}  max {row['max']:8.2f}  goal {row['goal']:g}: {verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
