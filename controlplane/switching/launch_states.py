"""The states of a launch, as a table, and what moves one instance from state to state. Pure.

`pool_rules` asks `judge` for each launch; the leader's loop stores the answer before it acts on it. What a
launcher says and what registrations say are arguments. It never starts, ends or waits for anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TypeAlias

from enchain.chains.decision_names import UNKNOWN_VERSION, VERSION
from enchain.chains.errors import OurError
from enchain.v1.engine_pb2 import EngineInstance
from enchain.v1.pool_pb2 import Launching

State: TypeAlias = Launching.State.ValueType

STARTING = Launching.STATE_STARTING
"""Written down; started until it registers or its deadline is over."""
READY = Launching.STATE_READY
"""Registered. It has no deadline, and is looked at in each round."""
DRAINING = Launching.STATE_DRAINING
"""It takes no new work; at its deadline it is killed, and another instance of its scope goes on."""
ENDED = Launching.STATE_ENDED
FAILED = Launching.STATE_FAILED

TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        STARTING: frozenset({READY, DRAINING, FAILED}),
        READY: frozenset({DRAINING, ENDED}),
        DRAINING: frozenset({ENDED}),
        ENDED: frozenset(),
        FAILED: frozenset(),
    }
)
"""What may follow what."""

FINAL = frozenset({ENDED, FAILED})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds.

    Attributes:
        start: From the launch until the instance is registered.
        drain: From the first word to the instance until it is killed.
        silent: How long an instance that was ready may be unregistered while it runs.
        stable: Who dies sooner than this after it was ready has not come up well.
        first_backoff: After the first failure.
        longest_backoff: It doubles up to this.
    """

    start: float = 120.0
    drain: float = 600.0
    silent: float = 30.0
    stable: float = 60.0
    first_backoff: float = 1.0
    longest_backoff: float = 300.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What a launcher said instead of starting an instance.

    Attributes:
        reason: Stable UPPER_SNAKE code.
        description: What is wrong, and what to do about it.
        final: Asking again will not help this launch.
    """

    reason: str
    description: str
    final: bool


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of one launch.

    Attributes:
        registered: Its registration, whatever engine it says to be; None where there is none.
        running: Whether it runs, as its launcher says; None where nobody knows, since the launcher that
            started it is another one, or does not answer.
        elsewhere: Another launcher started it.
        place: What the launcher calls it; empty where it does not run.
        fault: What the launcher said when it was last asked to start it.
        silent_seconds: For how long it has been unregistered since it was ready.
    """

    registered: EngineInstance | None = None
    running: bool | None = None
    elsewhere: bool = False
    place: str = ""
    fault: Fault | None = None
    silent_seconds: float = 0.0


def advance(state: State, following: State) -> State:
    """Answer the following state.

    Raises:
        OurError: It may not follow.
    """
    if following not in TRANSITIONS.get(state, frozenset()):
        names = Launching.State.Name(state), Launching.State.Name(following)
        raise OurError(f"a launch does not go from {names[0]} to {names[1]}", reason="ILLEGAL_TRANSITION")
    return following


def judge(launch: Launching, sight: Sight, now: datetime, patience: Patience) -> Launching:
    """Answer the launch as it is now; equal to what it was where nothing has happened."""
    if launch.state not in _JUDGES:
        return launch  # it is over, or was put by hand without a state
    judged = _JUDGES[launch.state](launch, sight, now, patience)
    if sight.place and judged.place != sight.place:
        judged = _copy(judged)
        judged.place = sight.place
    return judged


def drained(launch: Launching, reason: str, description: str, now: datetime, patience: Patience) -> Launching:
    """Answer the launch once it is to take no new work."""
    moved = _moved(launch, DRAINING, reason, description)
    moved.deadline.FromDatetime(now + timedelta(seconds=patience.drain))
    return moved


def _starting(launch: Launching, sight: Sight, now: datetime, patience: Patience) -> Launching:
    fault = _fault_of(launch, sight, late=now >= launch.deadline.ToDatetime(now.tzinfo))
    if fault is not None:
        return _over(launch, FAILED, fault.reason, fault.description, now)
    return launch if sight.registered is None else _ready(launch, sight.registered, now, patience)


def _fault_of(launch: Launching, sight: Sight, *, late: bool) -> Fault | None:
    """Answer why a launch has failed; None where it has not."""
    told, fault = sight.registered, sight.fault
    if told is not None:
        return _wrong(launch, told)
    if fault is not None and (fault.final or late):
        return fault
    if not late:
        return None
    said = "it runs, and has not registered itself in time" if sight.running else "it did not start in time"
    return Fault("NOT_READY_IN_TIME", said, final=True)


def _wrong(launch: Launching, told: EngineInstance) -> Fault | None:
    """Answer what is wrong with what an instance says to be; None where nothing is."""
    if told.engine != launch.engine:
        said = f"it registered as engine {told.engine}; the engine's command must start {launch.engine}"
        return Fault("WRONG_ENGINE", said, final=True)
    if told.version == UNKNOWN_VERSION or not VERSION.pattern.fullmatch(told.version):
        said = f"it registered as version “{told.version}”; write {VERSION.words}"
        return Fault("INVALID_VERSION", said, final=True)
    return None


def _ready(launch: Launching, told: EngineInstance, now: datetime, patience: Patience) -> Launching:
    words = ""
    if launch.version not in (UNKNOWN_VERSION, told.version):
        words = f"version {launch.version} was wanted, and the engine's command started {told.version}"
    if told.state == EngineInstance.STATE_DRAINING:
        moved = drained(launch, "DRAINED", "it was told to end before it was ready", now, patience)
    else:
        moved = _moved(launch, READY, "", words)
        moved.ClearField("deadline")
        moved.ready_time.FromDatetime(now)
    moved.version = told.version
    return moved


def _standing(launch: Launching, sight: Sight, now: datetime, patience: Patience) -> Launching:
    if sight.running is False:
        return _over(launch, ENDED, "DIED", "it ended without having been told to", now)
    if sight.registered is not None and sight.registered.state == EngineInstance.STATE_DRAINING:
        return drained(launch, "DRAINED", "somebody told it to end", now, patience)
    if sight.registered is not None or sight.silent_seconds < patience.silent:
        return launch
    if sight.elsewhere:
        words = f"it is registered no more, and only {launch.launcher} can look at it"
        return _over(launch, ENDED, "LOST", words, now)
    return drained(launch, "SILENT", "it runs, and is registered no more", now, patience)


def _draining(launch: Launching, sight: Sight, now: datetime, patience: Patience) -> Launching:
    del patience
    gone = sight.running is False or (sight.elsewhere and sight.registered is None)
    return _over(launch, ENDED, launch.reason, launch.description, now) if gone else launch


def _over(launch: Launching, state: State, reason: str, description: str, now: datetime) -> Launching:
    moved = _moved(launch, state, reason, description)
    moved.end_time.FromDatetime(now)
    return moved


def _moved(launch: Launching, state: State, reason: str, description: str) -> Launching:
    moved = _copy(launch)
    moved.state = advance(launch.state, state)
    moved.reason, moved.description = reason, description
    return moved


def _copy(launch: Launching) -> Launching:
    copy = Launching()
    copy.CopyFrom(launch)
    return copy


_JUDGES = MappingProxyType({STARTING: _starting, READY: _standing, DRAINING: _draining})
