"""Which instances count, which version is newest, and what a chain lacks."""

import pytest

from controlplane.catalog.convergence import judge
from controlplane.catalog.instances import gaps, newest_version, ready
from enchain.v1 import chain_pb2, presence_pb2
from enchain.v1.engine_pb2 import EngineInstance


def instance(
    version: str,
    engine: str = "terraform",
    state: EngineInstance.State.ValueType = EngineInstance.STATE_READY,
) -> EngineInstance:
    name = f"engines/{engine}/instances/{version}-{state}"
    return EngineInstance(name=name, engine=engine, version=version, state=state)


@pytest.mark.parametrize(
    ("versions", "newest"),
    [
        (["1.9.0", "1.10.0", "1.2.0"], "1.10.0"),
        (["1.0-rc1", "1.0"], "1.0"),
        (["1.0", "1.0.1"], "1.0.1"),
        ([], ""),
    ],
)
def test_versions_are_ordered_as_people_order_them(versions: list[str], newest: str) -> None:
    assert newest_version([instance(version) for version in versions], "terraform") == newest


def test_an_instance_that_drains_takes_nothing_new() -> None:
    draining = instance("2.0", state=EngineInstance.STATE_DRAINING)

    assert ready([draining], "terraform") == ()
    assert newest_version([draining, instance("1.0")], "terraform") == "1.0"


def test_each_step_that_no_instance_could_do_is_a_gap() -> None:
    chain = chain_pb2.Chain(
        steps=[
            chain_pb2.ChainStep(steps=["configure"], engine="terraform", version="1.0"),
            chain_pb2.ChainStep(
                steps=["serve"],
                engine="process",
                version="3.0",
                fallback=chain_pb2.ChainStep(engine="script", version="1.0"),
            ),
        ]
    )

    assert gaps(chain, [instance("1.0"), instance("2.0", "process")]) == (
        "serve: no instance of process 3.0",
    )


def router(name: str, applied: int, refused: str = "") -> presence_pb2.RouterPresence:
    refusals = [presence_pb2.Refusal(workload=refused, key="k", reason="BAD", revision=8)] if refused else []
    return presence_pb2.RouterPresence(
        name=f"routers/{name}", address="h:1", applied_revision=applied, refusals=refusals
    )


def test_a_route_has_converged_when_every_router_has_read_it_and_refuses_nothing() -> None:
    assert judge("site", 8, [router("a", 8), router("b", 9, refused="workloads/other")]).converged


@pytest.mark.parametrize("behind", [router("b", 7), router("b", 8, refused="workloads/site")])
def test_one_router_that_is_behind_or_refuses_holds_it_up(behind: presence_pb2.RouterPresence) -> None:
    judged = judge("site", 8, [router("a", 8), behind])

    assert not judged.converged
    assert [each.converged for each in judged.routers] == [True, False]


def test_a_refusal_is_told_with_its_key_and_reason() -> None:
    judged = judge("site", 8, [router("b", 8, refused="workloads/site")])

    assert judged.routers[0].refusal == "k: BAD"


def test_a_route_that_no_router_follows_has_not_converged() -> None:
    assert not judge("site", 8, []).converged
