"""What it means to move a route: pure decisions about switches and rollbacks.

`controlplane.catalog.routes` reads what they need and commits what they answer. Nothing here does IO.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamp
from controlplane.catalog.documents import Document, same, write
from controlplane.switching.states import AT_ONCE, advance
from enchain.chains.errors import PreconditionError
from enchain.chains.names import SwitchName, route_name
from enchain.chains.routes import chains_of
from enchain.state import keys
from enchain.state.store import absent
from enchain.v1 import chain_pb2


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
    """

    workload: str
    route: Document[chain_pb2.Route]
    shares: Sequence[chain_pb2.RouteShare]
    chains: Sequence[Document[chain_pb2.Chain]]
    impact: chain_pb2.SwitchImpact
    rollback_of: str = ""


def origin(switch: chain_pb2.ChainSwitch) -> chain_pb2.Route:
    """Answer where a switch found the route. Its field is named `from`, which Python reserves."""
    route: chain_pb2.Route = getattr(switch, "from")
    return route


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

    Where nothing has to be warmed and nobody is waited for, a switch goes through its states at once, and
    only the last is ever seen.

    Raises:
        PreconditionError: Steps are not served (unless it is only tried), or an experiment owns the route.
    """
    before = move.route.message
    _refuse_experiment(before)
    if move.impact.gaps and not validate_only:
        _refuse_gaps(move)
    state = AT_ONCE[0]
    for following in AT_ONCE[1:]:
        state = advance(state, following)
    name = SwitchName(move.workload, stamp.ulid)
    route = _moved(move, stamp, name)
    put_route = write(keys.route(move.workload), route)
    switch = _record(move, stamp, caller, name, route, state=state)
    put_switch = write(keys.chain_switch(move.workload, stamp.ulid), switch)
    return Change(
        answer=switch,
        compares=(
            same(move.route, move.route.key),
            *(same(chain, chain.key) for chain in move.chains),
            absent(put_switch.key),
        ),
        writes=(put_route, put_switch),
        audit=record(stamp, caller, route.name, before=before, after=route),
    )


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
    """Answer the last finished switch that is neither undone nor an undoing; None where there is none."""
    undone = {switch.rollback_of for switch in newest_first}
    return next(
        (
            switch
            for switch in newest_first
            if switch.state == chain_pb2.ChainSwitch.STATE_DONE
            and not switch.rollback_of
            and switch.name not in undone
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
    if not in_force(route, undone.to.shares):
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


def _record(
    move: Move,
    stamp: Stamp,
    caller: Caller,
    name: SwitchName,
    route: chain_pb2.Route,
    *,
    state: chain_pb2.ChainSwitch.State.ValueType,
) -> chain_pb2.ChainSwitch:
    switch = chain_pb2.ChainSwitch(
        name=str(name),
        state=state,
        to=route,
        reason=caller.reason,
        actor=caller.actor,
        rollback_of=move.rollback_of,
        impact=move.impact,
        request_id=caller.request_id,
    )
    origin(switch).CopyFrom(move.route.message)
    switch.create_time.FromDatetime(stamp.now)
    switch.update_time.FromDatetime(stamp.now)
    return switch


def _refuse_experiment(route: chain_pb2.Route) -> None:
    if route.experiment:
        raise PreconditionError(
            f"{route.experiment} owns {route.name}",
            reason="EXPERIMENT_OWNS_ROUTE",
            remedy="End the experiment first.",
            metadata={"name": route.name, "experiment": route.experiment},
        )


def _refuse_gaps(move: Move) -> None:
    gaps = "; ".join(move.impact.gaps)
    raise PreconditionError(
        f"{', '.join(chain.message.name for chain in move.chains)} cannot be run now: {gaps}",
        reason="NO_INSTANCE",
        remedy="Start the instances that are missing, then switch again.",
        metadata={"name": route_name(move.workload), "gaps": gaps},
    )
