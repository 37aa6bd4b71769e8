"""Experiments in a table: those that run are asked, and what is wrong with one freezes its workload alone."""

from collections.abc import Callable

import pytest

from dataplane.table.table import Table, next_table
from enchain.chains.assignment import Reason
from enchain.chains.units import Attributes
from enchain.state import keys
from enchain.state.codec import encode
from enchain.v1 import experiment_pb2
from tests.harness.stored_experiments import experiment
from tests.harness.tables import chain, chain_name, revision_of, whole_workload

Experiment = experiment_pb2.Experiment


def key_of(name: str, workload: str = "x") -> str:
    return keys.experiment(workload, name)


def document(name: str = "e", **changes: object) -> dict[str, bytes]:
    """An experiment of two chains that are there."""
    return {key_of(name): encode(experiment(name, workload="x", **changes))}  # type: ignore[arg-type]  # as the harness names them


def before() -> Table:
    """Two workloads; `x` has the chains of both arms."""
    arms = {keys.chain("x", arm, "r1"): encode(chain()) for arm in ("a", "b")}
    documents = {**whole_workload("x"), **whole_workload("y"), **arms}
    return next_table(Table(), revision_of(10, documents))[0]


def after(*changes: dict[str, bytes], gone: tuple[str, ...] = ()) -> Table:
    table = before()
    for number, change in enumerate(changes, start=11):
        table = next_table(table, revision_of(number, change))[0]
    return next_table(table, revision_of(20, gone=gone))[0] if gone else table


def test_one_that_runs_is_asked_and_one_that_is_gone_is_not() -> None:
    running = after(document())

    assert running.enrolments["x"].of_request(Attributes("one")).reason is Reason.ENROLLED
    assert "y" not in running.enrolments
    assert after(document(), gone=(key_of("e"),)).enrolments == {}


@pytest.mark.parametrize("state", [Experiment.STATE_DRAFT, Experiment.STATE_CONCLUDED])
def test_one_that_is_not_in_force_is_not_looked_into(state: Experiment.State.ValueType) -> None:
    draft = experiment("e", workload="x", state=state, chains={"a": "workloads/x/chains/gone"})
    del draft.phases[:]

    table = after({key_of("e"): encode(draft)})

    assert (table.enrolments, table.refusals) == ({}, ())


def _without_phases(broken: Experiment) -> None:
    del broken.phases[:]


def _other_name(broken: Experiment) -> None:
    broken.name = "workloads/x/experiments/other"


def _other_workload(broken: Experiment) -> None:
    broken.arms[0].chain = chain_name("y", "r1")


def _no_chain(broken: Experiment) -> None:
    broken.arms[0].chain = chain_name("x", "r9")


def _no_cel(broken: Experiment) -> None:
    broken.eligibility = "steps.one == 1"


def _no_part(broken: Experiment) -> None:
    broken.layer.CopyFrom(experiment_pb2.LayerRange(layer="layers/l", start=7, end=7))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_without_phases, "PHASE_MISSING"),
        (_other_name, "OTHER_NAME"),
        (_other_workload, "OTHER_WORKLOAD"),
        (_no_chain, "CHAIN_MISSING"),
        (_no_cel, "EXPRESSION_INVALID"),
        (_no_part, "INVALID_RANGE"),
    ],
)
def test_a_faulty_one_freezes_its_workload_and_no_other(
    spoil: Callable[[Experiment], None], reason: str
) -> None:
    broken = experiment("e", workload="x", seed="newer")
    spoil(broken)

    table = after(document(), {key_of("e"): encode(broken), **whole_workload("y", "r2")})

    assert [refusal.reason.split(":")[0] for refusal in table.refusals] == [reason]
    assert [refusal.workload for refusal in table.refusals] == ["workloads/x"]
    assert table.enrolments["x"].explain("one")[0].seed == "abc"  # as it was when all was good
    assert table.routes["y"].shares[0].chain == chain_name("y", "r2")


def test_two_without_a_layer_stand_in_each_others_way() -> None:
    table = after(document("e"), document("f"))

    assert [refusal.reason.split(":")[0] for refusal in table.refusals] == ["EXPERIMENT_IN_THE_WAY"]
    assert len(table.enrolments["x"].assigners) == 1


def test_parts_of_one_layer_must_not_overlap() -> None:
    parts = ((0, 500), (500, 1000))
    apart = after(*(document(f"e{i}", layer="l", part=part) for i, part in enumerate(parts)))
    overlapping = after(*(document(f"e{i}", layer="l", part=(i, 600)) for i in range(2)))

    assert (len(apart.enrolments["x"].assigners), apart.refusals) == (2, ())
    assert [refusal.reason.split(":")[0] for refusal in overlapping.refusals] == ["LAYER_OVERLAP"]


def test_a_mended_experiment_is_in_force_again() -> None:
    table = after(document(), {key_of("e"): b"?"}, document(seed="newer"))

    assert table.refusals == ()
    assert table.enrolments["x"].explain("one")[0].seed == "newer"
