"""What a run does, drawn from its seed: a history to write, followers, and a schedule of faults. Pure.

The same seed gives the same plan. What the machine's timing adds is not in it, so a run that failed may have
to be replayed more than once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

KEYS_EACH = 8
"""Keys under each followed prefix: few, so that they are written again and again."""

PREFIXES = ("a/", "b/", "c/")
BULK_KEYS, BULK_BYTES = 40, 30 * 1024
"""A transaction that etcd takes, and that it sends in several fragments where two of them meet."""


class Kind(Enum):
    """A kind of fault."""

    CUT = "connection cut"
    CATCHING_UP = "cut while catching up"
    REFUSED = "reconnects refused"
    BLACK_HOLE = "black hole"
    KILL = "server killed"
    FREEZE = "server frozen"
    COMPACTION = "compacted behind it"
    RESTORE = "older store restored"
    CLIMBED = "restored and past it"
    MEMBER_KILL = "members killed in turn"
    MEMBER_FREEZE = "member frozen"
    MEMBER_BLACK_HOLE = "member in a black hole"


OF_THREE = frozenset({Kind.MEMBER_KILL, Kind.MEMBER_FREEZE, Kind.MEMBER_BLACK_HOLE})
"""Kinds that need a cluster of three members."""

CYCLE = (
    Kind.MEMBER_KILL,
    Kind.CUT,
    Kind.CATCHING_UP,
    Kind.KILL,
    Kind.MEMBER_FREEZE,
    Kind.COMPACTION,
    Kind.BLACK_HOLE,
    Kind.CATCHING_UP,
    Kind.RESTORE,
    Kind.REFUSED,
    Kind.FREEZE,
    Kind.CLIMBED,
    Kind.MEMBER_BLACK_HOLE,
    Kind.CUT,
    Kind.COMPACTION,
    Kind.KILL,
    Kind.CATCHING_UP,
    Kind.CLIMBED,
    Kind.MEMBER_KILL,
    Kind.COMPACTION,
)
"""The main kinds of consecutive seeds: 20 runs in a row hold every kind."""

BESIDES = (Kind.CUT, Kind.REFUSED, Kind.COMPACTION)
"""Kinds that may come beside the main one, on whatever servers the run has."""


@dataclass(frozen=True, slots=True)
class Change:
    """One transaction of the history.

    Attributes:
        number: Which one; its values begin with it.
        puts: Keys and values, below the run's root.
        deletes: Keys, or prefixes, below the root.
        ttl_seconds: Its keys end with a lease of so many seconds; 0: they stay.
        elsewhere: It writes outside the root, and only moves the store's revision.
    """

    number: int
    puts: tuple[tuple[str, bytes], ...] = ()
    deletes: tuple[str, ...] = ()
    ttl_seconds: int = 0
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """A fault and what is written before and while it is there; `index` seeds what it decides by itself."""

    kind: Kind
    index: int
    before: tuple[Change, ...]
    during: tuple[Change, ...]

    def __str__(self) -> str:
        return f"{self.kind.value} ({len(self.before)} changes before, {len(self.during)} during)"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does."""

    seed: int
    kind: Kind
    followed: tuple[str, ...]
    first: tuple[Change, ...]
    acts: tuple[Act, ...]
    last: tuple[Change, ...]

    @property
    def members(self) -> int:
        """How many servers it needs."""
        return 3 if self.kind in OF_THREE else 1

    @property
    def root(self) -> str:
        """Where it writes."""
        return f"/follow-suite/{self.seed}/"

    def rng(self, *what: object) -> Random:
        """Answer the randomness of a part of the run."""
        return Random(f"{self.seed}/{what}")

    def __str__(self) -> str:
        followed = ", ".join(name or "everything" for name in self.followed)
        acts = "; ".join(map(str, self.acts))
        return (
            f"seed {self.seed}: follow {followed}; {len(self.first)} changes; {acts};"
            f" {len(self.last)} changes"
        )


