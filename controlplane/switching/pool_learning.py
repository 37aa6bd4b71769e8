"""What a pool becomes once it is known which version an engine's command has. Pure.

The leader's loop asks it when an instance that it launched has told its version.
"""

from datetime import UTC, datetime

from controlplane.switching.pool_targets import Pools
from enchain.chains.decision_names import UNKNOWN_VERSION, PoolName
from enchain.v1.engine_pb2 import Engine
from enchain.v1.pool_pb2 import Pool


def learned_pool(name: PoolName, pools: Pools, engine: Engine, now: datetime) -> Pool:
    """Answer the pool of a version that is current from now on.

    What was asked of the pool whose version was not known yet is asked of this one; the larger wish counts.
    """
    known, unknown = pools.get(name), pools.get(PoolName(name.engine, UNKNOWN_VERSION))
    pool = Pool()
    pool.CopyFrom(known or unknown or Pool(set_by="enchain"))
    if known is not None and unknown is not None:
        _add(pool, unknown)
    pool.name = str(name)
    # A document that another clock dates later than this one must not look newer than what it led to.
    pool.current_since.FromDatetime(max(now, engine.update_time.ToDatetime(UTC)))
    return pool


def _add(pool: Pool, unknown: Pool) -> None:
    if unknown.target > pool.target and not pool.pinned:
        pool.target, pool.reason, pool.set_by = unknown.target, unknown.reason, unknown.set_by
    pool.pinned = pool.pinned or unknown.pinned
    for workload, demand in unknown.demands.items():
        pool.demands[workload] = max(demand, pool.demands.get(workload, 0.0))
    for switch, count in unknown.holds.items():
        pool.holds[switch] = max(count, pool.holds.get(switch, 0))
