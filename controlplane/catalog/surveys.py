"""What there is before a route is moved: chains, instances, engines, pools, and whom it touches.

`controlplane.catalog.routes` and the leader's loop read through it. It reads and writes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from controlplane.catalog.documents import Document, readable, scan
from controlplane.catalog.instances import gaps, live
from controlplane.catalog.pool_needs import Needs
from controlplane.catalog.pool_reading import pool_name_of, read_world
from controlplane.catalog.revisions import find, name_of, require
from controlplane.catalog.users import Users, users_of
from controlplane.switching import holding
from controlplane.switching.holding import Fleet
from controlplane.switching.impact import differences, drained
from controlplane.switching.launch_states import Patience
from controlplane.switching.pool_view import shown
from controlplane.switching.predicting import predict, write_prediction
from enchain.chains import chains
from enchain.chains.decision_names import PoolName
from enchain.chains.errors import CallerError, MalformedError, NotFoundError, PreconditionError
from enchain.chains.names import ChainName, workload_name
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import chain_pb2, engine_pb2, pool_pb2, profile_pb2


async def fleet(store: Store) -> Fleet:
    """Read all instances, engine documents and pools."""
    engines = [item async for item in scan(store, keys.ENGINES)]
    pools = [item async for item in scan(store, keys.POOLS)]
    return Fleet(
        await live(store),
        {
            document.key.removeprefix(keys.ENGINES): document.message
            for document in readable(engine_pb2.Engine, engines)
        },
        {
            name: document.message
            for document in readable(pool_pb2.Pool, pools)
            if (name := pool_name_of(document.key)) is not None
        },
    )


async def problems(
    store: Store, needs: Needs, names: Iterable[PoolName], now: datetime
) -> dict[PoolName, str]:
    """Answer why instances of some versions that are wanted are not there; nothing where nothing is amiss."""
    seen = await read_world(store, needs, now)
    found = {name: shown(seen.world, name, Patience()).problem for name in names}
    return {name: problem for name, problem in found.items() if problem}


async def known_chains(store: Store, names: Iterable[str]) -> list[chain_pb2.Chain]:
    """Read chains, as far as they are there and can be read."""
    found = []
    for name in names:
        try:
            document = await find(store, ChainName.parse(name, "chain", whole=True))
        except (CallerError, MalformedError):
            continue
        if document is not None:
            found.append(document.message)
    return found


async def usable(store: Store, name: ChainName) -> Document[chain_pb2.Chain]:
    """Read a chain that is to get requests, and check it whole: it may have been put by hand.

    Raises:
        NotFoundError: It is not there.
        PreconditionError: It is not whole.
    """
    try:
        document = await require(store, name)
        found = name_of(document.key)
        # Once more from its bytes: reading has named it by its key, whatever name it gives itself.
        chains.check(decode(chain_pb2.Chain, document.value, key=document.key), key=found)
    except NotFoundError:
        raise
    except (CallerError, MalformedError) as error:
        raise PreconditionError(
            f"{name} is not whole: {error.message}",
            reason="INVALID_CHAIN",
            remedy="Put a whole chain, or switch to another one.",
            metadata={"name": str(name), "fault": error.reason},
            violations=error.violations,
        ) from error
    return document


async def touched(store: Store, losing: frozenset[str]) -> Users:
    """Find out whose operations and resources are on chains that lose all their buckets."""
    return await users_of(store, lambda _, chain: chain in losing)


def impact_of(
    workload: str,
    targets: Sequence[Document[chain_pb2.Chain]],
    old: Sequence[chain_pb2.Chain],
    seen: Fleet,
    need: Mapping[PoolName, int],
    users: Users,
    profiles: Sequence[profile_pb2.PerformanceProfile] = (),
) -> chain_pb2.SwitchImpact:
    """Put together what a move would do."""
    new = [document.message for document in targets]
    leaving = [chain for chain in old if chain.name not in {each.name for each in new}]
    impact = chain_pb2.SwitchImpact(
        operations_running=users.operations,
        resources_bound=users.resources,
        gaps=dict.fromkeys(gap for chain in new for gap in gaps(chain, seen.instances)),
        operations=users.operation_names,
        resources=users.resource_names,
        differences=differences(leaving, new, seen),
        launched=holding.launched(need, seen),
        drained=drained(leaving, new, seen, workload_name(workload)),
    )
    if len(old) == len(new) == 1:
        before, after = (predict(each[0], profiles, seen.engines) for each in (old, new))
        write_prediction(impact, before, after)
    return impact
