"""What changes for people and engines when requests go from one chain to another. Pure.

The catalogue of routes asks it for dry runs and for the record of a switch.
"""

from collections.abc import Iterable, Mapping, Sequence

from google.protobuf import json_format

from controlplane.switching.holding import Fleet, pool_of, pools_of
from controlplane.switching.pool_targets import wanted
from enchain.chains.decision_names import PoolName
from enchain.v1.chain_pb2 import Chain, ChainStep, InstanceChange
from enchain.v1.engine_pb2 import Capability, EngineInstance
from enchain.v1.pool_pb2 import Pool

LINES_MAX = 50
"""Differences that are told; whoever has more reads the chains themselves."""


def differences(old: Sequence[Chain], new: Sequence[Chain], fleet: Fleet) -> list[str]:
    """Answer what differs for requests, a line each: engines by step, what they can do, inputs and outputs.

    Capabilities are those that every ready instance of a version has; of a version without any nothing is
    said.
    """
    lines: dict[str, None] = {}
    for before in old:
        for after in new:
            lines |= dict.fromkeys(_of_chains(before, after, fleet))
    return list(lines)[:LINES_MAX]


def _of_chains(old: Chain, new: Chain, fleet: Fleet) -> Iterable[str]:
    yield from _of_schema("inputs", _properties(old), _properties(new), _required(old), _required(new))
    for name in sorted(set(old.outputs) - set(new.outputs)):
        yield f"outputs.{name}: the new chain does not answer it"
    for name in sorted(set(new.outputs) - set(old.outputs)):
        yield f"outputs.{name}: new"
    before = {name: step for step in old.steps for name in step.steps}
    for step in new.steps:
        for name in step.steps:
            if name in before:
                yield from _of_steps(name, before[name], step, fleet)


def _of_schema(
    where: str,
    old: Mapping[str, object],
    new: Mapping[str, object],
    required: frozenset[str],
    now_required: frozenset[str],
) -> Iterable[str]:
    for name in sorted(set(old) - set(new)):
        yield f"{where}.{name}: the new chain does not take it"
    for name in sorted(set(new) - set(old)):
        yield f"{where}.{name}: new{', and required' if name in now_required else ''}"
    for name in sorted(set(old) & set(new)):
        if old[name] != new[name]:
            yield f"{where}.{name}: its schema differs"
        elif name in now_required - required:
            yield f"{where}.{name}: required from now on"


def _of_steps(name: str, old: ChainStep, new: ChainStep, fleet: Fleet) -> Iterable[str]:
    before, after = pool_of(old), pool_of(new)
    if before != after:
        yield f"{name}: {before.engine} {before.version} → {after.engine} {after.version}"
        can, could = _capabilities(after, fleet), _capabilities(before, fleet)
        if can is not None and could is not None:
            for capability in sorted(could - can):
                yield f"{name}: {after.engine} {after.version} cannot {_word(capability)}"
            for capability in sorted(can - could):
                yield f"{name}: {after.engine} {after.version} can {_word(capability)}"
    if len(old.steps) != len(new.steps) and new.steps[0] == name:
        yield (
            f"{name}: done together with {', '.join(new.steps[1:])}"
            if new.steps[1:]
            else f"{name}: by itself"
        )
    if old.HasField("fallback") and not new.HasField("fallback"):
        yield f"{name}: no fallback any more"


def _word(capability: Capability.ValueType) -> str:
    return Capability.Name(capability).removeprefix("CAPABILITY_").lower()


def _capabilities(name: PoolName, fleet: Fleet) -> frozenset[Capability.ValueType] | None:
    """Answer what all ready instances can; None where there is none to ask."""
    found = [
        frozenset(each.capabilities)
        for each in fleet.instances
        if (each.engine, each.version) == (name.engine, name.version)
        and each.state == EngineInstance.STATE_READY
    ]
    return frozenset.intersection(*found) if found else None


def _properties(chain: Chain) -> Mapping[str, object]:
    found: object = json_format.MessageToDict(chain.inputs).get("properties", {})
    return found if isinstance(found, dict) else {}


def _required(chain: Chain) -> frozenset[str]:
    found: object = json_format.MessageToDict(chain.inputs).get("required", [])
    return frozenset(found) if isinstance(found, list) else frozenset()


def drained(old: Iterable[Chain], new: Iterable[Chain], fleet: Fleet, workload: str) -> list[InstanceChange]:
    """Answer the instances that nothing would ask for once the old chain is drained.

    Routes of other workloads, operations and resources may keep one after all.
    """
    pools = {name: _without(pool, workload) for name, pool in fleet.pools.items()}
    found = []
    for name in sorted(pools_of(old) - pools_of(new)):
        if fleet.launchable(name):
            kept = wanted(name, pools, fleet.engines.get(name.engine)).count
            count = fleet.ready(name) - kept
            if count > 0:
                found.append(InstanceChange(engine=name.engine, version=name.version, count=count))
    return found


def _without(pool: Pool, workload: str) -> Pool:
    """Answer a pool as it is once a workload and all switches have let go of it."""
    left = Pool()
    left.CopyFrom(pool)
    left.demands.pop(workload, None)
    left.holds.clear()
    return left
