"""How many instances pay for themselves: they save more waiting and misses than they cost. Pure.

Sizing calls it for a lower bound of each pool by itself. Here a provision counts as too slow where the waits
in this pool alone make it so: what pools do to each other is left to the search and to the costs. It must
never take the first instance that does not pay for the last that does while demand may saturate the pool.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from controlplane.planning.arrays import BoolArray, Rows
from controlplane.planning.demand import stratum_weights
from controlplane.planning.durations import DECAYS
from controlplane.planning.entries import Entries, waiting
from controlplane.planning.queueing import FloatArray, IntArray, erlang_c
from controlplane.planning.rules import IDLE_CHANCE, SATURATED
from controlplane.planning.sums import weighted

_LOGS = np.log(DECAYS)
_TINY = 1e-9

_LITTLE = 1e-3
"""Money an hour that no instance is worth, where calls hardly ever wait: not even one that is free."""


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pools of entries, one by one; k of them, s parts of the distribution of demand.

    Attributes:
        at: Where it is among all pools of all entries.
        row: Of which row.
        places: Of an instance.
        rates: Shape (k, s): provisions an hour.
        load: Work in flight for one provision an hour.
        other: Work of others in flight.
        calls: How many calls of a provision go to it.
        own_left: What is left on average of this workload's calls in progress, in seconds.
        other_left: The same of others' calls.
        price: Of an instance, per hour.
        most: Instances at most.
    """

    at: IntArray
    row: IntArray
    places: IntArray
    rates: FloatArray
    load: FloatArray
    other: FloatArray
    calls: IntArray
    own_left: FloatArray
    other_left: FloatArray
    price: FloatArray
    most: IntArray

    def pick(self, kept: IntArray) -> "_Pairs":
        """Answer some of them."""
        return replace(self, **{name: getattr(self, name)[kept] for name in self.__slots__})


class _Lost(NamedTuple):
    """What pools of a size do without; all of shape (k,).

    Attributes:
        money: What the misses and the waits in it cost an hour.
        chance: How likely a call waits at most.
        saturated: It does not keep up with all the demand that may come.
    """

    money: FloatArray
    chance: FloatArray
    saturated: BoolArray

    def pick(self, kept: IntArray) -> "_Lost":
        """Answer some of them."""
        return _Lost(self.money[kept], self.chance[kept], self.saturated[kept])


def economic(rows: Rows, entries: Entries, least: IntArray) -> IntArray:
    """Answer sizes that no further instances would pay for, however many, shape (e, p).

    While a pool keeps up with all demand that may come, each instance saves less than the one before it: the
    first that does not pay is the last to look at. Where it does not keep up one alone may save little, and
    several at once much, so that all are looked at until it does, or until they cost more than they can save.

    Args:
        rows: What the entries are of.
        entries: What is sized for.
        least: Shape (e, p): how many there are at least.
    """
    sizes = least.copy()
    pairs = _pairs(rows, entries)
    now = best = sizes.ravel()[pairs.at]
    lost = _lost(rows, pairs, now)
    cost = lost.money
    while len(pairs.at):
        may_pay = cost > pairs.price * (now + 1 - best) + _TINY
        matters = (lost.chance > IDLE_CHANCE) | (lost.money > _LITTLE)
        open_ = np.flatnonzero((now < pairs.most) & matters & may_pay)
        pairs, lost, best, cost = pairs.pick(open_), lost.pick(open_), best[open_], cost[open_]
        now = now[open_] + 1
        then = _lost(rows, pairs, now)
        better = cost - then.money > pairs.price * (now - best) + _TINY
        best, cost = np.where(better, now, best), np.where(better, then.money, cost)
        sizes.ravel()[pairs.at] = best
        grows = np.flatnonzero(then.saturated | (lost.money - then.money > pairs.price + _TINY))
        pairs, lost = pairs.pick(grows), then.pick(grows)
        now, best, cost = now[grows], best[grows], cost[grows]
    return sizes


def _pairs(rows: Rows, entries: Entries) -> _Pairs:
    priced = (rows.wait_price > 0) | (rows.miss_price > 0)
    entry, pool = np.nonzero(rows.used[entries.row] & priced[entries.row][:, None])
    row = entries.row[entry]
    return _Pairs(
        at=entry * rows.used.shape[1] + pool,
        row=row,
        places=rows.places[row, pool],
        rates=entries.strata[entry],
        load=rows.load[row, pool],
        other=entries.other[entry, pool],
        calls=rows.calls[row, pool],
        own_left=rows.own[row, pool],
        other_left=rows.other[row, pool],
        price=rows.price[row, pool],
        most=rows.most[row, pool],
    )


