"""Electing one leader among the replicas of the control plane, through etcd.

`controlplane/main.py` owns the task `run`. There is one key, `live/leader/controlplane`; whoever creates it
while it is absent leads until it is gone, and its create revision is the fence of that term. One key rather
than one for each candidate in order of creation: who leads is one look, every fence compares the same key,
and an operator ends a term by deleting it. What that gives up is an order among those who wait, which a
handful of equal replicas do not need.

The end of a term is noticed by the lease, which counts on the monotonic clock and needs no store, and by
watching the key. Then the loops are cancelled and awaited before this replica stands again, each time under a
new lease, so that no term has the fence of another.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from random import Random
from typing import Protocol

from controlplane.loops.leadership import FencedStore, Leadership, LeadershipLostError
from enchain.chains.errors import EnchainError, UnsettledError
from enchain.chains.names import control_plane_name
from enchain.process.clock import Clock
from enchain.process.lifecycle import TaskEndedError, Tasks
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.follow import follow, full_jitter
from enchain.state.leases import Lease
from enchain.state.store import EventKind, Put, Store, Txn, absent
from enchain.v1 import presence_pb2

LEADER_KEY = keys.leader("controlplane")

_log = get_logger(__name__)
_meter = meter(__name__)
_leading = _meter.create_up_down_counter("enchain.leader.leading", "{term}", "1 while this replica leads.")
_terms = _meter.create_counter("enchain.leader.terms", "{term}", "Elections that this replica won.")
_failures = _meter.create_counter(
    "enchain.leader.loop_failures", "{failure}", "Terms given up because a loop failed."
)


class LeaderLoop(Protocol):
    """Something that only the leader does."""

    @property
    def name(self) -> str:
        """What it does, for the name of its task."""

    async def run(self, store: Store) -> None:
        """Do it until cancelled; it is begun anew in each term.

        Args:
            store: Fenced: after the term its writes raise `LeadershipLostError`, which may be let through.
        """


class Election:
    """One replica's part in the election.

    Args:
        store: The store.
        replica: The replica's id.
        address: Where it serves; for people to see.
        ttl_seconds: How long its leadership outlives it.
        clock: Time.
        rng: Jitter.
    """

    def __init__(
        self, store: Store, replica: str, address: str, *, ttl_seconds: int, clock: Clock, rng: Random
    ) -> None:
        self._store = store
        self._replica = replica
        self._address = address
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._rng = rng

    async def run(self, loops: Sequence[LeaderLoop]) -> None:
        """Stand by, lead, stand by again, for ever. Cancelled while it leads, it hands the office on."""
        failures = 0
        while True:
            await self._vacancy()
            lease = Lease(self._store, self._ttl_seconds, clock=self._clock, name=self._replica)
            try:
                leadership = await self._stand(lease)
                well = leadership is None or await self._lead(leadership, loops)
                failures = 0 if well else failures + 1
                if leadership is not None:
                    await self._give_up(lease)
            except EnchainError as error:
                failures += 1
                _log.warning("not elected", replica=self._replica, reason=error.message)
            finally:
                await lease.stop()
            if failures:
                await self._clock.sleep(full_jitter(failures, self._rng))

    async def _vacancy(self) -> None:
        """Wait until nobody leads."""
        held = False
        followed = follow(self._store, LEADER_KEY, clock=self._clock, rng=self._rng)
        async with aclosing(followed) as batches:
            async for batch in batches:
                for event in batch.events:
                    held = event.kind is EventKind.PUT
                if not held:
                    return

    async def _stand(self, lease: Lease) -> Leadership | None:
        """Try once to become leader; None where another one was faster."""
        granted = await lease.start()
        presence = presence_pb2.LeaderPresence(name=control_plane_name(self._replica), address=self._address)
        presence.time.FromDatetime(self._clock.now())
        create = Txn((absent(LEADER_KEY),), (Put(LEADER_KEY, encode(presence), granted),))
        try:
            result = await self._store.commit(create)
        except UnsettledError:
            # The lease is nobody else's, so the key says whether this was done. Where it comes later still,
            # it finds the lease gone.
            item = await self._store.get(LEADER_KEY)
            fence = item.create_revision if item is not None and item.lease == granted else 0
        else:
            fence = result.revision if result.succeeded else 0
        return Leadership(LEADER_KEY, fence, lease) if fence else None

    async def _lead(self, leadership: Leadership, loops: Sequence[LeaderLoop]) -> bool:
        """Run the loops until the term is over and they have ended; false where one of them failed."""
        _log.info("elected", replica=self._replica, fence=leadership.fence)
        _terms.add(1)
        _leading.add(1)
        store = FencedStore(self._store, leadership)
        try:
            async with Tasks() as tasks:
                tasks.start("mind the leader's lease", self._mind(leadership))
                tasks.start("watch the leader's key", self._watch(leadership))
                for loop in loops:
                    tasks.once(f"{loop.name}, as leader", _run(loop, store, leadership))
                await leadership.over.wait()
        except TaskEndedError as error:
            # The services of this replica go on; the loops may fare better elsewhere.
            leadership.end(error.message)
            _failures.add(1)
            return False
        finally:
            _leading.add(-1)
            _log.info("leading no more", replica=self._replica, reason=leadership.reason or "stopping")
        return True

    async def _mind(self, leadership: Leadership) -> None:
        """End the term before its lease may be over."""
        while (left := leadership.remaining()) > 0:
            await self._clock.sleep(left)
        leadership.end("its lease may be over")
        await _for_ever()

    async def _watch(self, leadership: Leadership) -> None:
        """End the term when its key is gone."""
        fence = 0
        followed = follow(self._store, LEADER_KEY, clock=self._clock, rng=self._rng)
        async with aclosing(followed) as batches:
            async for batch in batches:
                for event in batch.events:
                    fence = event.item.create_revision if event.kind is EventKind.PUT else 0
                if fence != leadership.fence:
                    leadership.end("another one was elected" if fence else "its key is gone")

    async def _give_up(self, lease: Lease) -> None:
        """End the lease of a term that is over, however long the store is silent.

        Else the office would stay empty for the lease's time, which etcd begins anew after a failover.
        """
        await lease.stop(revoke=False)
        failures = 0
        while True:
            try:
                await self._store.revoke(lease.id)
            except EnchainError:
                failures += 1
                await self._clock.sleep(full_jitter(failures, self._rng))
            else:
                return


async def _run(loop: LeaderLoop, store: FencedStore, leadership: Leadership) -> None:
    """Run one loop; that the term is over is no failure of it.

    Raises:
        TaskEndedError: It failed, or ended within the term.
    """
    try:
        await loop.run(store)
    except LeadershipLostError:
        leadership.end("a write was refused")
    except Exception as error:
        _log.exception("leader's loop failed", loop=loop.name)
        raise TaskEndedError(f"the loop '{loop.name}' failed: {error}") from error
    if not leadership.over.is_set():
        raise TaskEndedError(f"the loop '{loop.name}' ended within the term")


async def _for_ever() -> None:
    """Wait to be cancelled."""
    await asyncio.Event().wait()
