"""Whatever a switch sees, and whenever: it ends, moves the route there and back at most, and says why."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.switching import states
from controlplane.switching.machine import begin, enter, step
from controlplane.switching.records import Seen, Switch, origin
from controlplane.switching.rules import DRAIN_SECONDS
from enchain.chains.routes import whole
from enchain.v1 import chain_pb2

OLD = "workloads/site/chains/default@aaa"
NEW = "workloads/site/chains/other@bbb"
START = datetime(2026, 11, 24, 9, tzinfo=UTC)

lines = st.lists(st.sampled_from(["a", "b"]), max_size=2)
maybe = st.booleans()


@st.composite
def sights(draw: st.DrawFn) -> dict[str, object]:
    """Anything that may be seen, but for the route, which follows what was decided before."""
    routers = [
        chain_pb2.RouterConvergence(router=f"routers/{n}", converged=draw(maybe), refusal=draw(refusals))
        for n in range(draw(st.integers(0, 2)))
    ]
    verdict = draw(st.sampled_from(["", "SLOWER", "FAILS_MORE", "NO_WORSE", "TOO_FEW"]))
    return {
        "elder": draw(st.sampled_from([*[""] * 20, "another"])),
        "fault": draw(st.sampled_from([*[""] * 20, "gone"])),
        "short": draw(lines),
        "convergence": chain_pb2.Convergence(routers=routers),
        "running": draw(lines),
        "held": draw(lines),
        "unserved": draw(st.sampled_from([(), (), ("a",)])),
        "surplus": draw(lines),
        "evidence": chain_pb2.SwitchEvidence(verdict=verdict) if verdict else None,
    }


refusals = st.sampled_from([*[""] * 9, "bad"])
moves = st.sampled_from([*[""] * 12, "pin", "pin", "unpin", "by hand", "gone"])
policies = st.sampled_from(chain_pb2.DrainPolicy.values()[1:])
ends = st.sampled_from([*[False] * 9, True])
seconds = st.sampled_from([0, 1, 10, 60, 600, 100_000])


def meddled(route: chain_pb2.Route | None, move: str) -> chain_pb2.Route | None:
    """The route after somebody else had a hand in it."""
    if route is None or move == "gone":
        return None
    changed = chain_pb2.Route()
    changed.CopyFrom(route)
    if move == "pin":
        changed.pin.reason = "a person"
    elif move == "unpin":
        changed.ClearField("pin")
    elif move == "by hand":
        changed.chain_switch = "by hand"
    if move:
        changed.etag = f"{changed.etag}+{move}"
    return changed


@given(
    st.lists(st.tuples(sights(), moves, seconds, ends), min_size=1, max_size=30),
    policies,
    seconds,
    seconds,
    maybe,
)
def test_every_switch_ends_and_moves_the_route_there_and_back_at_most(
    looks: list[tuple[dict[str, object], str, int, bool]],
    policy: chain_pb2.DrainPolicy.ValueType,
    drain: int,
    watch: int,
    served: bool,
) -> None:
    route: chain_pb2.Route | None = whole(OLD)
    assert route is not None
    route.etag = "e"
    switch = Switch(name="workloads/site/switches/1", to=whole(NEW), drain_policy=policy)
    if policy != chain_pb2.DRAIN_POLICY_FINISH:
        switch.drain_timeout.FromSeconds(drain)
    switch.watch_timeout.FromSeconds(watch)
    origin(switch).CopyFrom(route)
    begin(switch, START)
    now, moved = START, 0
    if served:
        for state in states.AT_ONCE[1:]:
            enter(switch, state, "at once", START)
        route.shares[0].chain, route.chain_switch, route.etag, moved = NEW, switch.name, "m1", 1
        switch.to.CopyFrom(route)
    # Then nothing changes any more, and time passes: that must be enough for it to end.
    later = [(looks[-1][0], "", int(DRAIN_SECONDS) + 100_000, False)] * len(states.TRANSITIONS)
    for seen, move, passed, aborted in [*looks, *later]:
        now += timedelta(seconds=passed)
        route = meddled(route, move)
        switch.abort_requested |= aborted
        if states.is_end(switch.state):
            break
        decided = step(switch, Seen(route=route, **seen), now, "a")  # type: ignore[arg-type]  # fields of Seen
        if decided.route is not None:
            assert route is not None
            assert not route.HasField("pin"), "a person's pin wins"
            moved += 1
            route = decided.route
            route.etag = f"m{moved}"
        switch = decided.switch if decided.switch is not None else switch

    assert states.is_end(switch.state)
    assert moved <= 2
    assert all(phase.description for phase in switch.phases)
    if switch.state == states.ROLLED_BACK:
        assert switch.rollback_reason
        assert moved in {0, 2}
    else:
        assert moved == 1
