"""What a run does: stories of resources, and the faults beside them. Pure: one seed, one plan.

`__main__` makes the plan. Which process a fault hits is found when its time has come, since it is to hit the
owner or the engine instance of a step that runs then; everything else is fixed here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

KINDS = ("kill", "freeze", "cut")
HITTING = ("owner", "instance")
"""Roles that are looked for at a step that runs."""

LEASE_SECONDS = 6
"""Lease of all processes. It outlasts an election of etcd, which takes 1 to 3 s."""

_WHO = {"o": "owner", "i": "instance", "c": "control", "e": "etcd"}
_ROLES = {"kill": "oieoiocoio", "freeze": "oicoioeoio", "cut": "iooeioocio"}
"""Of ten faults of a kind, who is hit: eight at a step that runs."""

_MOVES = (
    (3, ("provision",)),
    (2, ("provision", "update")),
    (3, ("provision", "deprovision")),
    (3, ("provision", "update", "deprovision")),
)


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort of story: how often it comes, and how it is meant to go.

    Attributes:
        weight: How often it comes, beside the others.
        workload: What is provisioned.
        fail: How a tool fails on purpose; empty where none does.
        moves: What is done, where it is always the same; empty for a draw.
    """

    weight: int
    workload: str
    fail: str = ""
    moves: tuple[str, ...] = ()


SORTS = (
    Sort(28, "quick"),
    Sort(22, "pair"),
    Sort(14, "terraformed"),
    Sort(8, "site"),
    Sort(10, "served"),
    Sort(3, "played"),
    Sort(5, "pair", "clean"),
    Sort(4, "pair", "partial", ("provision",)),
    Sort(2, "held", "until", ("provision",)),
    Sort(2, "held", "until", ("provision", "heal")),
    Sort(2, "held", "until", ("provision", "deprovision")),
)

ENDS = {"partial": "STATE_FAILED", "until": "STATE_HELD"}
"""How a provision is meant to end where a tool fails on purpose; all else succeeds."""


@dataclass(frozen=True, slots=True)
class Story:
    """One resource and what is done to it, one operation after another.

    Attributes:
        name: The resource's id.
        workload: Its workload.
        seconds: How long its tools take.
        fail: How one of them fails on purpose.
        moves: `provision`, then perhaps `update` and `deprovision`; `heal` retries what is held.
    """

    name: str
    workload: str
    seconds: float
    fail: str
    moves: tuple[str, ...]

    def end_of(self, move: str) -> str:
        """Answer the state in which a move is meant to end."""
        return ENDS.get(self.fail, "STATE_SUCCEEDED") if move == "provision" else "STATE_SUCCEEDED"

    @property
    def operations(self) -> int:
        """How many operations it asks for; a retry is none of its own."""
        return len([move for move in self.moves if move != "heal"])


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        number: Its place in the schedule.
        kind: `kill`, `freeze` or `cut`.
        role: Who is hit: `owner` or `instance` of a step that runs, a `control` plane, the one that
            is `leader` just then, or an `etcd` member.
        seconds: How long it lasts; what is killed is started again after it.
        silent: A cut in which packets are lost, rather than connections broken.
        dice: Chooses among those who may be hit.
    """

    number: int
    kind: str
    role: str
    seconds: float
    silent: bool
    dice: float


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a run."""

    seed: int
    stories: tuple[Story, ...]
    faults: tuple[Fault, ...]

    @property
    def operations(self) -> int:
        """How many operations it asks for."""
        return sum(story.operations for story in self.stories)


def make_plan(seed: int, operations: int, faults: int) -> Plan:
    """Make the plan of a run."""
    return Plan(
        seed,
        tuple(_stories(Random(f"stories {seed}"), operations)),
        tuple(_faults(Random(f"faults {seed}"), faults)),
    )


def _stories(rng: Random, operations: int) -> Iterator[Story]:
    """Draw stories until there are exactly so many operations."""
    left, number = operations, 0
    while left:
        sort = rng.choices(SORTS, [sort.weight for sort in SORTS])[0]
        moves = sort.moves or rng.choices([m for _, m in _MOVES], [w for w, _ in _MOVES])[0]
        seconds = round(rng.uniform(1.0, 5.0), 2)
        while len([move for move in moves if move != "heal"]) > left:
            moves = moves[:-1]
        story = Story(f"{sort.workload}-{number:03}", sort.workload, seconds, sort.fail, moves)
        left, number = left - story.operations, number + 1
        yield story


def _faults(rng: Random, count: int) -> Sequence[Fault]:
    kinds = [KINDS[number % len(KINDS)] for number in range(count)]
    rng.shuffle(kinds)
    seen = dict.fromkeys(KINDS, 0)
    made = []
    for number, kind in enumerate(kinds):
        role = _WHO[_ROLES[kind][seen[kind] % len(_ROLES[kind])]]
        seen[kind] += 1
        made.append(Fault(number, kind, role, _lasting(rng, kind), rng.random() < 0.5, rng.random()))  # noqa: PLR2004 - a coin
    return made


def _lasting(rng: Random, kind: str) -> float:
    """Most outlast the lease, and the time that a router holds still before it; some are short."""
    if kind == "kill":
        return round(rng.uniform(0.2, 3.0), 2)
    if rng.random() < 0.25:  # noqa: PLR2004 - a quarter
        return round(rng.uniform(1.0, 4.0), 2)
    return round(LEASE_SECONDS + rng.uniform(1.5, 3.0), 2)
