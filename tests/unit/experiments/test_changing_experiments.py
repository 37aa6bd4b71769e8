"""What acts make of an experiment, and which act is possible when."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.experiments.changing import (
    BYTES_MAX,
    HISTORY_MAX,
    Why,
    bounded,
    concluded,
    cooled,
    covered,
    first_phase,
    noted,
    paused,
    resumed,
    reweighted,
    started,
    warmed,
)
from controlplane.experiments.states import TRANSITIONS, Act, advance
from enchain.chains.digests import canonical
from enchain.chains.errors import PreconditionError
from enchain.v1.experiment_pb2 import Arm, Conclusion, Experiment, MetricAnalysis

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STATES = [state for state in Experiment.State.values() if state]


def draft() -> Experiment:
    made = Experiment(
        name="workloads/site/experiments/ab",
        state=Experiment.STATE_DRAFT,
        coverage=100,
        arms=[Arm(name="old", weight=50), Arm(name="new", weight=50)],
    )
    made.phases.append(first_phase(made, "s1"))
    return made


@pytest.mark.parametrize("act", [act for act in Act if act is not Act.CREATE])
@pytest.mark.parametrize("state", STATES)
def test_the_table_says_what_is_possible_and_all_else_is_refused(
    act: Act, state: Experiment.State.ValueType
) -> None:
    made = draft()
    made.state = state
    if state in TRANSITIONS[act]:
        assert advance(made, act) == TRANSITIONS[act][state]
        return
    with pytest.raises(PreconditionError) as caught:
        advance(made, act)
    assert caught.value.reason == "WRONG_STATE"
    assert caught.value.remedy


DOING: Mapping[str, Callable[[Experiment, Why], Experiment]] = {
    "warm": lambda made, why: warmed(made, ["c@1", "d@1"], [], timedelta(minutes=1), why),
    "cool": lambda made, why: cooled(made, "WARMING_TIMEOUT", why),
    "start": lambda made, why: started(made, ["c@1", "d@1"], why),
    "pause": paused,
    "resume": resumed,
    "cover": lambda made, why: covered(made, 40, why),
    "weigh": lambda made, why: reweighted(made, {"old": 30, "new": 70}, f"seed-{why.now}", why),
    "conclude": lambda made, why: concluded(made, Conclusion(), why),
}


@given(st.lists(st.sampled_from(sorted(DOING)), max_size=30))
def test_whatever_is_done_in_any_order_phases_follow_on_one_another(acts: list[str]) -> None:
    made = draft()
    for number, act in enumerate(acts):
        why = Why(START + timedelta(minutes=number))
        before = Experiment()
        before.CopyFrom(made)
        try:
            made = DOING[act](made, why)
        except PreconditionError:
            assert made == before
            continue
        assert before != made

    assert [each.number for each in made.phases] == list(range(1, len(made.phases) + 1))
    assert len({each.seed for each in made.phases}) == len(made.phases)
    for one, two in zip(made.phases, made.phases[1:], strict=False):
        assert one.end_time == two.start_time
    assert all([part.arm for part in each.ranges] == ["old", "new"] for each in made.phases)


def test_history_keeps_the_newest_and_a_document_stays_below_what_a_value_takes() -> None:
    made = draft()
    for number in range(HISTORY_MAX + 20):
        made = noted(made, Act.UPDATE, Why(START, description=f"{number} " + "x" * 1000, evidence="y" * 1000))
    for number in range(200):
        made.conclusion.evidence.metrics.add(
            arm="new",
            metric=f"outputs.{'m' * 60}{number}",
            role=MetricAnalysis.ROLE_METRIC,
            p_value=0.123456789,
        )

    made = bounded(made)

    assert len(canonical(made).encode()) <= BYTES_MAX
    assert made.history[-1].description.startswith("119 ")


@pytest.mark.parametrize(("evidence", "kept"), [("Switch to new.", ""), ("Go on.", "Go on.")])
def test_the_history_says_no_sentence_twice(evidence: str, kept: str) -> None:
    made = noted(draft(), Act.UPDATE, Why(START, description="Switch to new.", evidence=evidence))

    assert (made.history[-1].description, made.history[-1].evidence) == ("Switch to new.", kept)
