"""How many instances are kept, and whether they can be started here."""

import pytest

from controlplane.switching.pool_targets import (
    Need,
    bounds,
    current_version,
    wanted,
    why_not_launchable,
)
from enchain.chains.decision_names import PoolName
from enchain.v1.engine_pb2 import Engine
from enchain.v1.pool_pb2 import Pool
from tests.harness.pool_worlds import UNKNOWN, V1, V2, engine, pool

WISHES: dict[str, tuple[Pool, Engine | None, Need, int, str]] = {
    "what was set": (pool(target=3, reason="fair"), engine(), Need(), 3, "fair"),
    "nothing": (pool(target=0), engine(), Need(), 0, ""),
    "demands are added up": (
        pool(target=1, demands={"workloads/a": 1.2, "workloads/b": 0.9}), engine(), Need(), 3,
        "demand of workloads/a, workloads/b",
    ),
    "a rounding error is no demand": (
        pool(target=1, demands={"a": 0.1, "b": 0.9 + 1e-12}), engine(), Need(), 1, "the target that was set",
    ),
    "what is no number is no demand": (
        pool(target=1, demands={"a": float("nan"), "b": float("inf")}), engine(), Need(), 1,
        "the target that was set",
    ),
    "the largest hold lifts it": (
        pool(target=1, holds={"s1": 2, "s2": 4}), engine(), Need(), 4, "held for s2",
    ),
    "the engine keeps some": (pool(target=0), engine(2), Need(), 2, "the engine's pool.min is 2"),
    "a route keeps one": (
        pool(target=0), engine(), Need(routes=("site",)), 1, "routes of site lead to it",
    ),
    "operations keep one": (
        pool(target=0), engine(), Need(operations=7), 1, "7 running operations need it",
    ),
    "resources alone keep none that can be started on demand": (
        pool(target=0), engine(), Need(resources=9), 0, "",
    ),
    "resources keep one that could not be started again": (
        pool(target=0), engine(command=False), Need(resources=9), 1,
        "9 resources need it, and it could not be started again",
    ),
    "the bound holds": (pool(target=0, holds={"s": 9}), engine(most=5), Need(), 5, "held for s"),
    "no document bounds much": (pool(target=1), None, Need(), 1, "the target that was set"),
    "pinned, nothing lifts it": (
        pool(target=1, pinned=True, holds={"s": 4}, demands={"a": 3}, reason="mine"), engine(),
        Need(routes=("site",)), 1, "mine",
    ),
    "pinned, the bounds hold": (pool(target=9, pinned=True), engine(most=2), Need(), 2, "pinned"),
}  # fmt: skip


@pytest.mark.parametrize(("record", "document", "need", "count", "reason"), WISHES.values(), ids=WISHES)
def test_so_many_are_kept(record: Pool, document: Engine | None, need: Need, count: int, reason: str) -> None:
    kept = wanted(V1, {V1: record}, document, need)

    assert (kept.count, kept.reason) == (count, reason)


def test_what_a_pin_and_a_bound_cost_is_said() -> None:
    pinned = wanted(V1, {V1: pool(target=0, pinned=True)}, engine(), Need(routes=("site", "shop")))
    cut = wanted(V1, {V1: pool(target=1, holds={"s": 7})}, engine(most=5))

    held = wanted(V1, {V1: pool(target=1, pinned=True, holds={"s": 3})}, engine())

    assert pinned.problem == "pinned at 0, and 1 are asked for: routes of site, shop lead to it"
    assert held.problem == "pinned at 1, and 3 are asked for: held for s"
    assert cut.problem == "7 are asked for, and pool.max is 5"


def test_the_version_that_the_command_started_last_is_current() -> None:
    pools = {V1: pool(V1, current=-60), V2: pool(V2, current=-30)}

    assert current_version(pools, "tool") == "2.0"
    assert current_version(pools, "other") == ""
    assert current_version({V1: pool(V1, current=None)}, "tool") == ""


def test_the_engine_keeps_its_least_of_the_current_version_only() -> None:
    pools = {V1: pool(V1, current=-60), V2: pool(V2, current=-30)}

    assert bounds(V1, engine(2, 3), pools) == (0, 3)
    assert bounds(V2, engine(2, 3), pools) == (2, 3)
    assert bounds(UNKNOWN, engine(2, 3), pools) == (0, 3)
    assert bounds(UNKNOWN, engine(2, 3), {}) == (2, 3)
    assert bounds(V1, engine(2, 3, command=False), pools) == (0, 3)


@pytest.mark.parametrize(
    ("name", "document", "launchable"),
    [
        (V2, engine(), True),
        (V1, engine(), False),
        (V1, engine(updated=-10), True),  # the command may be another one since
        (V2, engine(command=False), False),
        (V2, None, False),
        (PoolName("tool", "3.0"), engine(), False),
    ],
)
def test_only_what_the_command_starts_can_be_launched(
    name: PoolName, document: Engine | None, launchable: bool
) -> None:
    pools = {V1: pool(V1, current=-60), V2: pool(V2, current=-30)}

    assert (why_not_launchable(name, document, pools) == "") == launchable


def test_why_not_says_what_to_do() -> None:
    pools = {V1: pool(V1, current=None), V2: pool(V2, current=-30)}

    assert "move to a chain of 2.0" in why_not_launchable(V1, engine(), pools)
    assert "write launch.process" in why_not_launchable(V1, engine(command=False), pools)
