"""Decisions about moving a route, without a store."""

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from controlplane.catalog.audit import Caller
from controlplane.catalog.changes import Stamp
from controlplane.catalog.documents import Document, parse, write
from controlplane.catalog.moves import Move, check_undo, decide, losing, nothing_to_do, origin, to_undo
from controlplane.switching import states
from controlplane.switching.exploring import moved
from enchain.chains.errors import ConflictError, PreconditionError
from enchain.chains.routes import whole
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import KeyValue, Put, absent, unchanged
from enchain.v1 import chain_pb2, origin_pb2, presence_pb2

DEFAULT = "workloads/site/chains/default@aaaaaaaaaaaa"
OTHER = "workloads/site/chains/other@bbbbbbbbbbbb"
STAMP = Stamp(datetime(2026, 11, 24, 9, tzinfo=UTC), "01JDEYZ0000000000000000000")
CALLER = Caller(
    "enchain.v1.ChainService/SwitchChain",
    origin_pb2.Identity(subject="ada"),
    request_id="r-1",
    reason="cheaper",
)


def route(chain: str = DEFAULT, **fields: str) -> Document[chain_pb2.Route]:
    message = whole(chain)
    message.seed = "older-seed"
    for name, text in fields.items():
        setattr(message, name, text)
    put = write(keys.route("site"), message)
    return parse(chain_pb2.Route, KeyValue(put.key, put.value, 5, 7))


def chain(name: str = OTHER) -> Document[chain_pb2.Chain]:
    key = keys.chain("site", "other", "bbbbbbbbbbbb")
    return Document(key, chain_pb2.Chain(name=name), b"{}", 9, 9)


def move(*, gaps: tuple[str, ...] = (), at: Document[chain_pb2.Route] | None = None, **known: Any) -> Move:
    impact = chain_pb2.SwitchImpact(operations_running=2, resources_bound=3, gaps=gaps)
    return Move("site", at or route(), whole(OTHER).shares, [chain()], impact, short=gaps, **known)


def under_way(state: chain_pb2.ChainSwitch.State.ValueType, **fields: Any) -> Document[chain_pb2.ChainSwitch]:
    """A switch that came before and has not ended."""
    message = switch("1" * 26, OTHER, DEFAULT)
    message.MergeFrom(chain_pb2.ChainSwitch(**fields))
    message.state = state
    put = write(keys.chain_switch("site", "1" * 26), message)
    return parse(chain_pb2.ChainSwitch, KeyValue(put.key, put.value, 11, 12))


def switch(ulid: str, to: str, came_from: str, rollback_of: str = "") -> chain_pb2.ChainSwitch:
    made = chain_pb2.ChainSwitch(
        name=f"workloads/site/switches/{ulid}",
        state=chain_pb2.ChainSwitch.STATE_DONE,
        to=whole(to),
        rollback_of=rollback_of,
    )
    origin(made).CopyFrom(whole(came_from))
    return made


def test_a_move_is_one_change_of_route_record_and_audit_bound_to_what_was_read() -> None:
    change = decide(move(), STAMP, CALLER)

    assert set(change.compares) == {
        unchanged(keys.route("site"), 7),
        unchanged(keys.chain("site", "other", "bbbbbbbbbbbb"), 9),
        absent(keys.chain_switch("site", STAMP.ulid)),
    }
    assert [put.key for put in change.writes] == [
        keys.route("site"),
        keys.chain_switch("site", STAMP.ulid),
    ]
    assert change.audit is not None
    assert change.audit.key == keys.audit(STAMP.ulid)


def test_a_move_keeps_the_seed_so_that_a_key_keeps_its_bucket() -> None:
    change = decide(move(), STAMP, CALLER)

    assert change.answer.to.seed == "older-seed"
    assert [share.chain for share in change.answer.to.shares] == [OTHER]


def test_the_record_says_who_moved_what_from_where_and_why() -> None:
    made = decide(move(), STAMP, CALLER).answer

    assert made.name == f"workloads/site/switches/{STAMP.ulid}"
    assert made.state == chain_pb2.ChainSwitch.STATE_CONVERGING
    assert [share.chain for share in origin(made).shares] == [DEFAULT]
    assert (made.actor.subject, made.reason, made.request_id) == ("ada", "cheaper", "r-1")
    assert (made.impact.operations_running, made.impact.resources_bound) == (2, 3)
    assert made.to.chain_switch == made.name


