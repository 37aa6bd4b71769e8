"""The acts of the demonstration. Each asks enchain as a user would, checks what came of it, and tells.

`examples.demo.__main__` plays them in order. An act that finds something wrong raises `WrongError`.
"""

import asyncio
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enchain.chains.values import to_python
from enchain.cli.documents import load, save
from enchain.client import Client, Reattached
from enchain.dev.cluster import Cluster
from enchain.v1 import chain_pb2, operation_pb2

AT_ONCE = 4
"""Sites asked for at the same time: two a core."""

_SUCCEEDED = operation_pb2.Operation.STATE_SUCCEEDED
_WATCH_SECONDS = 0.05
_PATIENCE_SECONDS = 60.0


class WrongError(Exception):
    """The demonstration found that something is not as promised."""


def check(condition: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence: check(it holds, "what")
    """Go on only where the condition holds."""
    if not condition:
        raise WrongError(what)


@dataclass(slots=True)
class Made:
    """One site that was made."""

    resource: str
    chain: str
    url: str
    operation: str
    reattached: int = 0


@dataclass(slots=True)
class Scene:
    """What the acts share: the cluster, a client, and whom to tell."""

    cluster: Cluster
    client: Client
    tell: Callable[[str], None]
    progress: Callable[[str, str, float | None], None]
    operations: list[str] = field(default_factory=list)
    witness: Path = Path()


async def save_documents(scene: Scene) -> list[str]:
    """Save the workloads and the second chain."""
    done = []
    for item in load([Path(__file__).parent / "workload.yaml"]):
        saved = await save(scene.client, item, dry_run=False)
        done.append(f"{saved.what} {saved.kind} {saved.name}")
        scene.tell(f"  {done[-1]}")
    return done


async def provision_sites(scene: Scene, names: Iterable[str], chain: str) -> list[Made]:
    """Make a site for every name, fetch each over HTTP, and check the chain that made it."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> Made:
        async with gate:
            return await provision(scene, "site", {"name": name}, name)

    made = await asyncio.gather(*(one(name) for name in names))
    for site in made:
        check(f"/chains/{chain}@" in site.chain, f"{site.resource} was made by {site.chain}, not {chain}")
        name = site.resource.rsplit("/", 1)[-1]
        page = await asyncio.to_thread(fetch, site.url)
        check(name in page, f"{site.url} does not show {name}: {page!r}")
    return list(made)


def fetch(url: str) -> str:
    """Fetch a page over HTTP."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - a URL of our own loopback
        return str(answer.read().decode())


async def provision(scene: Scene, workload: str, inputs: dict[str, Any], name: str) -> Made:
    """Make one resource and follow it to its end."""
    made = Made(resource=name, chain="", url="", operation="")
    async for happening in scene.client.provision(workload, inputs, resource_id=name):
        if isinstance(happening, Reattached):
            made.reattached += 1
            scene.tell(f"  {name}: re-attached to router {happening.router}")
            continue
        _follow(scene, name, made, happening)
    check(bool(made.url), f"{name} has no url: {made}")
    return made


def _follow(scene: Scene, name: str, made: Made, event: operation_pb2.OperationEvent) -> None:
    kind = event.WhichOneof("kind")
    if kind == "admitted":
        made.operation, made.chain = event.operation, event.admitted.chain
        made.resource = event.admitted.resource
        scene.operations.append(event.operation)
    elif kind == "step_started":
        scene.progress(name, f"{event.step_started.step} by {event.step_started.engine}", None)
    elif kind == "step_progress":
        message = event.step_progress
        scene.progress(name, f"{message.step}: {message.message}", message.fraction or None)
    elif kind == "ended":
        state = operation_pb2.Operation.State.Name(event.ended.state)
        check(event.ended.state == _SUCCEEDED, f"{name} ended {state}: {list(event.ended.diagnostics)}")
        outputs = event.ended.outputs
        made.url = str(to_python(outputs["url"])) if "url" in outputs else ""
        scene.progress(name, "done", 1.0)


async def switch(scene: Scene, chain: str) -> None:
    """Move the route, and wait until every router follows."""
    await scene.client.chains.SwitchChain(
        chain_pb2.SwitchChainRequest(
            name="workloads/site/route", chain=f"workloads/site/chains/{chain}", reason="demonstration"
        )
    )
    request = chain_pb2.GetConvergenceRequest(name="workloads/site/convergence")
    for _ in range(int(_PATIENCE_SECONDS / _WATCH_SECONDS)):
        if (await scene.client.chains.GetConvergence(request)).converged:
            return
        await asyncio.sleep(_WATCH_SECONDS)
    raise WrongError("the routers do not follow the switch")


async def kill_a_router(scene: Scene) -> tuple[Made, dict[str, Any]]:
    """Kill the router that runs an operation while its tool runs; see the other one go on."""
    sightings: list[int] = []
    watching = asyncio.create_task(
        _watch_tools(scene, sightings), name="watch the tools by the kernel's list"
    )
    inputs = {"name": "patience", "witness": str(scene.witness)}
    making = asyncio.create_task(provision(scene, "slow-site", inputs, "patience"), name="make the slow site")
    try:
        pid = await _first_tool(scene, sightings, making)
        owner = _router_at(scene, scene.client.router_address)
        scene.tell(f"  terraform runs as process {pid}; killing {owner} with SIGKILL")
        scene.cluster.kill(owner)
        made = await making
    finally:
        watching.cancel()
        making.cancel()
    effects = scene.witness.read_text().count("made")
    check(made.reattached >= 1, "the client did not re-attach")
    check(set(sightings) == {pid}, f"terraform was started more than once: {sorted(set(sightings))}")
    check(effects == 1, f"the step had its effect {effects} times")
    return made, {"router": owner, "tool_pids": sorted(set(sightings)), "effects": effects}


def _router_at(scene: Scene, address: str) -> str:
    children = scene.cluster.children.values()
    return next(c.planned.name for c in children if c.planned.role == "router" and c.address == address)


async def _watch_tools(scene: Scene, sightings: list[int]) -> None:
    scope = scene.cluster.layout.scope("terraform")
    while True:
        tools = await asyncio.to_thread(tools_of, scope)
        sightings += [pid for pid, line in tools.items() if "apply" in line and "-auto-approve" in line]
        await asyncio.sleep(_WATCH_SECONDS)


async def _first_tool(scene: Scene, sightings: list[int], making: "asyncio.Task[Made]") -> int:
    """Wait until the tool of the slow step runs and has had its effect."""
    for _ in range(int(_PATIENCE_SECONDS / _WATCH_SECONDS)):
        if sightings and scene.witness.exists():
            return sightings[-1]
        if making.done():
            break
        await asyncio.sleep(_WATCH_SECONDS)
    raise WrongError(f"the slow step was not seen to run: {making}")


async def deprovision_all(scene: Scene) -> int:
    """Destroy every resource, a few at a time; answer how many there were."""
    names = [resource.name async for resource in scene.client.list_resources()]
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        async with gate:
            async for event in scene.client.deprovision(name):
                if isinstance(event, Reattached):
                    continue
                if event.WhichOneof("kind") == "admitted":
                    scene.operations.append(event.operation)
                    scene.progress(name.rsplit("/", 1)[-1], "going", None)
                if event.WhichOneof("kind") == "ended":
                    state = operation_pb2.Operation.State.Name(event.ended.state)
                    check(event.ended.state == _SUCCEEDED, f"deprovision of {name}: {state}")
                    scene.progress(name.rsplit("/", 1)[-1], "gone", 1.0)

    await asyncio.gather(*(one(name) for name in names))
    return len(names)


async def bound_to(scene: Scene, chain: str) -> int:
    """Count the resources that a chain made, by what enchain says of each."""
    return len(
        [1 async for r in scene.client.list_resources(workload="site") if f"/chains/{chain}@" in r.chain]
    )


def tools_of(scope: Path) -> dict[int, list[str]]:
    """Find the processes that work in a scope, by the kernel's own list."""
    found: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            cwd = str((entry / "cwd").readlink())
        except OSError:
            continue  # it ended while we looked, or is not ours
        if cwd.startswith(str(scope)):
            found[int(entry.name)] = [part.decode(errors="replace") for part in command if part]
    return found
