"""Reading what a plan rests on: documents, measurements, forecasts and pools of the store.

The catalogue of recommendations and the planning loop call it, on any replica. It decides nothing and writes
nothing. A value that somebody put by hand and that cannot be read costs itself alone.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from controlplane.catalog.documents import read, readable, scan
from controlplane.catalog.instances import live
from controlplane.catalog.objections import objections, reach
from controlplane.catalog.pool_needs import Needs
from controlplane.catalog.pool_reading import read_world
from controlplane.catalog.profiles import ProfileCatalog
from controlplane.catalog.recommendation_rules import Recommendation, cool_down_of, rejected_chains
from controlplane.catalog.removal import not_found
from controlplane.catalog.revisions import newest, parse_chain, revisions
from controlplane.catalog.switches import SwitchLog
from controlplane.demand.request_rate import RequestRateReader, Statistics
from controlplane.experiments.predictions import doubted, doubts
from controlplane.planning.assembling import Known, Version
from controlplane.planning.recent import reactive_rate
from controlplane.switching.exploring import explores
from controlplane.switching.launch_states import Patience
from controlplane.switching.pool_targets import why_not_launchable
from controlplane.switching.pool_view import shown
from enchain.chains.errors import EnchainError, MalformedError
from enchain.chains.names import ChainName, SwitchName, workload_id, workload_name
from enchain.chains.routes import chains_of
from enchain.process.logs import get_logger
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import (
    chain_pb2,
    engine_pb2,
    experiment_pb2,
    forecast_pb2,
    operation_pb2,
    pool_pb2,
    workload_pb2,
)

GRIDS = ("5m", "1h")
"""Grids of forecasts, the one that is planned on first."""

SIGNALS = ("requests", "cpu", "memory", "network")

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """What plans of several workloads rest on alike.

    Attributes:
        engines: Documents by engine id.
        instances: What runs.
        pools: As they are shown, by engine and version.
        routed: Workloads whose routes lead to a version.
        bound: Versions that stand for resources and could not be started again.
        resources: How many there are, by workload name.
    """

    engines: Mapping[str, engine_pb2.Engine]
    instances: Sequence[engine_pb2.EngineInstance]
    pools: Mapping[Version, pool_pb2.Pool]
    routed: Mapping[Version, Collection[str]]
    bound: Collection[Version]
    resources: Mapping[str, int]


async def shared(store: Store, now: datetime, *, of_resources: bool = True) -> Shared:
    """Read what plans of all workloads rest on.

    Args:
        store: What is read.
        now: What time it is.
        of_resources: Count resources too. There may be very many, and only forecasts of utilisation ask.
    """
    seen = await read_world(store, Needs(store), now)
    world = seen.world
    return Shared(
        engines=world.engines,
        instances=await live(store),
        pools={(name.engine, name.version): shown(world, name, Patience()) for name in world.pools},
        routed={(name.engine, name.version): need.routes for name, need in world.needs.items()},
        bound=[
            (name.engine, name.version)
            for name, need in world.needs.items()
            if need.resources and why_not_launchable(name, world.engines.get(name.engine), world.pools)
        ],
        resources=await _resources(store) if of_resources else {},
    )


async def known_of(
    store: Store, workload: str, now: datetime, shared: Shared, profiles: ProfileCatalog
) -> Known:
    """Read all that is known of a workload.

    Args:
        store: What is read.
        workload: Its id.
        now: What time it is.
        shared: What plans of all workloads rest on.
        profiles: Measurements; it remembers those that have not changed.

    Raises:
        NotFoundError: There is no such workload.
    """
    document = await read(store, workload_pb2.Workload, keys.workload(workload))
    if document is None:
        raise not_found(workload)
    document.message.name = workload_name(workload)
    route = await read(store, chain_pb2.Route, keys.route(workload))
    chains = await _chains(store, workload, None if route is None else route.message)
    worth = doubts(await _experiments(store, workload), now)
    return Known(
        workload=document.message,
        chains=chains,
        route=None if route is None else route.message,
        switch_time=await _switch_time(store, None if route is None else route.message),
        profiles=doubted(await profiles.of_workload(workload), chains, worth),
        engines=shared.engines,
        instances=shared.instances,
        pools=shared.pools,
        needed=_needed(shared, workload),
        forecasts=await _forecasts(store, workload),
        reactive_rate=await _reactive(store, workload, now),
        resources=shared.resources.get(workload_name(workload), 0),
        rejected=rejected_chains(await recommendations(store, workload), now),
        objections=await _objections(store, document.message, chains, now),
    )


def _needed(shared: Shared, workload: str) -> frozenset[Version]:
    """Answer the versions that are kept whatever a workload takes: for others' routes, or for resources."""
    others = (version for version, routes in shared.routed.items() if set(routes) - {workload})
    return frozenset((*others, *shared.bound))


