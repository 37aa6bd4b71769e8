"""The table that switches are measured on: a workload with two chains, among others. Its caller measures."""

from dataclasses import dataclass

from enchain.chains import routes
from enchain.chains.values import Json, to_struct, to_value_map
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import Put, Store, put
from enchain.v1 import chain_pb2, engine_pb2, workload_pb2

INPUTS: Json = {"type": "object", "properties": {"run": {"type": "array"}, "with": {"type": "object"}}}


@dataclass(frozen=True, slots=True)
class Table:
    """What was laid: the names of the two chains; requests go to the first."""

    chains: tuple[str, str]


async def laid(store: Store, workload: str, others: int) -> Table:
    """Write a workload with two chains, and others with one each."""
    version = await _version(store)
    for number in range(others):
        await _write(store, f"other-{number}", version, ("default",))
    return Table((await _write(store, workload, version, ("default", "second")))[:2])  # type: ignore[arg-type]  # two


async def _version(store: Store) -> str:
    """Answer the version of the script engine, which runs."""
    items = (await store.list(f"{keys.INSTANCES}script/")).items
    return decode(engine_pb2.EngineInstance, items[0].value).version


async def _write(store: Store, workload: str, version: str, chains: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(f"workloads/{workload}/chains/{chain}@r1" for chain in chains)
    puts = [Put(keys.workload(workload), encode(workload_pb2.Workload(name=f"workloads/{workload}")))]
    puts += [Put(keys.chain(workload, chain, "r1"), encode(_chain(chain, version))) for chain in chains]
    await put(store, [*puts, Put(keys.route(workload), encode(routes.whole(names[0])))])
    return names


def _chain(name: str, version: str) -> chain_pb2.Chain:
    schema = chain_pb2.EngineSchema(inputs=to_struct(INPUTS), outputs=to_struct({"type": "object"}))
    step = chain_pb2.ChainStep(
        steps=["serve"],
        engine="script",
        version=version,
        inputs=to_value_map({"run": ["true", name], "with": {}}),
        schema=schema,
    )
    return chain_pb2.Chain(inputs=to_struct({"type": "object"}), steps=[step])