def test_the_audit_record_holds_both_routes_and_the_method() -> None:
    audit = decide(move(), STAMP, CALLER).audit
    assert audit is not None
    entry = decode(presence_pb2.AuditRecord, audit.value)

    assert entry.method == CALLER.method
    assert entry.target == "workloads/site/route"
    assert MessageToDict(entry.before)["shares"][0]["chain"] == DEFAULT
    assert MessageToDict(entry.after)["shares"][0]["chain"] == OTHER
    assert entry.etag_before == route().etag


def test_steps_that_nobody_could_do_stop_a_move_and_are_all_named() -> None:
    gaps = ("configure: no instance of terraform 1.0", "serve: no instance of process 2.0")

    with pytest.raises(PreconditionError) as caught:
        decide(move(gaps=gaps, unlaunchable=["engines/terraform names no command"]), STAMP, CALLER)

    assert caught.value.reason == "NO_INSTANCE"
    assert all(gap in caught.value.message for gap in gaps)


def test_a_dry_run_tells_of_the_gaps_instead() -> None:
    change = decide(move(gaps=("serve: no instance of process 2.0",)), STAMP, CALLER, validate_only=True)

    assert list(change.answer.impact.gaps) == ["serve: no instance of process 2.0"]


def test_a_route_that_an_experiment_owns_is_not_moved() -> None:
    owned = route()
    owned.message.experiments.append("workloads/site/experiments/e")

    with pytest.raises(PreconditionError) as caught:
        decide(move(at=owned), STAMP, CALLER)

    assert caught.value.reason == "EXPERIMENT_OWNS_ROUTE"


@pytest.mark.parametrize("gaps", [("serve: no instance of process 2.0",), ()], ids=["missing", "served"])
def test_where_missing_instances_can_be_started_the_route_stays_for_now(gaps: tuple[str, ...]) -> None:
    change = decide(move(gaps=gaps), STAMP, CALLER)

    state = chain_pb2.ChainSwitch.STATE_VALIDATING if gaps else chain_pb2.ChainSwitch.STATE_CONVERGING
    put = next(each for each in change.writes if each.key == keys.route("site"))
    assert isinstance(put, Put)
    assert change.answer.state == state
    # It is written all the same, so that of two switches at once one is told.
    assert (put.value == route().value) == bool(gaps)


def test_a_route_that_a_person_pinned_is_not_moved() -> None:
    pinned = route().message
    pinned.pin.reason = "audit week"
    put = write(keys.route("site"), pinned)

    with pytest.raises(PreconditionError) as caught:
        decide(move(at=parse(chain_pb2.Route, KeyValue(put.key, put.value, 5, 7))), STAMP, CALLER)

    assert caught.value.reason == "ROUTE_PINNED"
    assert "audit week" in caught.value.message


WATCHED = chain_pb2.ChainSwitch(
    activate_time=Timestamp(seconds=1795510000), watch_timeout=Duration(seconds=600000)
)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (under_way(chain_pb2.ChainSwitch.STATE_WARMING), True),
        (under_way(chain_pb2.ChainSwitch.STATE_CONVERGING), True),
        (under_way(chain_pb2.ChainSwitch.STATE_DRAINING), False),
        (
            under_way(
                chain_pb2.ChainSwitch.STATE_DRAINING,
                activate_time=WATCHED.activate_time,
                watch_timeout=WATCHED.watch_timeout,
            ),
            True,
        ),
        (under_way(chain_pb2.ChainSwitch.STATE_RETIRING), False),
    ],
    ids=["warming", "converging", "draining", "watched", "retiring"],
)
def test_a_switch_waits_for_one_that_may_still_move_the_route(
    other: Document[chain_pb2.ChainSwitch], told: bool
) -> None:
    moving = move(under_way=[other])
    if told:
        with pytest.raises(ConflictError) as caught:
            decide(moving, STAMP, CALLER)
        assert caught.value.metadata["switch"] == other.message.name
        return

    written = {put.key for put in decide(moving, STAMP, CALLER).writes}
    assert (other.key in written) == (other.message.state == chain_pb2.ChainSwitch.STATE_DRAINING)


