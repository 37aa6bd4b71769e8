"""Worlds for the rules of pools: messages made short, and a world that goes on as the rules say.

Unit tables make single worlds. `Sandbox` is what store, launcher and instances would be together, in
virtual time: properties let anything happen to it, and look whether the rules keep their promises.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from controlplane.switching.launch_states import FINAL, READY, STARTING, Fault, Patience
from controlplane.switching.pool_learning import learned_pool
from controlplane.switching.pool_rules import reconcile
from controlplane.switching.pool_targets import Need, wanted
from controlplane.switching.pool_world import Deed, Plan, World, by_id, launch_id, named, others, pool_of
from enchain.chains.decision_names import UNKNOWN_VERSION, PoolName
from enchain.v1.engine_pb2 import Engine, EngineInstance, Launch, PoolBounds
from enchain.v1.pool_pb2 import Launching, Pool

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HERE = "here"
PATIENCE = Patience(start=60, drain=120, silent=30, stable=60, first_backoff=1, longest_backoff=64)
V1 = PoolName("tool", "1.0")
V2 = PoolName("tool", "2.0")
ROUNDS_MAX = 60
"""Ten seconds each: the longest backoff, the longest start and the longest drain, one after the other."""

UNKNOWN = PoolName("tool", UNKNOWN_VERSION)


def later(seconds: float) -> datetime:
    """So long after `NOW`."""
    return NOW + timedelta(seconds=seconds)


def engine(least: int = 0, most: int = 5, *, command: bool = True, updated: float | None = None) -> Engine:
    """The document of `tool`."""
    made = Engine(
        name="engines/tool",
        launch=Launch(process=["tool-server"] if command else []),
        pool=PoolBounds(min=least, max=most),
    )
    if updated is not None:
        made.update_time.FromDatetime(later(updated))
    return made


def pool(name: PoolName = V1, target: int = 1, *, current: float | None = -60.0, **more: object) -> Pool:
    """A record; `current` says since when the command has this version, in seconds after `NOW`."""
    made = Pool(name=str(name), target=target, **more)  # type: ignore[arg-type]  # fields by name
    if current is not None:
        made.current_since.FromDatetime(later(current))
    return made


def launch(
    number: int = 1,
    state: Launching.State.ValueType = READY,
    *,
    version: str = "1.0",
    launcher: str = HERE,
    deadline: float | None = None,
    ready: float | None = None,
    ended: float | None = None,
    **more: object,
) -> Launching:
    """The launch of a number; times in seconds after `NOW`."""
    made = Launching(
        name=f"engines/tool/launches/{identifier(number)}",
        engine="tool",
        version=version,
        state=state,
        launcher=launcher,
        attempts=1,
        place="" if state == STARTING else f"pid {number}",
    )
    made.MergeFrom(Launching(**more))  # type: ignore[arg-type]  # likewise
    made.create_time.FromDatetime(NOW)
    for time, seconds in (
        (made.deadline, deadline),
        (made.ready_time, ready),
        (made.end_time, ended),
    ):
        if seconds is not None:
            time.FromDatetime(later(seconds))
    return made


def identifier(number: int) -> str:
    """A ULID that sorts by its number."""
    return f"01{number:024d}"


def instance(
    number: int = 1, *, version: str = "1.0", of: str = "tool", draining: bool = False
) -> EngineInstance:
    """The registration of what a launch started."""
    states = EngineInstance.STATE_DRAINING, EngineInstance.STATE_READY
    return EngineInstance(
        name=f"engines/{of}/instances/{identifier(number)}",
        engine=of,
        version=version,
        state=states[0] if draining else states[1],
    )


def world(
    *,
    pools: Iterable[Pool] = (),
    document: Engine | None = None,
    launches: Iterable[Launching] = (),
    instances: Iterable[EngineInstance] = (),
    needs: Mapping[PoolName, Need] | None = None,
    found: Iterable[int] | None = (),
    faults: Mapping[int, Fault] | None = None,
    silent: Mapping[int, float] | None = None,
    strays: Mapping[int, float] | None = None,
    now: float = 0.0,
) -> World:
    """A world of one engine; `found` are the numbers of the launches that run, None where nobody says."""
    return World(
        now=later(now),
        pools={PoolName.parse(each.name): each for each in pools},
        engines={"tool": document} if document is not None else {},
        launches=tuple(launches),
        instances=by_id(instances),
        needs=needs or {},
        launcher=HERE,
        found=None if found is None else {identifier(each): f"pid {each}" for each in found},
        faults={identifier(number): fault for number, fault in (faults or {}).items()},
        silent={identifier(number): seconds for number, seconds in (silent or {}).items()},
        strays={identifier(number): seconds for number, seconds in (strays or {}).items()},
    )


@dataclass
class Sandbox:
    """Store, launcher and instances of one engine, in virtual time.

    Attributes:
        document: The engine's.
        command: The version that its command starts now.
        pools: Records.
        launches: Records by id.
        registered: Registrations by id.
        running: Ids of what runs.
        told: Ids of what was told to end.
        begun: Ids in the order in which they began to run.
        needs: Who needs what.
        faults: What the launcher said, by id; the leader's memory.
        breaking: The command cannot be started.
        silent: The launcher does not say what runs.
    """

    document: Engine
    command: str = "1.0"
    now: datetime = NOW
    pools: dict[PoolName, Pool] = field(default_factory=dict)
    launches: dict[str, Launching] = field(default_factory=dict)
    registered: dict[str, EngineInstance] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    begun: list[str] = field(default_factory=list)
    needs: dict[PoolName, Need] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    quiet: dict[str, datetime] = field(default_factory=dict)
    breaking: bool = False
    silent: bool = False
    _count: int = 0

    def world(self) -> World:
        """What a leader sees now."""
        unregistered = [
            key for key, each in self.launches.items() if each.state == READY and key not in self.registered
        ]
        self.quiet = {key: self.quiet.get(key, self.now) for key in unregistered}
        return World(
            now=self.now,
            pools=dict(self.pools),
            engines={"tool": self.document},
            launches=tuple(self.launches.values()),
            instances=by_id(self.registered.values()),
            needs=dict(self.needs),
            launcher=HERE,
            found=None if self.silent else {key: f"pid of {key}" for key in self.running},
            faults=dict(self.faults),
            silent={key: (self.now - since).total_seconds() for key, since in self.quiet.items()},
        )

    def round(self, *, stored: bool = True, done: bool = True) -> Plan:
        """Let the leader decide; store what it says, unless others were faster, and do it, unless it dies."""
        seen = self.world()
        plan = reconcile(seen, PATIENCE)
        self.check(seen, plan)
        if stored:
            self._store(seen, plan)
            for act in plan.acts if done else ():
                self._do(act.deed, act.launch)
        return plan

    def check(self, seen: World, plan: Plan) -> None:
        """Assert that nothing is launched beyond what is wanted."""
        moved = {each.name: each for each in plan.moved}
        after = [moved.get(each.name, each) for each in seen.launches]
        for name, begun in plan.launching.items():
            need = self.needs.get(name, Need())
            count = wanted(name, seen.pools, self.document, need).count
            ours = [each for each in after if pool_of(each) == name and each.state in {STARTING, READY}]
            assert len(ours) + others(seen, name) + len(begun) <= count, "more than wanted"

    def _store(self, seen: World, plan: Plan) -> None:
        for new in plan.pools:
            self.pools.setdefault(PoolName.parse(new.name), new)
        for learned in plan.learned:
            self.pools[learned.name] = learned_pool(learned.name, seen.pools, self.document, self.now)
            self.pools.pop(PoolName(learned.name.engine, UNKNOWN_VERSION), None)
        for each in plan.moved:
            self.launches[launch_id(each)] = each
        for name, begun in plan.launching.items():
            for each in begun if name in self.pools else ():
                self._count += 1
                made = named(each, identifier(self._count), self.now, PATIENCE)
                self.launches[launch_id(made)] = made
        for each in plan.forgotten:
            self.launches.pop(launch_id(each))

    def _do(self, deed: Deed, key: str) -> None:
        if deed is Deed.START:
            self._start(key)
        elif deed is Deed.KILL:
            self.die(key)
        elif key in self.running:
            self.told.add(key)

    def _start(self, key: str) -> None:
        if key in self.over:
            self.faults[key] = Fault("ENDED", "it has ended", final=True)
        elif self.breaking:
            self.over.add(key)
        elif key not in self.running:
            self.running.add(key)
            self.begun.append(key)

    def register(self) -> None:
        """Let everything that runs and was not told to end say so."""
        for key in sorted(self.running - self.told):
            known = self.registered.get(key)
            version = known.version if known is not None else self.command
            self.registered[key] = EngineInstance(
                name=f"engines/tool/instances/{key}",
                engine="tool",
                version=version,
                state=EngineInstance.STATE_READY,
            )

    def die(self, key: str) -> None:
        """End something, by itself or killed; its registration stays until its lease ends."""
        self.running.discard(key)
        self.over.add(key)

    def end_what_was_told(self) -> None:
        """Let everything that was told to end do so, in good order."""
        for key in list(self.told & self.running):
            self.die(key)
            self.registered.pop(key, None)

    def lapse(self) -> None:
        """Let the leases of what has died end."""
        for key in set(self.registered) - self.running:
            del self.registered[key]

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def settle(self) -> None:
        """Let everything go well until there is nothing to do."""
        self.breaking = self.silent = False
        for _ in range(ROUNDS_MAX):
            if self.round() == Plan() and self.running == set(self.registered):
                return
            self.register()
            self.end_what_was_told()
            self.lapse()
            self.pass_by(10)
        raise AssertionError("it never comes to rest")

    def alive(self, name: PoolName) -> int:
        """How many instances of a version run, and are meant to."""
        return sum(
            key in self.running and pool_of(each) == name and each.state not in FINAL
            for key, each in self.launches.items()
        )
