"""Play the demonstration: `python -m examples.demo [--output json]`. Ends with 0 where all is as promised."""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from enchain.chains.errors import EnchainError
from enchain.client import Client
from enchain.dev.cluster import Cluster
from enchain.dev.plan import Layout
from examples.demo import acts
from examples.demo.progress import Progress

T = TypeVar("T")


async def play(data: Path, sites: int, progress: Progress) -> dict[str, Any]:
    """Play all acts in a folder of their own; answer the summary."""
    layout = Layout(
        data=data,
        control="127.0.0.1:0",
        routers=("127.0.0.1:0", "127.0.0.1:0"),
        terraform=2,
        process=2,
    )
    summary: dict[str, Any] = {"seconds": {}}

    async def act(name: str, title: str, work: Callable[[], Awaitable[T]]) -> T:
        progress.title(title)
        began = time.monotonic()
        answer = await work()
        summary["seconds"][name] = round(time.monotonic() - began, 2)
        return answer

    progress.title("Starting etcd, control plane, two routers, two Terraform and two process instances")
    began = time.monotonic()
    async with Cluster(layout, told=lambda line: progress.tell(f"  {line}")) as cluster:
        summary["seconds"]["start"] = round(time.monotonic() - began, 2)
        async with Client(control=cluster.control, routers=cluster.routers) as client:
            scene = acts.Scene(cluster, client, progress.tell, progress.show, witness=data / "witness")
            summary |= await _all_acts(act, scene, sites)
        summary["left"] = await act(
            "check", "Looking for leftovers without asking enchain", lambda: _look(scene, summary)
        )
    return summary


async def _all_acts(act: Any, scene: acts.Scene, sites: int) -> dict[str, Any]:
    await act("save", "Saving the workloads and the second chain", lambda: acts.save_documents(scene))
    first = await act(
        "provision",
        f"Provisioning {sites} sites: Terraform writes them, a process serves them",
        lambda: acts.provision_sites(scene, [f"site-{n:02}" for n in range(sites)], "default"),
    )
    await act("switch", "Switching to the chain `all-in-one`", lambda: acts.switch(scene, "all-in-one"))
    second = await act(
        "provision_after_switch",
        "Provisioning 5 more sites: the process engine does both steps",
        lambda: acts.provision_sites(scene, [f"new-{n:02}" for n in range(5)], "all-in-one"),
    )
    bound = await acts.bound_to(scene, "default")
    acts.check(bound == sites, f"{bound} of {sites} sites are bound to the first chain")
    scene.tell(f"  {bound} sites are still bound to the first chain")
    slow, facts = await act(
        "kill", "Killing a router while the tool of a step runs", lambda: acts.kill_a_router(scene)
    )
    ports = [urlsplit(made.url).port for made in [*first, *second, slow]]
    gone = await act("deprovision", "Deprovisioning everything", lambda: acts.deprovision_all(scene))
    return {
        "sites": len(first),
        "sites_after_switch": len(second),
        "bound_to_first_chain": bound,
        "router_killed": facts,
        "deprovisioned": gone,
        "operations": len(scene.operations),
        "ports": ports,
    }


async def _look(scene: acts.Scene, summary: dict[str, Any]) -> dict[str, Any]:
    """Run the independent script, which does not ask enchain."""
    facts = {
        "data": str(scene.cluster.layout.data),
        "etcd": scene.cluster.etcd.address,
        "ports": summary["ports"],
        "pids": summary["router_killed"]["tool_pids"],
        "operations": scene.operations,
    }
    script = Path(__file__).parent / "leftovers.py"
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-I", "-S", str(script)],
        input=json.dumps(facts), capture_output=True, text=True, check=False,
    )  # fmt: skip
    acts.check(done.returncode == 0, f"something is left: {done.stdout}{done.stderr}")
    left: dict[str, Any] = json.loads(done.stdout)
    scene.tell(f"  nothing is left; {len(scene.operations)} ended operations still answer")
    return left


def main() -> int:
    """Read the arguments, play, print the summary, and answer the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", choices=["table", "json"], default="table")
    parser.add_argument("--sites", type=int, default=20)
    parser.add_argument("--keep", action="store_true", help="keep the folder with all data and logs")
    args = parser.parse_args()
    data = Path(tempfile.mkdtemp(prefix="enchain-demo-"))
    progress = Progress()
    began = time.monotonic()
    try:
        summary = asyncio.run(play(data, args.sites, progress))
    except (acts.WrongError, EnchainError) as error:
        progress.fail(f"{error}\nData and logs: {data}")
        return 1
    summary["seconds"]["all"] = round(time.monotonic() - began, 2)
    if not args.keep:
        shutil.rmtree(data, ignore_errors=True)
    if args.output == "json":
        print(json.dumps(summary, indent=2))
    else:
        progress.title(f"All as promised, in {summary['seconds']['all']:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
