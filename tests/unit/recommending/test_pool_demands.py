"""What workloads ask of pools: their own share alone, and as far as their policy lets them."""

from controlplane.catalog.pool_demands import demanded, demanded_by_arms
from controlplane.switching.pool_targets import wanted
from enchain.chains.decision_names import PoolName
from enchain.v1 import engine_pb2, pool_pb2

ANSIBLE, TERRAFORM = ("ansible", "2"), ("terraform", "1")


def test_a_workload_asks_for_its_share_and_leaves_that_of_others() -> None:
    before = pool_pb2.Pool(name="engines/ansible/pools/2", demands={"workloads/db": 1.5})

    changed = demanded({ANSIBLE: before}, "site", {ANSIBLE: 2.0})

    assert dict(changed[ANSIBLE].demands) == {"workloads/db": 1.5, "workloads/site": 2.0}
    assert dict(before.demands) == {"workloads/db": 1.5}


def test_what_it_no_longer_uses_it_no_longer_asks_for() -> None:
    pools = {ANSIBLE: pool_pb2.Pool(name="engines/ansible/pools/2", demands={"workloads/site": 2.0})}

    changed = demanded(pools, "site", {TERRAFORM: 1.0})

    assert dict(changed[ANSIBLE].demands) == {}
    assert dict(changed[TERRAFORM].demands) == {"workloads/site": 1.0}
    assert changed[TERRAFORM].name == "engines/terraform/pools/1"


def test_asking_for_the_same_again_changes_nothing() -> None:
    pools = {ANSIBLE: pool_pb2.Pool(name="engines/ansible/pools/2", demands={"workloads/site": 2.0})}

    assert demanded(pools, "site", {ANSIBLE: 2.0}) == {}


def test_a_policy_lifts_the_ceiling_and_pools_keep_as_many() -> None:
    pool = demanded({}, "site", {ANSIBLE: 6.0}, {ANSIBLE: 6})[ANSIBLE]
    engine = engine_pb2.Engine(pool=engine_pb2.PoolBounds(max=5))
    name = PoolName(*ANSIBLE)

    assert wanted(name, {name: pool}, engine).count == 6
    pool.ceiling = 0
    assert wanted(name, {name: pool}, engine).count == 5


def test_the_ceiling_falls_when_nobody_lifts_it_any_more() -> None:
    lifted = demanded({}, "site", {ANSIBLE: 6.0}, {ANSIBLE: 6})

    assert demanded(lifted, "site", {ANSIBLE: 6.0})[ANSIBLE].ceiling == 0


def test_arms_ask_beside_their_workload_and_never_lift_what_a_policy_did_not() -> None:
    before = pool_pb2.Pool(name="engines/ansible/pools/2", demands={"workloads/site": 1.5}, ceiling=6)

    changed = demanded_by_arms({ANSIBLE: before}, "site", {ANSIBLE: 2.0, TERRAFORM: 1.0})

    assert dict(changed[ANSIBLE].demands) == {"workloads/site": 1.5, "workloads/site/experiments/-": 2.0}
    assert changed[ANSIBLE].ceiling == 6
    assert changed[TERRAFORM].ceiling == 0
    assert demanded_by_arms({**changed}, "site", {ANSIBLE: 2.0, TERRAFORM: 1.0}) == {}
    after = demanded_by_arms({ANSIBLE: changed[ANSIBLE]}, "site", {})[ANSIBLE]
    assert dict(after.demands) == {"workloads/site": 1.5}


def test_people_are_told_that_it_is_for_arms() -> None:
    pool = pool_pb2.Pool(demands={"workloads/site/experiments/-": 1.2})

    kept = wanted(PoolName(*ANSIBLE), {PoolName(*ANSIBLE): pool}, engine_pb2.Engine())

    assert (kept.count, kept.reason) == (2, "demand of the arms of experiments of workloads/site")