async def recommendations(store: Store, workload: str) -> Sequence[Recommendation]:
    """Read a workload's recommendations, newest first."""
    items = [item async for item in scan(store, keys.recommendations_of(workload))]
    found = readable(Recommendation, sorted(items, key=lambda item: -item.create_revision))
    return [document.message for document in found]


async def _experiments(store: Store, workload: str) -> Sequence[experiment_pb2.Experiment]:
    """Read a workload's experiments: those that are concluded say which predictions did not hold."""
    items = [item async for item in scan(store, keys.experiments_of(workload))]
    return [document.message for document in readable(experiment_pb2.Experiment, items)]


async def _chains(store: Store, workload: str, route: chain_pb2.Route | None) -> list[chain_pb2.Chain]:
    """Read the newest revision of each chain, and those in force."""
    wanted = {item.key for item in newest(await revisions(store, workload)).values()}
    for name in chains_of(route) if route is not None else ():
        chain = ChainName.parse(name, "chain", whole=True)
        wanted.add(keys.chain(chain.workload, chain.chain, chain.revision))
    found = []
    for key in sorted(wanted):
        item = await store.get(key)
        try:
            if item is not None:
                found.append(parse_chain(item).message)
        except MalformedError as error:
            _log.warning("chain left out of planning", key=key, fault=error.message)
    return found


async def _switch_time(store: Store, route: chain_pb2.Route | None) -> datetime | None:
    """Answer when the workload came to its chain: exploring leaves it there, and begins no cool-down."""
    if route is None or not route.chain_switch:
        return None
    log = SwitchLog(store)
    try:
        switch = await log.named(route.chain_switch)
        if switch is not None and explores(switch):
            past = await log.newest_first(SwitchName.parse(switch.name).workload)
            moving = (each for each in past if each.HasField("activate_time") and not explores(each))
            switch = next(moving, None)
    except EnchainError:
        return None
    return None if switch is None else switch.create_time.ToDatetime(UTC)


async def _objections(
    store: Store, workload: workload_pb2.Workload, chains: Sequence[chain_pb2.Chain], now: datetime
) -> Mapping[str, str]:
    """Answer what speaks against chains by what became of switches."""
    cool_down = cool_down_of(workload.planning)
    past = await SwitchLog(store).since(workload_id(workload.name), now - reach(cool_down))
    return objections(past, [chain.name for chain in chains], cool_down, now)


async def _forecasts(store: Store, workload: str) -> dict[str, forecast_pb2.Forecast]:
    """Read the newest forecast of each signal, on the finest grid that there is."""
    found: dict[str, forecast_pb2.Forecast] = {}
    for signal in SIGNALS:
        for grid in GRIDS:
            item = await store.get(keys.forecast(workload, f"{signal}-{grid}"))
            for document in readable(forecast_pb2.Forecast, [item] if item else []):
                document.message.name = f"{workload_name(workload)}/forecasts/{signal}-{grid}"
                found.setdefault(signal, document.message)
    return found


async def _reactive(store: Store, workload: str, now: datetime) -> float:
    item = await store.get(keys.learned(RequestRateReader.name, workload))
    for document in readable(Statistics, [item] if item else []):
        return reactive_rate(document.message, now)
    return 0.0


async def _resources(store: Store) -> Mapping[str, int]:
    items = [item async for item in scan(store, keys.RESOURCES)]
    return Counter(document.message.workload for document in readable(operation_pb2.Resource, items))