def test_a_rollback_ends_the_switch_that_it_undoes() -> None:
    other = under_way(chain_pb2.ChainSwitch.STATE_CONVERGING)

    change = decide(move(under_way=[other], rollback_of=other.message.name), STAMP, CALLER)

    put = next(each for each in change.writes if each.key == other.key)
    assert isinstance(put, Put)
    ended = decode(chain_pb2.ChainSwitch, put.value)
    assert ended.state == chain_pb2.ChainSwitch.STATE_ROLLED_BACK
    assert unchanged(other.key, 12) in change.compares


def test_a_chain_that_is_in_force_gives_the_switch_that_put_it_there_and_writes_nothing() -> None:
    last = switch("1" * 26, DEFAULT, OTHER)

    assert nothing_to_do(route().message, last).answer == last
    assert not nothing_to_do(route().message, last).writes


def test_only_chains_that_lose_every_bucket_count_as_losing() -> None:
    shares = [
        chain_pb2.RouteShare(chain=OTHER, start=0, end=5000),
        chain_pb2.RouteShare(chain=DEFAULT, start=5000, end=10_000),
    ]

    assert losing(route().message, shares) == frozenset()
    assert losing(route().message, whole(OTHER).shares) == {DEFAULT}


def test_rolling_back_again_goes_one_switch_further_and_ends_at_the_first() -> None:
    first = switch("1" * 26, OTHER, DEFAULT)
    second = switch("2" * 26, DEFAULT, OTHER)
    undo_second = switch("3" * 26, OTHER, DEFAULT, rollback_of=second.name)
    undo_first = switch("4" * 26, DEFAULT, OTHER, rollback_of=first.name)

    assert to_undo([second, first]) == second
    assert to_undo([undo_second, second, first]) == first
    assert to_undo([undo_first, undo_second, second, first]) is None


def test_a_switch_that_did_not_finish_is_not_undone() -> None:
    failed = switch("2" * 26, DEFAULT, OTHER)
    failed.state = chain_pb2.ChainSwitch.STATE_ROLLED_BACK
    first = switch("1" * 26, OTHER, DEFAULT)

    assert to_undo([failed, first]) == first


def exploring(chain: str = DEFAULT, tried: str = OTHER) -> chain_pb2.Route:
    shares = moved(whole(chain), {tried: 0.05}, (), STAMP.now)
    assert shares is not None
    made = whole(chain)
    del made.shares[:]
    made.shares.extend(shares)
    return made


def test_what_merely_explores_is_not_undone_and_hides_nothing() -> None:
    first = switch("1" * 26, DEFAULT, OTHER)
    begun, ended = (switch(number * 26, DEFAULT, DEFAULT) for number in "23")
    begun.to.CopyFrom(exploring())
    origin(ended).CopyFrom(exploring())

    assert to_undo([ended, begun, first]) == first
    assert check_undo("site", exploring(), first) == first


@pytest.mark.parametrize(
    ("state", "ends"),
    [
        (states.VALIDATING, ["ROLLED_BACK"]),
        (states.WARMING, ["ROLLED_BACK"]),
        (states.ACTIVATING, ["ROLLED_BACK"]),
        (states.CONVERGING, ["DRAINING", "RETIRING"]),
        (states.DRAINING, ["RETIRING"]),
    ],
)
def test_what_merely_explores_gives_way_wherever_it_stands(state: states.State, ends: list[str]) -> None:
    before = under_way(state)
    before.message.to.CopyFrom(exploring())
    origin(before.message).CopyFrom(whole(DEFAULT))

    change = decide(move(under_way=[before]), STAMP, CALLER)

    (put,) = [write for write in change.writes if write.key == before.key]
    assert isinstance(put, Put)
    ended = decode(chain_pb2.ChainSwitch, put.value)
    entered = [chain_pb2.ChainSwitch.State.Name(phase.state)[len("STATE_") :] for phase in ended.phases]
    assert entered[-len(ends) :] == ends
    assert ended.rollback_reason.startswith("GAVE_WAY: ") == (ends == ["ROLLED_BACK"])


@pytest.mark.parametrize(
    ("undone", "reason"),
    [(None, "NOTHING_TO_ROLL_BACK"), (switch("1" * 26, OTHER, DEFAULT), "ROUTE_MOVED")],
)
def test_there_is_nothing_to_undo_or_the_route_is_elsewhere(
    undone: chain_pb2.ChainSwitch | None, reason: str
) -> None:
    with pytest.raises(PreconditionError) as caught:
        check_undo("site", route(DEFAULT).message, undone)

    assert caught.value.reason == reason
    assert caught.value.remedy