def _lost(rows: Rows, pairs: _Pairs, sizes: IntArray) -> _Lost:
    """Answer what pools of such sizes do without."""
    servers = np.broadcast_to((sizes * pairs.places)[:, None], pairs.rates.shape)
    wanted = pairs.load[:, None] * pairs.rates
    room = np.maximum(SATURATED * servers - pairs.other[:, None], 0.0)
    saturated: BoolArray = wanted > room
    carried = np.where(saturated, np.minimum(wanted, room) / np.maximum(wanted, _TINY), 1.0)
    other = np.minimum(np.broadcast_to(pairs.other[:, None], wanted.shape), SATURATED * servers)
    load = np.minimum(wanted, room) + other
    chance = erlang_c(servers.ravel(), load.ravel()).reshape(load.shape)
    whole = wanted + pairs.other[:, None]
    share = np.where(whole > 0, wanted / np.maximum(whole, _TINY), 1.0)
    free = np.maximum(servers - load, 1.0 - SATURATED)
    own_wait, other_wait = pairs.own_left[:, None] / free, pairs.other_left[:, None] / free
    seconds = pairs.calls[:, None] * chance * (share * own_wait + (1 - share) * other_wait)
    seconds = waiting(carried, seconds, rows.part_seconds[pairs.row][:, None])
    missed = 1.0 - carried * (1.0 - _slow(rows, pairs, chance, share, own_wait, other_wait))
    money = missed * rows.miss_price[pairs.row][:, None]
    money += seconds * (rows.wait_price[pairs.row] / 3600)[:, None]
    return _Lost(
        money=weighted(pairs.rates * money, stratum_weights()),
        chance=chance.max(axis=1, initial=0.0),
        saturated=np.any(saturated, axis=1),
    )


def _slow(
    rows: Rows,
    pairs: _Pairs,
    chance: FloatArray,
    share: FloatArray,
    own_wait: FloatArray,
    other_wait: FloatArray,
) -> FloatArray:
    """Answer how likely the waits in a pool make a provision too slow, shape (k, s).

    Of the calls that go to the pool none, one or more wait; all that do are taken to wait behind alike work.
    Where a miss has no price it is not worked out.
    """
    slow = np.zeros(chance.shape)
    own_place, other_place = _place(rows, pairs, own_wait), _place(rows, pairs, other_wait)
    told = rows.miss_price[pairs.row] > 0
    for waits in range(1, int(pairs.calls.max(initial=0)) + 1):
        some = np.flatnonzero(told & (pairs.calls >= waits))
        calls, wait, part = pairs.calls[some][:, None], chance[some], share[some]
        likely = _binomial(calls, waits) * (wait**waits if waits > 1 else wait)
        likely *= _power(1 - wait, calls - waits)
        table, row = rows.alone.overdue[waits - 1], pairs.row[some][:, None]
        own = _between(table, row, own_place[some])
        other = _between(table, row, other_place[some])
        slow[some] += likely * (part * own + (1 - part) * other)
    return slow


def _place(rows: Rows, pairs: _Pairs, wait: FloatArray) -> FloatArray:
    """Answer where the rate of an exponential wait stands among `DECAYS`."""
    decay = np.log(np.maximum(rows.promised[pairs.row][:, None], _TINY) / np.maximum(wait, _TINY))
    place: FloatArray = np.clip((decay - _LOGS[0]) / (_LOGS[1] - _LOGS[0]), 0.0, len(_LOGS) - 1.000001)
    return place


def _between(table: FloatArray, row: IntArray, place: FloatArray) -> FloatArray:
    low = place.astype(np.int64)
    part = place - low
    found: FloatArray = table[row, low] * (1 - part) + table[row, low + 1] * part
    return found


def _binomial(calls: IntArray, waits: int) -> FloatArray:
    """Answer in how many ways so many of the calls wait."""
    ways = np.ones(calls.shape)
    for one in range(waits):
        ways *= (calls - one) / (one + 1)
    return ways


def _power(values: FloatArray, times: IntArray) -> FloatArray:
    """Answer powers, shapes (k, s) and (k, 1); most of them are of 0 or 1, which take no time."""
    found = np.where(times > 0, values, 1.0)
    some = np.flatnonzero(times[:, 0] > 1)
    found[some] **= times[some]
    return found
