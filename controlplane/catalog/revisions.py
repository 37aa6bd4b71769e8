"""Chain revisions: finding them, whoever put them there.

Workloads, chains and routes call it. The newest revision of a chain is the one that was written last, by the
store's own count; a revision put by hand with `etcdctl` counts as any other. Nothing here writes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.catalog.documents import Document, parse, readable, scan
from enchain.chains.errors import NotFoundError
from enchain.chains.names import ChainName, workload_name
from enchain.state import keys
from enchain.state.store import KeyValue, Store
from enchain.v1 import chain_pb2

KEY_PARTS = 3
"""A revision's key is workload, chain and revision; other keys under the prefix are none of ours."""


def name_of(key: str) -> ChainName | None:
    """Answer the name that a revision's key gives; None for a key that is no revision's."""
    parts = keys.parts(key, keys.CHAINS)
    return ChainName(*parts) if len(parts) == KEY_PARTS and all(parts) else None


async def revisions(store: Store, workload: str = "", chain: str = "") -> list[KeyValue]:
    """List revisions without their values: of one chain, of a workload, or all, in key order."""
    prefix = keys.CHAINS
    if workload:
        prefix = keys.revisions_of(workload, chain) if chain else keys.chains_of(workload)
    return [item async for item in scan(store, prefix, keys_only=True) if name_of(item.key)]


def newest(items: Iterable[KeyValue]) -> dict[tuple[str, str], KeyValue]:
    """Answer the newest revision by workload and chain, in key order."""
    found: dict[tuple[str, str], KeyValue] = {}
    for item in items:
        name = name_of(item.key)
        if name is None:
            continue
        best = found.get((name.workload, name.chain))
        if best is None or item.mod_revision > best.mod_revision:
            found[name.workload, name.chain] = item
    return found


def parse_chain(item: KeyValue) -> Document[chain_pb2.Chain]:
    """Turn what was read into a chain, named by its key.

    Raises:
        MalformedError: The value is no chain.
    """
    return named(parse(chain_pb2.Chain, item))


def named(document: Document[chain_pb2.Chain]) -> Document[chain_pb2.Chain]:
    """Name a chain by its key; one put by hand may have left its name out."""
    document.message.name = str(name_of(document.key) or document.message.name)
    return document


async def find(store: Store, name: ChainName) -> Document[chain_pb2.Chain] | None:
    """Read the revision that is named, or the newest where none is; None where there is none.

    Raises:
        MalformedError: What is there is no chain.
    """
    key = keys.chain(name.workload, name.chain, name.revision)
    if not name.revision:
        best = newest(await revisions(store, name.workload, name.chain))
        if not best:
            return None
        key = best[name.workload, name.chain].key
    item = await store.get(key)
    return None if item is None else parse_chain(item)


async def require(store: Store, name: ChainName) -> Document[chain_pb2.Chain]:
    """Read the revision that is named, or the newest where none is.

    Raises:
        NotFoundError: There is none.
        MalformedError: What is there is no chain.
    """
    document = await find(store, name)
    if document is None:
        raise NotFoundError(
            f"there is no chain {name}",
            reason="CHAIN_NOT_FOUND",
            remedy=f"List the chains of {workload_name(name.workload)}.",
            metadata={"name": str(name)},
        )
    return document


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands where a derived revision belongs.

    Attributes:
        document: The revision itself, where the same content was saved before.
        newest: It is the newest of its chain.
    """

    document: Document[chain_pb2.Chain] | None = None
    newest: bool = False


async def standing(store: Store, name: ChainName) -> Standing:
    """Read what stands where a revision belongs."""
    item = await store.get(keys.chain(name.workload, name.chain, name.revision))
    if item is None:
        return Standing()
    best = newest(await revisions(store, name.workload, name.chain))
    is_newest = best[name.workload, name.chain].key == item.key if best else False
    return Standing(parse_chain(item), is_newest)


async def derived_uses(store: Store, workload: str) -> dict[str, dict[str, str]]:
    """Answer, by chain id, the engines wanted by step of each chain that was derived from the workload.

    Chains that were put by hand are none of those: deriving them again would turn them into something else.
    """
    best = newest(await revisions(store, workload))
    items = [await store.get(item.key) for item in best.values()]
    uses: dict[str, dict[str, str]] = {}
    for document in readable(chain_pb2.Chain, [item for item in items if item]):
        name = name_of(document.key)
        if name is not None and document.message.workload_etag:
            uses[name.chain] = dict(document.message.use)
    return uses
