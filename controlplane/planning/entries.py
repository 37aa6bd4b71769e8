"""Moments that a chain is sized for, as arrays, and what happens in its pools at a given size. Pure.

An entry is a row at a rate, with what others put on its pools then. Sizing asks what each size does; costs
ask the same of every part of the distribution of demand.
"""

from dataclasses import dataclass

import numpy as np

from controlplane.planning.arrays import Rows
from controlplane.planning.completion import Waits, done_by
from controlplane.planning.queueing import FloatArray, IntArray, erlang_c
from controlplane.planning.rules import SATURATED

_CHUNK = 8192

_NEVER = 1e-6
"""Waits as unlikely as that make nothing late."""


@dataclass(frozen=True, slots=True)
class Entries:
    """Moments; e entries, p pools.

    Attributes:
        row: Shape (e,): of which row.
        rate: Shape (e,): provisions an hour.
        other: Shape (e, p): work of other workloads in flight.
        strata: Shape (e, s): the mean rate of each part of the distribution of demand.
    """

    row: IntArray
    rate: FloatArray
    other: FloatArray
    strata: FloatArray

    def pick(self, index: IntArray) -> "Entries":
        """Answer some of them."""
        return Entries(self.row[index], self.rate[index], self.other[index], self.strata[index])

    def spread(self) -> "Entries":
        """Answer an entry for each part of the distribution of each, one after the other."""
        parts = self.strata.shape[1]
        return Entries(
            np.repeat(self.row, parts),
            self.strata.ravel(),
            np.repeat(self.other, parts, axis=0),
            np.zeros((self.strata.size, 0)),
        )


@dataclass(frozen=True, slots=True)
class Queues:
    """What happens in the pools of entries at a given size.

    Attributes:
        chance: Shape (e, p): a call has to wait.
        own_seconds: Shape (e, p): the mean wait behind work of this workload, of those who wait behind it.
        other_seconds: Shape (e, p): the same behind work of others.
        own_share: Shape (e, p): who waits, waits behind this workload's work with this chance.
        carried: Shape (e,): the share of provisions that pools can carry; below 1 queues grow.
    """

    chance: FloatArray
    own_seconds: FloatArray
    other_seconds: FloatArray
    own_share: FloatArray
    carried: FloatArray

    @property
    def mean_seconds(self) -> FloatArray:
        """Answer how long a call waits on average, shape (e, p)."""
        behind = self.own_share * self.own_seconds + (1 - self.own_share) * self.other_seconds
        return self.chance * behind


def queues(rows: Rows, entries: Entries, sizes: IntArray) -> Queues:
    """Work out the queues of pools at such sizes, shape (e, p).

    Where a pool is saturated as much of this workload's work is turned away as it takes to bring it back to
    `SATURATED`: it counts as not carried. Others' work alone may saturate a pool; then nothing is carried.
    """
    row = entries.row
    servers = sizes * rows.places[row]
    own = rows.load[row] * entries.rate[:, None]
    room = np.maximum(SATURATED * servers - entries.other, 0.0)
    fits = np.ones(own.shape)
    np.divide(room, own, out=fits, where=own > room)
    whole = own + entries.other
    load = np.minimum(own, room) + np.minimum(entries.other, SATURATED * servers)
    used = rows.used[row] & (load > 0)
    chance = np.zeros(load.shape)
    chance[used] = erlang_c(servers[used], load[used])
    free = np.maximum(servers - load, 1.0 - SATURATED)
    share = np.ones(load.shape)
    np.divide(own, whole, out=share, where=whole > own)
    return Queues(
        chance=chance,
        own_seconds=rows.own[row] / free,
        other_seconds=rows.other[row] / free,
        own_share=share,
        carried=np.min(np.where(rows.used[row], fits, 1.0), axis=1),
    )


def waiting(carried: FloatArray, seconds: FloatArray, part_seconds: FloatArray) -> FloatArray:
    """Answer how long provisions wait on average, carried or not; broadcast against each other.

    Who finds a saturated pool waits until its part of the horizon is over, half of it on average, and never
    less than those who are served: being turned away saves nobody a wait, and more instances never add one.

    Args:
        carried: The share of provisions that pools can carry.
        seconds: How long those wait.
        part_seconds: How long the part of the horizon is.
    """
    return carried * seconds + (1.0 - carried) * np.maximum(seconds, part_seconds / 2)


def late(rows: Rows, entries: Entries, found: Queues) -> FloatArray:
    """Answer the share of provisions, of those that succeed, that are too slow or not carried at all."""
    row = entries.row
    slow = np.where(rows.promised[row] > 0, 1.0 - rows.service[-1, row], 0.0)
    judged = np.flatnonzero((rows.promised[row] > 0) & (found.chance.max(axis=1, initial=0.0) > _NEVER))
    for start in range(0, len(judged), _CHUNK):
        part = judged[start : start + _CHUNK]
        slow[part] = 1.0 - reached(rows, entries, found, part)[-1]
    return 1.0 - found.carried * (1.0 - slow)


def reached(rows: Rows, entries: Entries, found: Queues, part: IntArray) -> FloatArray:
    """Answer by when provisions of some entries are done, shape (CELLS + 1, len(part)), up to the promise."""
    row = entries.row[part]
    service = np.take(rows.service, row, axis=1)
    return done_by(service, waits_of(rows, row, found, part), rows.promised[row])


def waits_of(rows: Rows, row: IntArray, found: Queues, part: IntArray) -> list[Waits]:
    """Answer the waits for each call of some entries, whose rows are `row`."""
    every = []
    for call in range(rows.visits.shape[1]):
        pool = rows.visits[row, call]
        at = (part, np.maximum(pool, 0))
        chance = np.where(pool >= 0, found.chance[at], 0.0)
        behind = found.own_share[at]
        alike = found.own_seconds[at] == found.other_seconds[at]
        own = np.where(alike, chance, chance * behind)
        every.append(Waits(own, found.own_seconds[at], chance - own, found.other_seconds[at]))
    return every
