"""What becomes of an experiment that waits for instances."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from controlplane.experiments.changing import NAMED_MAX, Why, concluded, cooled, first_phase, started, warmed
from controlplane.experiments.states import owns
from controlplane.experiments.warming import Begin, GiveUp, Wait, decide_warming, warm_time
from enchain.chains.errors import InvalidArgumentError
from enchain.chains.warming import start_told
from enchain.v1.experiment_pb2 import Arm, Conclusion, Experiment

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WHY = Why(START, description="started")
MINUTE = timedelta(minutes=1)
WRITTEN = ("workloads/site/chains/old", "workloads/site/chains/new@r7")
PINNED = ("workloads/site/chains/old@r1", "workloads/site/chains/new@r7")
ONE = "ansible 2.1: 0 of 1 ready"


def draft() -> Experiment:
    arms = [Arm(name=name, chain=chain, weight=50) for name, chain in zip(("a", "b"), WRITTEN, strict=True)]
    made = Experiment(
        name="workloads/site/experiments/ab", state=Experiment.STATE_DRAFT, coverage=100, arms=arms
    )
    made.phases.append(first_phase(made, "s1"))
    return made


def warming() -> Experiment:
    return warmed(draft(), PINNED, [ONE], MINUTE, WHY)


def test_it_keeps_its_chains_and_the_right_to_its_requests_and_enrols_nobody() -> None:
    made = warming()

    assert made.state == Experiment.STATE_WARMING
    assert owns(made)
    assert [arm.chain for arm in made.arms] == list(PINNED)
    assert start_told(made) == (
        "Wait: it enrols nobody yet, and is warming until 12:01:00Z at most: "
        "waiting for ansible 2.1: 0 of 1 ready."
    )


lines = st.lists(st.text(max_size=300), max_size=20)


@given(missing=lines, short=lines, seconds=st.floats(-1e6, 1e6, allow_nan=False))
def test_it_never_begins_while_an_engine_is_missing_and_waits_for_others_while_there_is_time(
    missing: list[str], short: list[str], seconds: float
) -> None:
    step = decide_warming(warming(), missing, short, START + timedelta(seconds=seconds))

    late = seconds >= 60
    assert isinstance(step, Begin) == (not missing and (late or not short))
    assert isinstance(step, GiveUp) == (bool(missing) and late)
    if isinstance(step, Begin):
        assert step.fewer == bool(short)
    if isinstance(step, Wait):
        assert len(step.waiting) <= NAMED_MAX + 1


def test_what_it_waits_for_is_written_where_it_is_news() -> None:
    other = "ansible 2.1: 0 of 1 ready (COMMAND_NOT_FOUND: there is no program)"

    assert decide_warming(warming(), [ONE], [ONE], START) == Wait((ONE,), news=False)
    assert decide_warming(warming(), [other], [], START) == Wait((other,), news=True)


def test_a_start_that_was_given_up_leaves_the_draft_that_was_written() -> None:
    step = decide_warming(warming(), [ONE], [ONE], START + MINUTE)
    assert isinstance(step, GiveUp)

    again = cooled(warming(), step.reason, Why(START + MINUTE, description=step.description))

    assert again.state == Experiment.STATE_DRAFT
    assert not owns(again)
    assert list(again.arms) == list(draft().arms)
    assert list(again.phases) == list(draft().phases)
    assert start_told(again) == (
        "Start it again once this is mended: it was not started, "
        "instances were not ready in time: ansible 2.1: 0 of 1 ready (WARMING_TIMEOUT)."
    )


def test_nothing_is_left_of_warming_once_it_runs_or_was_concluded() -> None:
    assert not started(warming(), PINNED, WHY).HasField("warming")
    assert not concluded(warming(), Conclusion(reason="OPERATOR"), WHY).HasField("warming")


@pytest.mark.parametrize("seconds", [-1, 8 * 86_400])
def test_a_time_that_nothing_may_take_is_refused(seconds: int) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        warm_time(Duration(seconds=seconds))

    assert caught.value.violations[0].field == "warm_timeout"
