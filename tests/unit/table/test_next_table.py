"""The next table: the unit of refusal is the workload, and what is good stays in force.

In scope: the decision from one snapshot to the next. Following a real store is in `tests/integration/table`.
"""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.table.table import Decisions, Table, next_table
from enchain.chains import routes
from enchain.chains.digests import digest_of
from enchain.state import keys
from enchain.state.codec import canonical, encode
from enchain.state.store import Batch
from enchain.v1 import chain_pb2
from tests.harness.tables import chain, chain_name, engine, revision_of, whole_workload

X_ROUTE, Y_ROUTE = keys.route("x"), keys.route("y")
X_NEW, Y_NEW = keys.chain("x", "default", "r2"), keys.chain("y", "default", "r2")


def after(*batches: Batch) -> Table:
    table = Table()
    for batch in batches:
        table, _ = next_table(table, batch)
    return table


def two_workloads() -> Batch:
    return revision_of(10, {**whole_workload("x"), **whole_workload("y"), **engine("process")}, resync=True)


def switched(workload: str, revision: str) -> dict[str, bytes]:
    return {keys.route(workload): encode(routes.whole(chain_name(workload, revision)))}


def chains_in_force(table: Table, workload: str) -> list[str]:
    return [share.chain for share in table.routes[workload].shares]


def test_the_first_list_brings_everything_into_force() -> None:
    table, decisions = next_table(Table(), two_workloads())

    assert table.revision == 10
    assert sorted(table.workloads) == sorted(table.routes) == ["x", "y"]
    assert sorted(table.chains) == [chain_name("x", "r1"), chain_name("y", "r1")]
    assert list(table.engines) == ["process"]
    assert table.refusals == ()
    assert decisions == Decisions(applied=("engines/process", "workloads/x", "workloads/y"))


def test_a_chain_put_by_hand_gets_its_name_and_digest() -> None:
    found = after(two_workloads()).chains[chain_name("x", "r1")]

    assert found.name == chain_name("x", "r1")
    assert found.digest == digest_of(found)
    assert found.timeout.seconds > 0


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "MALFORMED_VALUE"),
        (b"\xff\xfe", "MALFORMED_VALUE"),
        (b"[]", "MALFORMED_VALUE"),
        (b'{"stages": []}', "MALFORMED_VALUE"),
        (encode(chain_pb2.Chain()), "OUT_OF_RANGE"),
        (encode(chain("${inputs.nobody}")), "UNKNOWN_FIELD"),
        (
            canonical(chain()).replace('"type":"object"', '"type":"object","examples":[NaN]').encode(),
            "UNREADABLE",
        ),
        (encode(chain(name="workloads/y/chains/default@r2")), "OTHER_NAME"),
        (json.dumps({**json.loads(canonical(chain())), "digest": "sha256:00"}).encode(), "WRONG_DIGEST"),
    ],
)
def test_a_broken_chain_freezes_its_workload_and_no_other(value: bytes, reason: str) -> None:
    before = after(two_workloads())
    table, decisions = next_table(before, revision_of(11, {X_NEW: value}))

    (refusal,) = table.refusals
    assert (refusal.workload, refusal.key, refusal.revision) == ("workloads/x", X_NEW, 11)
    assert reason in refusal.reason
    assert decisions == Decisions(refused=(refusal,))
    assert table.refusals_of("x") == (refusal,)
    assert table.refusals_of("y") == ()

    table = next_table(table, revision_of(12, {Y_NEW: encode(chain("fixed")), **switched("y", "r2")}))[0]
    assert chains_in_force(table, "y") == [chain_name("y", "r2")]
    assert chains_in_force(table, "x") == [chain_name("x", "r1")]
    assert chain_name("x", "r1") in table.chains
    assert table.revision == 12


def test_a_frozen_workload_takes_nothing_new_until_it_is_mended() -> None:
    table = after(
        two_workloads(),
        revision_of(11, {keys.chain("x", "other", "bad"): b"{"}),
        revision_of(12, {X_NEW: encode(chain("fixed")), **switched("x", "r2")}),
    )
    assert chains_in_force(table, "x") == [chain_name("x", "r1")]

    table, decisions = next_table(table, revision_of(13, gone=(keys.chain("x", "other", "bad"),)))
    assert chains_in_force(table, "x") == [chain_name("x", "r2")]
    assert table.refusals == ()
    assert decisions == Decisions(applied=("workloads/x",), mended=("workloads/x",))


