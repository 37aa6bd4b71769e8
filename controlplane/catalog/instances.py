"""Engine instances: which run now, and whether they are enough for a chain.

Chains, engines and routes call it. It reads `live/instances/`, which instances write themselves under a
lease; it never writes there.
"""

import re
from collections.abc import Iterable, Sequence

from controlplane.catalog.documents import readable, scan
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import chain_pb2, engine_pb2

Instances = Sequence[engine_pb2.EngineInstance]


async def live(store: Store, engine: str = "") -> tuple[engine_pb2.EngineInstance, ...]:
    """Read the instances that are registered now, in the order of their names; of one engine or of all."""
    prefix = f"{keys.INSTANCES}{engine}/" if engine else keys.INSTANCES
    items = [item async for item in scan(store, prefix)]
    return tuple(document.message for document in readable(engine_pb2.EngineInstance, items))


def ready(instances: Instances, engine: str, version: str = "") -> tuple[engine_pb2.EngineInstance, ...]:
    """Answer the instances of an engine that take new work; of one version, or of any where none is given."""
    return tuple(
        instance
        for instance in instances
        if instance.engine == engine
        and version in ("", instance.version)
        and instance.state == engine_pb2.EngineInstance.STATE_READY
    )


def newest_version(instances: Instances, engine: str) -> str:
    """Answer the newest version of an engine that takes new work; empty where no instance does."""
    versions = {instance.version for instance in ready(instances, engine)}
    return max(versions, key=_version_order, default="")


def gaps(chain: chain_pb2.Chain, instances: Instances) -> tuple[str, ...]:
    """Answer, for each step that no instance could do now, a line that says so.

    Fallbacks are not counted: the chain runs without them.
    """
    return tuple(
        f"{step.steps[0] if step.steps else '?'}: no instance of {step.engine} {step.version}"
        for step in chain.steps
        if not ready(instances, step.engine, step.version)
    )


def engines_of(chain: chain_pb2.Chain) -> Iterable[str]:
    """Answer the engines that a chain names, fallbacks included."""
    for step in chain.steps:
        yield step.engine
        if step.HasField("fallback"):
            yield step.fallback.engine


def _version_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """Order versions as people do: 1.10 after 1.9, and 1.0 after 1.0-rc1."""
    parts = re.findall(r"\d+|[a-z]+", version.lower())
    ordered = [(1, int(part), "") if part.isdigit() else (-1, 0, part) for part in parts]
    return (*ordered, (0, 0, ""))