def plan(seed: int) -> Plan:
    """Draw a run."""
    rng = Random(seed)
    kind = CYCLE[seed % len(CYCLE)]
    # Where the store is restored, nothing may change by itself between the backup and its truth.
    history = _History(rng, leases=kind not in {Kind.RESTORE, Kind.CLIMBED} and rng.choice((True, False)))
    first = history.take(rng.randint(5, 60))
    kinds = [kind, *rng.sample(BESIDES, rng.choice((0, 0, 1, 2)))]
    rng.shuffle(kinds)
    acts = [
        Act(each, n, history.take(rng.randint(1, 40)), history.take(_amount(each, rng), bulky=_bulky(each)))
        for n, each in enumerate(kinds)
    ]
    followed = ("", *rng.sample((*PREFIXES, "a/00"), rng.randint(1, 3)))
    return Plan(seed, kind, followed, first, tuple(acts), history.take(rng.randint(1, 30)))


def _amount(kind: Kind, rng: Random) -> int:
    """How much is written while a fault is there."""
    if kind is not Kind.CATCHING_UP:
        return rng.randint(10, 150)
    return rng.randint(*rng.choice(((5000, 6500), (1100, 3000), (1100, 3000), (1100, 3000))))


def _bulky(kind: Kind) -> float:
    """How often a history holds transactions that are sent in fragments."""
    return 0.1 if kind is Kind.CATCHING_UP else 0.02


class _History:
    """Draws changes one after the other."""

    def __init__(self, rng: Random, *, leases: bool) -> None:
        self._rng = rng
        self._number = 0
        self._draws: dict[Callable[[], Change], int] = {
            self._put: 55,
            self._put_several: 15,
            self._put_and_delete: 10,
            self._delete: 12,
            self._delete_prefix: 2,
            self._elsewhere: 3,
            self._leased: 3 if leases else 0,
        }

    def take(self, count: int, *, bulky: float = 0.0) -> tuple[Change, ...]:
        """Draw so many; with some chance one or two of them are large."""
        changes = [self._change() for _ in range(count)]
        if self._rng.random() < bulky:
            start = self._rng.randrange(max(1, len(changes) - 1))
            for n in range(start, min(start + 2, len(changes))):
                changes[n] = self._bulk(changes[n].number)
        return tuple(changes)

    def _change(self) -> Change:
        self._number += 1
        (draw,) = self._rng.choices(list(self._draws), list(self._draws.values()))
        return draw()

    def _keys(self) -> Sequence[str]:
        return [f"{prefix}{n:02}" for prefix in PREFIXES for n in range(KEYS_EACH)]

    def _value(self, n: int) -> bytes:
        return f"{self._number}.{n}.".encode().ljust(self._rng.choice((0, 20, 200)), b".")

    def _puts(self, keys: Sequence[str], deletes: tuple[str, ...] = ()) -> Change:
        return Change(self._number, tuple((key, self._value(n)) for n, key in enumerate(keys)), deletes)

    def _put(self) -> Change:
        return self._puts(self._rng.sample(self._keys(), 1))

    def _put_several(self) -> Change:
        return self._puts(self._rng.sample(self._keys(), self._rng.randint(2, 6)))

    def _put_and_delete(self) -> Change:
        deleted, *keys = self._rng.sample(self._keys(), self._rng.randint(3, 8))
        return self._puts(keys, (deleted,))

    def _delete(self) -> Change:
        return Change(self._number, deletes=(self._rng.choice(self._keys()),))

    def _delete_prefix(self) -> Change:
        return Change(self._number, deletes=(self._rng.choice(PREFIXES),))

    def _elsewhere(self) -> Change:
        return Change(self._number, (("noise", b""),), elsewhere=True)

    def _leased(self) -> Change:
        names = [f"{prefix}lease-{self._number}" for prefix in self._rng.sample(PREFIXES, 2)]
        puts = tuple((name, self._value(n)) for n, name in enumerate(names))
        return Change(self._number, puts, ttl_seconds=self._rng.randint(1, 2))

    def _bulk(self, number: int) -> Change:
        value = f"{number}.0.".encode().ljust(BULK_BYTES, b".")
        return Change(number, tuple((f"{PREFIXES[n % 2]}bulk-{n:02}", value) for n in range(BULK_KEYS)))
