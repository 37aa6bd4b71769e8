"""What is seen of pools at one moment, and what a plan for them is made of. Pure.

`pool_rules` decides with it, `controlplane.loops.pools` fills it in and carries plans out, and the pool
service shows what it says.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from controlplane.switching.launch_states import Fault, Patience, Sight
from controlplane.switching.pool_targets import Need, Pools
from enchain.chains.decision_names import LaunchName, PoolName
from enchain.v1.engine_pb2 import Engine, EngineInstance
from enchain.v1.pool_pb2 import Launching, Pool


@dataclass(frozen=True, slots=True)
class World:
    """What is seen at one moment. What runs was looked at before the rest, so that it has a record, if any.

    Attributes:
        now: UTC.
        pools: As they are stored.
        engines: Documents by engine id.
        launches: Records, in any order.
        instances: Registrations by instance id, which engines may share.
        needs: Who needs which version.
        launcher: What the launcher of this place is called.
        found: By launch id, what this launcher started and that still runs, with its place; None where it
            does not answer.
        faults: By launch id, what the launcher said instead of starting it.
        silent: By launch id, for how many seconds what was ready and runs has been unregistered.
        strays: By launch id, for how many seconds something has run that should not.
    """

    now: datetime
    pools: Pools = field(default_factory=dict)
    engines: Mapping[str, Engine] = field(default_factory=dict)
    launches: Sequence[Launching] = ()
    instances: Mapping[str, Sequence[EngineInstance]] = field(default_factory=dict)
    needs: Mapping[PoolName, Need] = field(default_factory=dict)
    launcher: str = ""
    found: Mapping[str, str] | None = None
    faults: Mapping[str, Fault] = field(default_factory=dict)
    silent: Mapping[str, float] = field(default_factory=dict)
    strays: Mapping[str, float] = field(default_factory=dict)


class Deed(Enum):
    """What is done to an instance."""

    START = "start"
    DRAIN = "drain"
    """Tell it to take no new work and to end; telling it again is harmless."""
    ASK = "ask"
    """Tell it over the network, since another launcher started it."""
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Act:
    """Something to do, once everything is stored."""

    deed: Deed
    launch: str
    engine: str


@dataclass(frozen=True, slots=True)
class Learned:
    """An engine's command turned out to have a version.

    Attributes:
        name: The pool of that version.
        launch: Name of the launch that told, stored together with this; empty where it is stored already.
    """

    name: PoolName
    launch: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows from a world.

    Attributes:
        pools: Pools to create.
        learned: Versions that launches turned out to have, to be stored with those.
        moved: Launches that are in another state, or place, than is stored.
        launching: By pool, launches to begin; their names and deadlines are the caller's to give.
        forgotten: Launches that are over long since.
        acts: What to do.
        due: When to look again at the latest; None where nothing waits for time.
    """

    pools: tuple[Pool, ...] = ()
    learned: tuple[Learned, ...] = ()
    moved: tuple[Launching, ...] = ()
    launching: Mapping[PoolName, tuple[Launching, ...]] = field(default_factory=dict)
    forgotten: tuple[Launching, ...] = ()
    acts: tuple[Act, ...] = ()
    due: datetime | None = None


def launch_id(launch: Launching) -> str:
    """Answer the id of a launch, which is its instance's too."""
    return launch.name.rpartition("/")[2]


def pool_of(launch: Launching) -> PoolName:
    """Answer the pool that a launch counts in: that of the version which it turned out to have."""
    return PoolName(launch.engine, launch.version)


def by_id(instances: Iterable[EngineInstance]) -> dict[str, list[EngineInstance]]:
    """Order registrations by the id of the instance."""
    found: dict[str, list[EngineInstance]] = {}
    for instance in instances:
        found.setdefault(instance.name.rpartition("/")[2], []).append(instance)
    return found


def sight_of(world: World, launch: Launching) -> Sight:
    """Answer what is seen of one launch."""
    identifier = launch_id(launch)
    told = world.instances.get(identifier, ())
    elsewhere = launch.launcher != world.launcher
    found = world.found
    return Sight(
        registered=next((each for each in told if each.engine == launch.engine), told[0] if told else None),
        running=None if elsewhere or found is None else identifier in found,
        elsewhere=elsewhere,
        place=(found or {}).get(identifier, ""),
        fault=world.faults.get(identifier),
        silent_seconds=world.silent.get(identifier, 0.0),
    )


def others(world: World, name: PoolName) -> int:
    """Count the ready instances of a version that nobody launched here."""
    launched = {launch_id(launch) for launch in world.launches if launch.engine == name.engine}
    return sum(
        (each.engine, each.version) == (name.engine, name.version)
        and each.state == EngineInstance.STATE_READY
        for identifier, told in world.instances.items()
        if identifier not in launched
        for each in told
    )


def named(launch: Launching, identifier: str, now: datetime, patience: Patience) -> Launching:
    """Answer a launch that is about to begin with its name and its times."""
    begun = Launching()
    begun.CopyFrom(launch)
    begun.name = str(LaunchName(launch.engine, identifier))
    begun.create_time.FromDatetime(now)
    begun.deadline.FromDatetime(now + timedelta(seconds=patience.start))
    return begun
