"""Breaking and mending: the faults of a plan, on real processes and connections.

`__main__` runs it beside the stories, in two lanes. At most one etcd member, one control plane and one
instance of an engine are out at the same time, and one router of the three always works.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.chaos.house import ROUTERS, House
from benchmarks.chaos.plan import HITTING, Fault, Plan
from benchmarks.chaos.targets import Running, leading, running
from enchain.chains.errors import EnchainError
from tests.harness.proxy import Proxy

LANES = 2
LEADING = frozenset({"control", "leader"})
"""Roles that may hit who leads."""

LOOK_SECONDS = 0.1
LOOKS_MAX = 600
"""Looks for a step that runs, before a fault is given up."""


@dataclass(slots=True)
class Done:
    """One fault as it was.

    Attributes:
        target: The process that was hit; empty where none was found.
        operations: The operations whose step ran there just then.
        led: It was the control plane that led just then.
        after_seconds: When, from the beginning.
    """

    fault: Fault
    target: str = ""
    operations: list[str] = field(default_factory=list)
    led: bool = False
    after_seconds: float = 0.0

    @property
    def hit(self) -> bool:
        """It hit the owner or the engine instance of a step that ran."""
        return self.fault.role in HITTING and bool(self.operations)


@dataclass(slots=True)
class Faults:
    """The faults of a run.

    Args:
        house: What is broken and mended.
        plan: Which faults.
    """

    house: House
    plan: Plan
    done: list[Done] = field(default_factory=list)
    out: set[str] = field(default_factory=set)
    began: float = 0.0
    hit_before: dict[str, int] = field(default_factory=dict)

    def share_done(self) -> float:
        """Answer which share of them is done."""
        return len(self.done) / max(1, len(self.plan.faults))

    async def do_all(self, stories_begun: Callable[[], float]) -> None:
        """Do all of them, two at a time, spread over the stories.

        Args:
            stories_begun: Answers which share of the stories has begun.
        """
        self.began = asyncio.get_running_loop().time()
        waiting = deque(enumerate(self.plan.faults))

        async def lane() -> None:
            while waiting:
                index, fault = waiting.popleft()
                while stories_begun() < index / len(self.plan.faults):  # noqa: ASYNC110 - stories tell nobody
                    await asyncio.sleep(LOOK_SECONDS)
                await self._do(fault)

        async with asyncio.TaskGroup() as group:
            for number in range(LANES):
                group.create_task(lane(), name=f"fault lane {number}")

    async def _do(self, fault: Fault) -> None:
        done = Done(fault)
        for _ in range(LOOKS_MAX):
            if await self._try(fault, done):
                break
            await asyncio.sleep(LOOK_SECONDS)
        self.done.append(done)

    async def _try(self, fault: Fault, done: Done) -> bool:
        """Do a fault, if somebody may be hit now."""
        at_work = await self._running() if fault.role in HITTING else []
        leader = await self._leading() if fault.role in LEADING else ""
        target = self._choose(fault, at_work, leader)
        if not target:
            return False
        self.out.add(target)
        try:
            done.after_seconds = round(asyncio.get_running_loop().time() - self.began, 1)
            self._break(fault, target)
            done.target, done.led = target, target == leader
            done.operations = await self._hit(fault, target, at_work)
            await asyncio.sleep(fault.seconds)
        finally:
            await self._mend(fault, target)
            self.out.discard(target)
        return True

    async def _running(self) -> list[Running]:
        try:
            return await running(self.house.store)
        except EnchainError:
            return []  # etcd elects a leader; the next look will do

    async def _leading(self) -> str:
        """Answer the process name of the control plane that leads; empty where none does."""
        try:
            replica = await leading(self.house.store)
        except EnchainError:
            return ""
        # One that is started again is another replica, though its key may stand until its lease is over.
        children = self.house.cluster.children.items()
        return next((name for name, child in children if replica and child.ready.get("id") == replica), "")

    async def _hit(self, fault: Fault, target: str, before: list[Running]) -> list[str]:
        """Answer the operations whose step ran there before the fault, and still did after it."""
        meant = {found for found in before if found.hit(fault.role) == target}
        now = await self._running() if meant else []
        operations = [found.operation for found in now if found in meant]
        for operation in operations:
            self.hit_before[operation] = self.hit_before.get(operation, 0) + 1
        return operations

    def _choose(self, fault: Fault, at_work: list[Running], leader: str) -> str:
        """Answer who is hit, or nothing: nobody can be hit just now."""
        if fault.role in HITTING:
            free = [found for found in at_work if self._may_hit(found.hit(fault.role))]
            least = min((self.hit_before.get(found.operation, 0) for found in free), default=0)
            fresh = [found for found in free if self.hit_before.get(found.operation, 0) == least]
            names = [found.hit(fault.role) for found in fresh]
        elif fault.role == "leader":
            names = [leader] if self._may_hit(leader) else []
        elif fault.role == "etcd":
            names = [name for number in range(3) if self._may_hit(name := f"etcd-{number}")]
        else:
            children = self.house.cluster.children.values()
            names = [c.planned.name for c in children if c.planned.role == "controlplane"]
            names = [name for name in names if self._may_hit(name)]
        return names[int(fault.dice * len(names))] if names else ""

    def _may_hit(self, target: str) -> bool:
        kind = _kind(target)
        others = len([name for name in self.out if _kind(name) == kind])
        room = ROUTERS - 1 if kind == "router" else 1
        known = kind == "etcd" or target in self.house.cluster.children
        return known and target not in self.out and others < room

    def _break(self, fault: Fault, target: str) -> None:
        if target.startswith("etcd-"):
            self._break_member(fault, int(target.removeprefix("etcd-")))
        elif fault.kind == "kill":
            self.house.killed.add(self.house.cluster.kill(target))
        elif fault.kind == "freeze":
            self.house.cluster.freeze(target)
        else:
            for proxy in self.house.links[target]:
                _cut(proxy, fault)

    def _break_member(self, fault: Fault, number: int) -> None:
        member = self.house.members[number]
        if fault.kind == "kill":
            member.kill()
        elif fault.kind == "freeze":
            member.freeze()
        else:
            for proxies in self.house.links.values():
                _cut(proxies[number], fault)

    async def _mend(self, fault: Fault, target: str) -> None:
        if target.startswith("etcd-"):
            await self._mend_member(fault, int(target.removeprefix("etcd-")))
        elif fault.kind == "kill":
            await self.house.cluster.restart(target)
        elif fault.kind == "freeze":
            self.house.cluster.thaw(target)
        else:
            for proxy in self.house.links[target]:
                _join(proxy)

    async def _mend_member(self, fault: Fault, number: int) -> None:
        member = self.house.members[number]
        if fault.kind == "kill":
            await member.restart()
        elif fault.kind == "freeze":
            member.thaw()
        else:
            for proxies in self.house.links.values():
                _join(proxies[number])


def _kind(name: str) -> str:
    return name.partition("-")[0]


def _cut(proxy: Proxy, fault: Fault) -> None:
    """Lose all packets, or break all connections and take none."""
    if fault.silent:
        proxy.stall()
    else:
        proxy.refuse()


def _join(proxy: Proxy) -> None:
    proxy.resume()
    proxy.accept()
