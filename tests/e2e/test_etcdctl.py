"""People with etcdctl: every value reads as JSON, and what they put by hand is followed, or refused and told.

The values are put with the real `etcdctl`, against a running enchain.
"""

import asyncio
import json
import os
import subprocess
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from enchain.cli.documents import save
from enchain.cli.kinds import parse
from enchain.cli.yamlfile import read
from enchain.client import Client
from enchain.state import codec, keys
from enchain.state.etcd import open_store
from enchain.state.server import find_etcd
from enchain.v1 import (
    chain_pb2,
    engine_pb2,
    event_pb2,
    evidence_pb2,
    experiment_pb2,
    forecast_pb2,
    learned_pb2,
    operation_pb2,
    pool_pb2,
    presence_pb2,
    recommendation_pb2,
    workload_pb2,
)
from tests.e2e.conftest import House
from tests.harness.waiting import eventually

KINDS: dict[str, type[Message]] = {
    keys.ENGINES: engine_pb2.Engine,
    keys.WORKLOADS: workload_pb2.Workload,
    keys.CHAINS: chain_pb2.Chain,
    keys.ROUTES: chain_pb2.Route,
    keys.INSTANCES: engine_pb2.EngineInstance,
    keys.ROUTERS: presence_pb2.RouterPresence,
    keys.LEADER: presence_pb2.LeaderPresence,
    keys.RECORDS: operation_pb2.Operation,
    keys.REQUESTS: operation_pb2.RequestClaim,
    keys.ACTIVE: operation_pb2.ActiveOperation,
    keys.OWNERS: operation_pb2.OperationOwner,
    keys.OUTBOX: operation_pb2.OutboxEntry,
    keys.RESOURCES: operation_pb2.Resource,
    keys.SWITCHES: chain_pb2.ChainSwitch,
    keys.AUDIT: presence_pb2.AuditRecord,
    keys.EPOCH: presence_pb2.StoreEpoch,
    keys.EVENTS: event_pb2.PlannedEvent,
    keys.learned("request-rate", ""): learned_pb2.RequestRateStatistics,
    keys.learned("switch-evidence", ""): evidence_pb2.ChainOutcomes,
    keys.PROFILES: learned_pb2.ProfileStatistics,
    keys.STARTS: learned_pb2.StartStatistics,
    keys.POOLS: pool_pb2.Pool,
    keys.LAUNCHES: pool_pb2.Launching,
    keys.RECOMMENDATIONS: recommendation_pb2.Recommendation,
    keys.RECOMMENDATION_INPUTS: recommendation_pb2.PlanningInputs,
    keys.FORECASTS: forecast_pb2.Forecast,
    keys.ACCURACY: forecast_pb2.ForecastAccuracy,
    keys.FORECAST_JOBS: forecast_pb2.ForecastJob,
    keys.FORECAST_REQUESTS: operation_pb2.RequestClaim,
    keys.REFUSED: learned_pb2.RefusedValue,
    keys.EXPERIMENTS: experiment_pb2.Experiment,
    keys.LAYERS: experiment_pb2.Layer,
    keys.learned("experiments", ""): experiment_pb2.ArmStatistics,
    keys.learned("experiment-looks", ""): experiment_pb2.ExperimentLooks,
}

OTHER = """
kind: Workload
name: other
inputs: {name: string}
steps:
- name: serve
  by:
    process: {run: [python3, -m, http.server, "${port}"], files: {index.html: "${inputs.name}"}}
outputs: {url: "${steps.serve.outputs.url}"}
---
kind: Chain
workload: other
name: second
use: {serve: process}
description: The same by another name.
"""


