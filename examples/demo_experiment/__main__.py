"""Play it: `python -m examples.demo_experiment [--png FILE] [--json FILE] [--output json]`.

Ends with 0 where all is as promised: an arm whose playbook fails now and then is found by the guardrail
and rolled back, and one that helps is concluded and promoted, all of it by itself. Else with 1, and what was
missed.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from enchain.chains.errors import EnchainError
from enchain.client import Client
from enchain.dev.cluster import Cluster
from enchain.dev.plan import Layout
from examples.demo_experiment import acts, picture, stage, summary
from examples.demo_experiment.requests import Sender

Tell = Callable[[str], None]


async def play(data: Path, tell: Tell) -> tuple[acts.Outcome, acts.Outcome, dict[str, float]]:
    """Play both experiments and print their analyses; answer what came of them, and what took how long."""
    layout = Layout(
        data=data,
        control="127.0.0.1:0",
        routers=("127.0.0.1:0", "127.0.0.1:0"),
        terraform=0,
        process=0,
        script=1,
        ansible=1,
        log_level="warning",
        more=("--no-forecasting",),
    )
    began, seconds = time.monotonic(), {}

    def told(line: str) -> None:
        tell(f"  {line}")

    async def act(title: str, name: str) -> acts.Outcome:
        tell(f"\n{title}")
        start = time.monotonic()
        outcome = await acts.play(scene, name)
        seconds[name] = round(time.monotonic() - start, 1)
        _tell_outcome(outcome, told)
        return outcome

    tell("Starting etcd, a control plane, two routers, a script and an Ansible instance")
    async with (
        Cluster(layout, told=told) as cluster,
        Client(control=cluster.control, routers=cluster.routers) as client,
    ):
        tell("\nSaving a workload with three chains: by script, by playbook, by press")
        for line in await stage.furnish(client):
            told(line)
        scene = acts.Scene(client, told, Sender(client, began), began)
        seconds["start"] = round(time.monotonic() - began, 1)
        harm = await act(
            "An experiment that harms: the playbook that it tries fails for one page in three",
            summary.HARMFUL,
        )
        helps = await act(
            "An experiment that helps: an engine that needs no proof-reader",
            summary.HELPFUL,
        )
        for name in (summary.HARMFUL, summary.HELPFUL):
            tell(f"\n$ enchain experiments show page/{name}")
            tell(await asyncio.to_thread(_shown, cluster.control, name))
    seconds["all"] = round(time.monotonic() - began, 1)
    return harm, helps, seconds


def _tell_outcome(outcome: acts.Outcome, tell: Tell) -> None:
    """Say what happened, in a few lines."""
    failed = sum(bool(each.failed) for each in outcome.requests)
    counted = ", ".join(f"{count} in {arm}" for arm, count in outcome.watched.counted().items())
    tell(f"{len(outcome.requests)} requests, {failed} failed; counted: {counted}")
    tell(f"new requests take {outcome.route}")
    for metric in summary.deciding(outcome):
        tell(metric)
    for each in outcome.sticky:
        tell(f"updated {each.page}: it keeps arm {each.after[0]} and chain {each.after[1]}")


def _shown(control: str, name: str) -> str:
    """Answer the analysis as the command prints it."""
    command = [sys.executable, "-m", "enchain.cli.main", "--control", control]
    done = subprocess.run(
        [*command, "experiments", "show", f"page/{name}"], capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else f"the command failed: {done.stderr}"


def main() -> int:
    """Play, tell, and answer the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--png", type=Path, default=Path("demo-experiment.png"))
    parser.add_argument("--json", type=Path, default=Path("demo-experiment.json"))
    parser.add_argument("--output", choices=("table", "json"), default="table")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all data and logs")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="enchain-demo-experiment-"))
    try:
        harm, helps, seconds = asyncio.run(play(folder, _tell))
    except (EnchainError, TimeoutError, grpc.aio.AioRpcError) as error:
        _tell(f"not as promised: {error}\nData and logs: {folder}")
        return 1
    if not asked.keep:
        shutil.rmtree(folder, ignore_errors=True)
    told = summary.document(harm, helps, seconds=seconds)
    asked.json.write_text(json.dumps(told, indent=2) + "\n")
    picture.draw(
        [
            ("A playbook that fails now and then", "success", harm),
            ("A press that is quicker", "time", helps),
        ],
        asked.png,
    )
    if asked.output == "json":
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    return _verdict(told, asked.png, asked.json)


def _verdict(told: dict[str, Any], png: Path, summary_file: Path) -> int:
    """Say which promises were kept; answer the exit code."""
    _tell("")
    for promise, kept in told["promises"].items():
        _tell(f"{'kept  ' if kept else 'BROKEN'}  {promise}")
    _tell(f"\npicture: {png}   summary: {summary_file}   {told['seconds']['all']:.0f} s")
    return 1 if summary.broken(told) else 0


def _tell(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
