"""What a seed holds: who asks for what and when, and what goes wrong when. Pure.

The world carries a plan out. Everything is drawn here from one generator, so that a plan can be printed
beside a failure and a seed always means the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

from tests.simulation.scopes import Temper, temper_of
from tests.simulation.weather import Climate, climate_of

ROUTERS = ("a", "b", "c")
ENGINES = ("alpha", "beta")
INSTANCES = ("alpha-1", "alpha-2", "beta-1", "beta-2")

CALM_AT = 30.0
"""When faults end."""

ASK_UNTIL = 20.0


class Kind(Enum):
    """What may go wrong with a process, or be done by people."""

    FREEZE_ROUTER = "freeze the router"
    KILL_ROUTER = "kill the router"
    STOP_ROUTER = "stop the router"
    CUT_ROUTER = "cut the router off the store"
    CUT_WATCHES = "cut the router's watches"
    CUT_STREAMS = "cut the router's streams"
    STEP_ROUTER_CLOCK = "step the router's clock"
    FREEZE_INSTANCE = "freeze the instance"
    KILL_INSTANCE = "kill the instance"
    CUT_INSTANCE = "cut the instance off the store"
    STEP_INSTANCE_CLOCK = "step the instance's clock"
    LOSE_TOOLS = "lose the tools that run"
    SWITCH_ROUTE = "switch the route"
    CANCEL = "cancel an operation"
    RETRY = "retry a held operation"


OF_ROUTERS = frozenset(
    {
        Kind.FREEZE_ROUTER,
        Kind.KILL_ROUTER,
        Kind.STOP_ROUTER,
        Kind.CUT_ROUTER,
        Kind.CUT_WATCHES,
        Kind.CUT_STREAMS,
        Kind.STEP_ROUTER_CLOCK,
    }
)
OF_INSTANCES = frozenset(
    {Kind.FREEZE_INSTANCE, Kind.KILL_INSTANCE, Kind.CUT_INSTANCE, Kind.STEP_INSTANCE_CLOCK}
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        at: When.
        kind: What.
        whom: The router or instance.
        seconds: For how long, or by how much.
        same: Whoever comes back has the name that it had before.
    """

    at: float
    kind: Kind
    whom: str = ""
    seconds: float = 0.0
    same: bool = False

    def __str__(self) -> str:
        """Say it in a line."""
        same = "as itself" if self.same else ""
        return f"{self.at:7.3f}  {self.kind.value} {self.whom} {self.seconds:.3f} {same}"


class Verb(Enum):
    """What clients ask for."""

    PROVISION = "Provision"
    UPDATE = "Update"
    DEPROVISION = "Deprovision"


@dataclass(frozen=True, slots=True)
class Wish:
    """One request of one client.

    Attributes:
        at: When it is sent.
        verb: What is asked for.
        resource: Of which resource.
        value: The input.
        request_id: Its id; two wishes with the same one are the same request, sent twice.
        routers: In which order the client tries them.
    """

    at: float
    verb: Verb
    resource: str
    value: str
    request_id: str
    routers: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in a line."""
        what = f"{self.verb.value} {self.resource} {self.value!r}"
        return f"{self.at:7.3f}  {what} as {self.request_id} by {'>'.join(self.routers)}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a seed says.

    Attributes:
        holds: The chains' policy is to hold what fails.
        falls_back: The first step has a fallback.
        timeout_seconds: The chains' timeout.
    """

    seed: int
    climate: Climate
    temper: Temper
    holds: bool
    falls_back: bool
    timeout_seconds: int
    faults: tuple[Fault, ...]
    wishes: tuple[Wish, ...]

    def __str__(self) -> str:
        """Say it in lines."""
        lines = [f"seed {self.seed}: {self.climate}", f"{self.temper}"]
        policy = f"holds {self.holds}, falls back {self.falls_back}, timeout {self.timeout_seconds} s"
        return "\n".join([*lines, policy, *map(str, self.wishes), *map(str, self.faults)])


def plan_of(seed: int) -> Plan:
    """Draw a seed's plan."""
    dice = Random(f"plan {seed}")
    wishes = _wishes(dice)
    return Plan(
        seed=seed,
        climate=climate_of(dice),
        temper=temper_of(dice),
        holds=dice.random() < 0.3,
        falls_back=dice.random() < 0.3,
        timeout_seconds=dice.choice((12, 30, 60)),
        faults=tuple(sorted(_faults(dice, wishes), key=lambda fault: fault.at)),
        wishes=tuple(sorted(wishes, key=lambda wish: wish.at)),
    )


def _faults(dice: Random, wishes: Sequence[Wish]) -> Sequence[Fault]:
    kinds = dice.sample(list(Kind), dice.randint(2, len(Kind)))
    faults = [_fault(dice, dice.choice(kinds)) for _ in range(dice.choice((2, 4, 7, 11)))]
    if Kind.SWITCH_ROUTE in kinds:
        # Routes move when they hurt: while something is being admitted.
        near = [wish.at - 0.01 * dice.random() for wish in wishes if dice.random() < 0.5]
        faults += [Fault(at, Kind.SWITCH_ROUTE) for at in near]
    return faults


def _fault(dice: Random, kind: Kind) -> Fault:
    at = dice.uniform(0.5, CALM_AT - 3)
    whom = ""
    if kind in OF_ROUTERS:
        whom = dice.choice(ROUTERS)
    elif kind in OF_INSTANCES:
        whom = dice.choice(INSTANCES)
    elif kind is Kind.LOSE_TOOLS:
        whom = dice.choice(ENGINES)
    seconds = dice.choice((0.2, 2.0, 7.0, 12.0, 30.0)) * (0.5 + dice.random() / 2)
    if kind in {Kind.STEP_ROUTER_CLOCK, Kind.STEP_INSTANCE_CLOCK}:
        seconds = dice.choice((-60.0, -3.0, -1.0, -0.3, 0.3, 1.0, 3.0, 60.0)) * dice.random()
    return Fault(at, kind, whom, seconds, same=dice.random() < 0.5)


def _wishes(dice: Random) -> Sequence[Wish]:
    wishes: list[Wish] = []
    for number in range(dice.choice((1, 1, 2, 3))):
        wishes += _of_one(dice, f"r{number}")
    return wishes


def _of_one(dice: Random, resource: str) -> Sequence[Wish]:
    """What is asked of one resource: made first, then changed and destroyed in a race."""
    at = dice.uniform(0.2, 6.0)
    wishes = [_wish(dice, at, Verb.PROVISION, resource, 0)]
    for number in range(1, dice.choice((1, 2, 2, 3, 4))):
        verb = dice.choice((Verb.UPDATE, Verb.UPDATE, Verb.DEPROVISION, Verb.PROVISION))
        when = dice.choice((at, dice.uniform(0.2, ASK_UNTIL), dice.uniform(at, min(at + 8, ASK_UNTIL))))
        wishes.append(_wish(dice, when, verb, resource, number))
    for wish in list(wishes):
        if dice.random() < 0.2:
            again = wish.at + dice.choice((0.0, 0.01, 3.0)) * dice.random()
            wishes.append(Wish(again, wish.verb, resource, wish.value, wish.request_id, _order(dice)))
    return wishes


def _wish(dice: Random, at: float, verb: Verb, resource: str, number: int) -> Wish:
    value = "bad" if dice.random() < 0.04 else f"v{number}"
    return Wish(at, verb, resource, value, f"{resource}-{number}", _order(dice))


def _order(dice: Random) -> tuple[str, ...]:
    return tuple(dice.sample(ROUTERS, len(ROUTERS)))