async def etcdctl(house: House, *words: str) -> str:
    """Run the real etcdctl."""
    done = await asyncio.to_thread(
        subprocess.run,
        [str(find_etcd("etcdctl")), "--endpoints", house.cluster.etcd.address, *words],
        env=os.environ | {"ETCDCTL_API": "3"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture
async def other(client: Client) -> str:
    """Another workload, which must not be touched by what happens to `site`."""
    for document in read(Path("other.yaml"), OTHER):
        await save(client, parse(document), dry_run=False)
    return "other"


async def chain_as_json(client: Client, name: str) -> dict[str, Any]:
    """Read a chain as it lies in the store, ready to be changed by hand."""
    chain = await client.chains.GetChain(chain_pb2.GetChainRequest(name=name))
    body: dict[str, Any] = json.loads(codec.canonical(chain))
    for field in ("name", "digest", "etag", "createTime"):
        body.pop(field, None)
    return body


async def convergence(client: Client, workload: str) -> chain_pb2.Convergence:
    """Ask which routers follow a route."""
    request = chain_pb2.GetConvergenceRequest(name=f"workloads/{workload}/convergence")
    return await client.chains.GetConvergence(request)


async def switch(client: Client, workload: str, chain: str) -> None:
    """Move a route and wait until the switch has ended: every router follows, nothing is left to drain."""
    made = await client.chains.SwitchChain(
        chain_pb2.SwitchChainRequest(
            name=f"workloads/{workload}/route", chain=f"workloads/{workload}/chains/{chain}"
        )
    )

    async def done() -> bool:
        read = await client.chains.GetChainSwitch(chain_pb2.GetChainSwitchRequest(name=made.name))
        assert (await convergence(client, workload)).converged
        return read.state == chain_pb2.ChainSwitch.STATE_DONE

    await eventually(done)


async def made_by(client: Client, workload: str, name: str) -> str:
    """Provision a resource and answer the chain that made it."""
    chain = ""
    async for event in client.provision(workload, {"name": name}, resource_id=name):
        if isinstance(event, operation_pb2.OperationEvent) and event.WhichOneof("kind") == "admitted":
            chain = event.admitted.chain
    return chain


async def test_every_value_parses_as_json_and_encodes_again_byte_for_byte(
    house: House, client: Client, other: str
) -> None:
    await made_by(client, other, "seen-by-etcdctl")
    store = await open_store([house.cluster.etcd.address])
    items = (await store.list(keys.ROOT)).items
    await store.close()

    seen = set()
    for item in items:
        prefix = next(prefix for prefix in KINDS if item.key.startswith(prefix))
        seen.add(prefix)
        json.loads(item.value)
        assert codec.encode(codec.decode(KINDS[prefix], item.value, key=item.key)) == item.value, item.key

    written = {keys.WORKLOADS, keys.CHAINS, keys.ROUTES, keys.INSTANCES, keys.ROUTERS, keys.RECORDS}
    assert seen >= written | {keys.REQUESTS, keys.RESOURCES, keys.AUDIT, keys.EPOCH}


async def test_a_valid_chain_put_by_hand_is_followed(house: House, client: Client, other: str) -> None:
    body = await chain_as_json(client, "workloads/other/chains/default")
    body["description"] = "Put by hand."

    await etcdctl(house, "put", keys.chain("other", "by-hand", "mine"), json.dumps(body))
    await switch(client, "other", "by-hand@mine")

    assert await made_by(client, "other", "by-hand-1") == "workloads/other/chains/by-hand@mine"


async def test_a_broken_chain_freezes_its_workload_alone(house: House, client: Client, other: str) -> None:
    good = await made_by(client, "site", "before-the-fault")
    body = await chain_as_json(client, "workloads/site/chains/default")
    del body["steps"][1]
    key = keys.chain("site", "broken", "mine")

    await etcdctl(house, "put", key, json.dumps(body))
    try:
        refused = await eventually(lambda: refusals(client, "site"))
        await etcdctl(house, "put", keys.route("site"), route_to("site", "broken@mine"))
        await eventually(lambda: decided(client, "site"))
        kept = await made_by(client, "site", "after-the-fault")
        await switch(client, "other", "second")
        moved = await made_by(client, "other", "moved")
    finally:
        await etcdctl(house, "put", keys.route("site"), route_to("site", good.rsplit("/", 1)[-1]))
        await etcdctl(house, "del", key)

    assert "serve" in refused[0]
    assert kept == good
    assert moved.startswith("workloads/other/chains/second@")
    assert await counted(house, "enchain_table_refused") > 0
    await eventually(unfrozen(client, "site"))


async def refusals(client: Client, workload: str) -> list[str]:
    """Answer what every router says against a workload; empty until all say something."""
    answer = await convergence(client, workload)
    told = [router.refusal for router in answer.routers]
    return told if told and all(told) else []


async def decided(client: Client, workload: str) -> bool:
    """Tell whether every router has decided on the route as it stands."""
    answer = await convergence(client, workload)
    return all(router.applied_revision >= answer.route_revision for router in answer.routers)


def unfrozen(client: Client, workload: str) -> Callable[[], Awaitable[bool]]:
    """Make the check that no router refuses the workload any more."""

    async def check() -> bool:
        return not any(router.refusal for router in (await convergence(client, workload)).routers)

    return check


def route_to(workload: str, chain: str) -> str:
    """Write a route as a person would."""
    share = {"chain": f"workloads/{workload}/chains/{chain}", "end": 10000, "arm": "default"}
    return json.dumps({"shares": [share], "seed": workload, "hashVersion": 2})


async def counted(house: House, metric: str) -> float:
    """Sum a counter over the Prometheus pages of all routers."""
    total = 0.0
    for child in house.cluster.children.values():
        if child.planned.role == "router":
            page = await asyncio.to_thread(fetch, f"http://{child.ready['metrics']}/metrics")
            rows = [line for line in page.splitlines() if line.startswith(metric)]
            total += sum(float(row.rsplit(" ", 1)[-1]) for row in rows)
    return total


def fetch(url: str) -> str:
    """Fetch a page."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())