def test_a_fault_is_mended_by_putting_the_key_again() -> None:
    table = after(two_workloads(), revision_of(11, {X_NEW: b"{"}), revision_of(12, {X_NEW: encode(chain())}))

    assert table.refusals == ()
    assert chain_name("x", "r2") in table.chains


def test_a_route_to_a_chain_that_is_not_there_waits_for_it() -> None:
    table = after(two_workloads(), revision_of(11, switched("x", "r2")), revision_of(12, engine("other")))
    (refusal,) = table.refusals
    assert (refusal.key, refusal.revision) == (X_ROUTE, 11)
    assert chain_name("x", "r2") in refusal.reason
    assert chains_in_force(table, "x") == [chain_name("x", "r1")]

    table = next_table(table, revision_of(13, {X_NEW: encode(chain())}))[0]
    assert chains_in_force(table, "x") == [chain_name("x", "r2")]
    assert table.refusals == ()


def test_a_refusal_that_stands_is_told_once() -> None:
    table = after(two_workloads(), revision_of(11, switched("x", "r2")))

    table, decisions = next_table(table, revision_of(12, {keys.chain("x", "other", "r1"): encode(chain())}))

    assert decisions.refused == ()
    assert table.refusals[0].revision == 11


def test_a_chain_in_use_stays_in_force_although_it_is_deleted() -> None:
    table, decisions = next_table(
        after(two_workloads()), revision_of(11, gone=(keys.chain("x", "default", "r1"),))
    )

    assert chain_name("x", "r1") in table.chains
    assert decisions.refused[0].key == X_ROUTE


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ([(0, 5000)], "no share has"),
        ([(0, 5000), (4000, 10000)], "two shares have"),
        ([(0, 10001)], "no range"),
        ([], "1 to 32 shares"),
    ],
)
def test_a_route_that_does_not_cover_every_bucket_once_is_refused(
    shares: list[tuple[int, int]], words: str
) -> None:
    route = chain_pb2.Route(
        shares=[
            chain_pb2.RouteShare(chain=chain_name("x", "r1"), start=start, end=end) for start, end in shares
        ]
    )

    table = after(two_workloads(), revision_of(11, {X_ROUTE: encode(route)}))

    assert words in table.refusals[0].reason
    assert chains_in_force(table, "x") == [chain_name("x", "r1")]


def test_the_routes_revision_is_the_one_that_was_read_even_where_it_is_refused() -> None:
    table = after(two_workloads())
    assert (table.route_revision("x"), table.route_revision("nobody")) == (10, 0)

    table = next_table(table, revision_of(11, {X_ROUTE: b"{"}))[0]
    assert table.route_revision("x") == 11
    assert table.route_revision("y") == 10


def test_a_workload_that_was_never_good_is_not_there() -> None:
    table = after(revision_of(5, {X_ROUTE: b"{", keys.chain("x", "default", "r1"): encode(chain())}))

    assert (dict(table.routes), dict(table.chains)) == ({}, {})
    assert table.refusals_of("x")


def test_a_workload_that_is_deleted_whole_is_gone() -> None:
    table, decisions = next_table(after(two_workloads()), revision_of(11, gone=tuple(whole_workload("x"))))

    assert sorted(table.workloads) == sorted(table.routes) == ["y"]
    assert list(table.chains) == [chain_name("y", "r1")]
    assert table.route_revision("x") == 0
    assert decisions == Decisions(applied=("workloads/x",))


def test_a_frozen_workload_that_is_deleted_whole_is_gone_too() -> None:
    frozen = after(two_workloads(), revision_of(11, {X_NEW: b"{"}))

    table, decisions = next_table(frozen, revision_of(12, gone=(*whole_workload("x"), X_NEW)))

    assert (sorted(table.routes), table.refusals) == (["y"], ())
    assert decisions.mended == ("workloads/x",)


