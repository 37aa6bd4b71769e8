"""What it means to move a route: pure decisions about switches and rollbacks.

`controlplane.catalog.routes` reads what they need and commits what they answer. Nothing here does IO.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamp
from controlplane.catalog.documents import Document, same, write
from controlplane.switching import states
from controlplane.switching.exploring import explores, settled
from controlplane.switching.machine import begin, enter
from controlplane.switching.records import Switch, origin, watched
from controlplane.switching.terms import USUAL, Terms, write_terms
from enchain.chains.errors import ConflictError, PreconditionError
from enchain.chains.names import SwitchName, route_name
from enchain.chains.routes import chains_of
from enchain.state import keys
from enchain.state.store import Put, absent
from enchain.v1 import chain_pb2

__all__ = [
    "Move",
    "check_undo",
    "decide",
    "in_force",
    "losing",
    "nothing_to_do",
    "origin",
    "refuse_pin",
    "to_undo",
]

IN_FORCE = frozenset({states.CONVERGING, states.DRAINING, states.RETIRING, states.DONE})
"""States of switches that have moved the route and can be undone."""


@dataclass(frozen=True, slots=True)
class Move:
    """All that is known about a move before it is decided.

    Attributes:
        workload: Id of the workload.
        route: The route as it was read.
        shares: Where the buckets are to go.
        chains: The chains that they go to, as they were read.
        impact: Whom it touches, and which steps nobody could do.
        rollback_of: The switch that it undoes; empty where it undoes none.
        terms: How it is to be done.
        short: Instances that are missing before requests may come, a line for each version.
        unlaunchable: Why missing instances cannot be started here; empty where all can.
        holds: What it asks pools to keep.
        under_way: The workload's switches that have not ended.
    """

    workload: str
    route: Document[chain_pb2.Route]
    shares: Sequence[chain_pb2.RouteShare]
    chains: Sequence[Document[chain_pb2.Chain]]
    impact: chain_pb2.SwitchImpact
    rollback_of: str = ""
    terms: Terms = USUAL
    short: Sequence[str] = ()
    unlaunchable: Sequence[str] = ()
    holds: Sequence[chain_pb2.InstanceChange] = ()
    under_way: Sequence[Document[Switch]] = field(default=())


def in_force(route: chain_pb2.Route, shares: Sequence[chain_pb2.RouteShare]) -> bool:
    """Say whether the route gives the buckets to these shares already."""
    return list(route.shares) == list(shares)


def losing(route: chain_pb2.Route, shares: Sequence[chain_pb2.RouteShare]) -> frozenset[str]:
    """Answer the chains that lose all their buckets."""
    return frozenset(chains_of(route)) - {share.chain for share in shares}


def decide(
    move: Move, stamp: Stamp, caller: Caller, *, validate_only: bool = False
) -> Change[chain_pb2.ChainSwitch]:
    """Decide a move: the route, the record of the switch and the audit record, in one change.

    Where every step is served the route is moved with it. Where instances must be started first the route is
    written as it is, so that of two who switch at once one is told, and the leader goes on with the record.

    Raises:
        PreconditionError: Steps are not served and nobody can start them (unless it is only tried), a person
            pinned the route, or an experiment owns it.
        ConflictError: Another switch is under way.
    """
    before = move.route.message
    refuse_pin(before)
    _refuse_experiment(before)
    if move.impact.gaps and move.unlaunchable and not validate_only:
        _refuse_gaps(move)
    ended = [_ended(move, each, stamp) for each in _standing_in_the_way(move, stamp.now)]
    name = SwitchName(move.workload, stamp.ulid)
    switch = _record(move, stamp, caller, name, names=validate_only)
    put_route = Put(move.route.key, move.route.value)
    if not move.short:
        route = _moved(move, stamp, name)
        put_route = write(keys.route(move.workload), route)
        switch.to.CopyFrom(route)
        for state, description in zip(states.AT_ONCE[1:], _AT_ONCE_WORDS, strict=True):
            enter(switch, state, description, stamp.now)
    put_switch = write(keys.chain_switch(move.workload, stamp.ulid), switch)
    after = switch.to if not move.short else switch
    return Change(
        answer=switch,
        compares=(
            same(move.route, move.route.key),
            *(same(chain, chain.key) for chain in move.chains),
            *(same(document, document.key) for document, _ in ended),
            absent(put_switch.key),
        ),
        writes=(put_route, put_switch, *(put for _, put in ended)),
        audit=record(stamp, caller, before.name, before=before, after=after),
    )


_AT_ONCE_WORDS = ("every step is served", "the route leads to the new chain")


def nothing_to_do(
    route: chain_pb2.Route, last: chain_pb2.ChainSwitch | None
) -> Change[chain_pb2.ChainSwitch]:
    """Answer for a chain that is in force already: the switch that put it there, and nothing to write."""
    if last is not None:
        return Change(answer=last)
    switch = chain_pb2.ChainSwitch(state=chain_pb2.ChainSwitch.STATE_DONE, to=route)
    origin(switch).CopyFrom(route)
    return Change(answer=switch)


def to_undo(newest_first: Sequence[chain_pb2.ChainSwitch]) -> chain_pb2.ChainSwitch | None:
    """Answer the last switch in force that is neither undone nor an undoing; None where there is none.

    One that merely explores is none: it has left the workload on its chain.
    """
    undone = {switch.rollback_of for switch in newest_first}
    return next(
        (
            switch
            for switch in newest_first
            if switch.state in IN_FORCE and not switch.rollback_of and switch.name not in undone
            if not explores(switch)
        ),
        None,
    )


def check_undo(
    workload: str, route: chain_pb2.Route, undone: chain_pb2.ChainSwitch | None
) -> chain_pb2.ChainSwitch:
    """Answer the switch to undo.

    Raises:
        PreconditionError: There is none, or the route is elsewhere by now.
    """
    if undone is None:
        raise PreconditionError(
            f"{route_name(workload)} was never switched, or every switch of it is undone",
            reason="NOTHING_TO_ROLL_BACK",
            remedy="Switch to the chain that you want.",
            metadata={"name": route_name(workload)},
        )
    if list(settled(route)) != list(settled(undone.to)):
        came_from = ", ".join(chains_of(origin(undone)))
        raise PreconditionError(
            f"{route_name(workload)} is no longer where {undone.name} put it",
            reason="ROUTE_MOVED",
            remedy=f"Look at the route, then switch; that switch came from {came_from}.",
            metadata={"name": route_name(workload), "switch": undone.name},
        )
    return undone


def _moved(move: Move, stamp: Stamp, name: SwitchName) -> chain_pb2.Route:
    """The new route. The seed stays, so that a key keeps its bucket."""
    route = chain_pb2.Route()
    route.CopyFrom(move.route.message)
    del route.shares[:]
    route.shares.extend(move.shares)
    route.chain_switch = str(name)
    route.update_time.FromDatetime(stamp.now)
    return route


def _record(move: Move, stamp: Stamp, caller: Caller, name: SwitchName, *, names: bool) -> Switch:
    """The record of a switch that begins. With `names` it says whose operations and resources it touches."""
    switch = Switch(
        name=str(name),
        reason=caller.reason,
        actor=caller.actor,
        rollback_of=move.rollback_of,
        impact=move.impact,
        request_id=caller.request_id,
        holds=move.holds,
        to=chain_pb2.Route(name=route_name(move.workload), shares=move.shares),
    )
    if not names:
        switch.impact.ClearField("operations")
        switch.impact.ClearField("resources")
    origin(switch).CopyFrom(move.route.message)
    write_terms(move.terms, switch)
    begin(switch, stamp.now)
    return switch


def _standing_in_the_way(move: Move, now: datetime) -> list[Document[Switch]]:
    """Answer the switches that end by this one.

    Raises:
        ConflictError: One is under way that does not.
    """
    ending = []
    for document in move.under_way:
        other = document.message
        undoes = other.name == move.rollback_of and other.state in IN_FORCE and not move.short
        drains = other.state == states.DRAINING and not watched(other, now)
        if undoes or drains or explores(other):
            ending.append(document)
        elif other.state != states.RETIRING:
            state = Switch.State.Name(other.state).removeprefix("STATE_").lower()
            raise ConflictError(
                f"{other.name} is under way ({state})",
                reason="SWITCH_RUNNING",
                remedy=f"Wait for its end (enchain switch show {move.workload} --watch), or end it: "
                f"enchain rollback {move.workload} where it is in force, enchain switch abort {move.workload}"
                " where it is not.",
                metadata={"name": route_name(move.workload), "switch": other.name},
            )
    return [document for document in ending if document.message.state != states.RETIRING]


def _ended(move: Move, document: Document[Switch], stamp: Stamp) -> tuple[Document[Switch], Put]:
    """End a switch by the one that begins: it is undone, or gives way; what it drains goes on without it."""
    switch = Switch()
    switch.CopyFrom(document.message)
    name = SwitchName(move.workload, stamp.ulid)
    if switch.name == move.rollback_of:
        why = f"undone by {name}"
        switch.rollback_reason = f"UNDONE: {why}"
        enter(switch, states.ROLLED_BACK, why, stamp.now)
    else:
        _give_way(switch, f"{name} began", stamp)
    return document, write(document.key, switch)


def _give_way(switch: Switch, why: str, stamp: Stamp) -> None:
    """End a switch that merely drains, or one that merely explores, wherever it stands."""
    if switch.state in states.BEFORE:
        switch.rollback_reason = f"GAVE_WAY: {why}"
        enter(switch, states.ROLLED_BACK, why, stamp.now)
        return
    if switch.state == states.CONVERGING:
        enter(switch, states.DRAINING, why, stamp.now)
    enter(switch, states.RETIRING, why, stamp.now)


def refuse_pin(route: chain_pb2.Route) -> None:
    """Leave a route where a person holds it.

    Raises:
        PreconditionError: It is pinned.
    """
    if route.HasField("pin"):
        why = f": {route.pin.reason}" if route.pin.reason else ""
        raise PreconditionError(
            f"{route.name} is pinned{why}",
            reason="ROUTE_PINNED",
            remedy=f"Unpin it first: enchain unpin {route.name.split('/')[1]}.",
            metadata={"name": route.name, "pinned_by": route.pin.actor.subject},
        )


def _refuse_experiment(route: chain_pb2.Route) -> None:
    if route.experiments:
        names = ", ".join(route.experiments)
        raise PreconditionError(
            f"{route.name} is held by {names}",
            reason="EXPERIMENT_OWNS_ROUTE",
            remedy=f"Conclude it first: enchain experiments conclude {route.experiments[0]}.",
            metadata={"name": route.name, "experiments": names},
        )


def _refuse_gaps(move: Move) -> None:
    gaps = "; ".join(move.impact.gaps)
    raise PreconditionError(
        f"{', '.join(chain.message.name for chain in move.chains)} cannot be run now: {gaps}",
        reason="NO_INSTANCE",
        remedy="Start the instances that are missing, then switch again.",
        metadata={
            "name": route_name(move.workload),
            "gaps": gaps,
            "launching": "; ".join(move.unlaunchable),
        },
    )