def test_a_broken_engine_stays_as_it_was_and_belongs_to_no_workload() -> None:
    table = after(
        revision_of(1, {**engine("process", "good"), **engine("terraform")}),
        revision_of(2, {keys.engine("process"): b"{", **engine("terraform", "newer")}),
    )

    (refusal,) = table.refusals
    assert (refusal.workload, refusal.key) == ("", keys.engine("process"))
    assert table.engines["process"].description == "good"
    assert table.engines["terraform"].description == "newer"


@pytest.mark.parametrize(
    ("key", "workload"),
    [
        (f"{keys.TABLE}nonsense", ""),
        (f"{keys.ENGINES}a/b", ""),
        (f"{keys.CHAINS}Bad Name/default/r1", ""),
        (f"{keys.ROUTES}", ""),
        (f"{keys.CHAINS}x/default", "workloads/x"),
        (f"{keys.CHAINS}x/default/r1/more", "workloads/x"),
        (f"{keys.CHAINS}x/default/-", "workloads/x"),
        (f"{keys.WORKLOADS}x/more", "workloads/x"),
    ],
)
def test_a_key_that_should_not_be_there_is_refused_under_its_workload_if_it_names_one(
    key: str, workload: str
) -> None:
    table = after(two_workloads(), revision_of(11, {key: b"{}"}))

    assert [(refusal.key, refusal.workload) for refusal in table.refusals] == [(key, workload)]
    assert sorted(table.routes) == ["x", "y"]


def test_what_routers_do_not_act_on_is_passed_over() -> None:
    table = after(two_workloads(), revision_of(11, {f"{keys.LAYERS}l": b"?"}))

    assert (table.revision, table.refusals) == (11, ())


def test_an_older_table_is_not_changed_and_cannot_be() -> None:
    before = after(two_workloads())
    next_table(before, revision_of(11, gone=tuple(whole_workload("x"))))

    assert sorted(before.routes) == ["x", "y"]
    with pytest.raises(TypeError):
        before.routes["z"] = chain_pb2.Route()  # type: ignore[index]  # that is the point


def test_an_empty_relist_changes_nothing_but_the_revision() -> None:
    before = after(two_workloads())

    table, decisions = next_table(before, Batch(99, (), resync=True))

    assert (table.revision, table.routes, decisions) == (99, before.routes, Decisions())


def test_a_reason_is_one_line_and_short_enough_to_be_shown() -> None:
    table = after(revision_of(1, {X_ROUTE: b'{"' + b"long\\n" * 9000 + b'": 1}'}))

    assert len(table.refusals[0].reason) <= 400
    assert "\n" not in table.refusals[0].reason


DOCUMENTS = {
    keys.workload("x"): [b"{", encode(chain_pb2.Route()), whole_workload("x")[keys.workload("x")]],
    keys.chain("x", "default", "r1"): [b"{", encode(chain()), encode(chain("fixed"))],
    keys.chain("x", "default", "r2"): [encode(chain()), encode(chain("other"))],
    X_ROUTE: [b"[]", *(switched("x", revision)[X_ROUTE] for revision in ("r1", "r2", "r3"))],
    keys.route("y"): [b"{"],
    keys.engine("process"): [b"{", engine("process")[keys.engine("process")]],
}
WRITES = st.lists(
    st.sampled_from([(key, value) for key, values in DOCUMENTS.items() for value in [*values, None]]),
    max_size=12,
)


@settings(deadline=None)  # machines that are busy are no fault
@given(WRITES)
def test_however_it_got_there_a_state_without_faults_gives_the_same_table(
    writes: list[tuple[str, bytes | None]],
) -> None:
    table, state = Table(), dict[str, bytes]()
    for revision, (key, value) in enumerate(writes, start=1):
        if value is None:
            state.pop(key, None)
            table = next_table(table, revision_of(revision, gone=(key,)))[0]
        else:
            state[key] = value
            table = next_table(table, revision_of(revision, {key: value}))[0]
    fresh = after(revision_of(len(writes) or 1, state, resync=True))

    assert {(r.key, r.workload, r.reason) for r in table.refusals} == {
        (r.key, r.workload, r.reason) for r in fresh.refusals
    }
    if not fresh.refusals:
        assert (table.chains, table.routes) == (fresh.chains, fresh.routes)
        assert (table.workloads, table.engines) == (fresh.workloads, fresh.engines)
    for route in table.routes.values():
        assert all(share.chain in table.chains for share in route.shares)
