"""The pure parts of the demonstration of experiments: what is broken, what is promised, what is drawn."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from enchain.chains import assignment
from enchain.v1 import experiment_pb2
from examples.demo_experiment import picture, stage, summary
from examples.demo_experiment.acts import Outcome, Sticky, moved
from examples.demo_experiment.broken import is_broken
from examples.demo_experiment.press import QUICK_SECONDS, SLOW_SECONDS, SLOW_SHARE, press_seconds
from examples.demo_experiment.requests import Request, short
from examples.demo_experiment.watching import Look, Watched, line

Experiment = experiment_pb2.Experiment
PROOF_SECONDS = 0.6
"""What the script waits for its proof-reader."""
PAGES = [f"page-{number:04}" for number in range(400)]


def at(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromNanoseconds(round((time.time() + seconds) * 1e9))
    return stamp


def read(identifier: str) -> Experiment:
    message = stage.experiment(identifier).message
    assert isinstance(message, Experiment)
    return message


def concluded(experiment: Experiment, *, reason: str, winner: str) -> Experiment:
    """The experiment as it is after its end, with the whole of its keys enrolled."""
    made = Experiment()
    made.CopyFrom(experiment)
    made.name, made.state = "workloads/page/experiments/x", Experiment.STATE_CONCLUDED
    phase = made.phases.add(number=1, seed="seed", hash_version=2, coverage=100)
    phase.ranges.extend(assignment.ranges(made.arms, 100))
    made.conclusion.reason, made.conclusion.winner = reason, winner
    made.history.add(time=at(-9), kind="STARTED", description="by a person")
    made.history.add(time=at(-1), kind="CONCLUDED", description=reason, evidence="much of it")
    return made


def requests_of(experiment: Experiment, *, failing: bool) -> list[Request]:
    """What came of all pages, where every one is in the arm of its bucket."""
    assigner = assignment.Assigner(experiment)
    answer = []
    for number, page in enumerate(PAGES):
        place = assigner.hashed(page)[1]
        assert place is not None
        failed = "gone" if failing and place.arm == "playbook" and is_broken(page) else ""
        answer.append(Request(page, number * 0.1, 0.5, short(place.chain), place.arm, failed))
    return answer


def outcome(
    experiment: Experiment, *, reason: str, winner: str, chain: str, failing: bool, switch: str = ""
) -> Outcome:
    made = concluded(experiment, reason=reason, winner=winner)
    requests = requests_of(made, failing=failing)
    watched = Watched(made.name, time.monotonic() - 50, experiment=made)
    arms = [arm.name for arm in made.arms]
    analysis = experiment_pb2.ExperimentAnalysis()
    for arm in arms:
        for metric in ("success", "time"):
            analysis.metrics.add(
                arm=arm, metric=metric, operations=sum(each.arm == arm for each in requests),
                difference=-0.3, lower=-0.5, upper=-0.1,
            )  # fmt: skip
    watched.looks = [Look(float(second), 25.0, analysis) for second in range(41, 49)]
    afterwards = [Request(f"after-{number}", 49.0, 0.5, chain, chain) for number in range(5)]
    sticky = [Sticky(f"page-{arm}", "", (arm, "a-chain"), (arm, "a-chain")) for arm in arms]
    return Outcome(watched, requests, afterwards, chain, sticky, moved(made, requests), switch)


def harm() -> Outcome:
    return outcome(read("playbook"), reason="GUARDRAIL", winner="script", chain="default", failing=True)


def helps() -> Outcome:
    return outcome(
        read("press"), reason="GOAL", winner="press", chain="by-press", failing=False,
        switch="draining",
    )  # fmt: skip


def test_one_page_in_three_is_broken_and_always_the_same() -> None:
    pages = [f"page-{number}" for number in range(30_000)]
    broken = [page for page in pages if is_broken(page)]

    # Five deviations of a fair draw.
    assert abs(len(broken) - 10_000) < 5 * (30_000 * (1 / 3) * (2 / 3)) ** 0.5
    assert broken == [page for page in pages if is_broken(page)]


def test_everything_is_kept_where_all_went_as_promised() -> None:
    told = summary.document(harm(), helps(), seconds={"all": 1.0})

    assert summary.broken(told) == []
    assert told["experiments"]["playbook"]["failed"].keys() == {"playbook"}
    assert [change["kind"] for change in told["experiments"]["press"]["changes"]] == ["STARTED", "CONCLUDED"]
    assert told["experiments"]["press"]["changes"][1]["at"] == pytest.approx(49, abs=1)


def test_each_promise_is_broken_by_what_it_is_about() -> None:
    def told(harmed: Outcome, helped: Outcome) -> set[str]:
        return set(summary.broken(summary.document(harmed, helped, seconds={})))

    by_limit, next_step = harm(), harm()
    by_limit.watched.experiment.conclusion.reason = "TIME_LIMIT"
    next_step.watched.experiment.phases[-1].ramp_step = 1
    assert told(by_limit, helps()) == {"the guardrail stopped the playbook"}
    assert told(next_step, helps()) == {"it was rolled back by itself, in the first step of its ramp"}

    failed, uncounted, unstuck, unmoved = harm(), helps(), helps(), helps()
    failed.requests[0] = replace(failed.requests[0], arm="script", failed="why")
    uncounted.watched.looks[-1].analysis.metrics[0].operations -= 1
    unstuck.sticky[0] = replace(unstuck.sticky[0], after=("press", "by-press"))
    unmoved.afterwards[2] = replace(unmoved.afterwards[2], chain="default")
    assert "what failed is what the playbook cannot write, and nothing else" in told(failed, helps())
    assert told(harm(), uncounted) == {"every operation was counted once, in its arm"}
    assert told(harm(), unstuck) == {"resources keep arm and chain when they are updated"}
    assert told(harm(), unmoved) == {"new requests take the winner's chain"}


def test_a_request_in_the_wrong_arm_is_found() -> None:
    made = concluded(read("press"), reason="GOAL", winner="press")
    requests = requests_of(made, failing=False)
    other = {"script": "press", "press": "script"}
    requests[7] = replace(requests[7], arm=other[requests[7].arm])
    requests.append(Request("outside", 1.0, 1.0, "default", "default"))

    assert moved(made, requests) == [requests[7].page]


def test_a_change_is_told_with_its_time_and_evidence() -> None:
    change = experiment_pb2.ExperimentChange(kind="CONCLUDED", description="it harms", evidence="9 of 27")

    told = line(change, 12.34)

    assert told.startswith("  12.3 s  concluded: it harms")
    assert told.endswith("known then: 9 of 27")


def test_what_decided_is_told_with_its_numbers() -> None:
    harmed = harm()
    evidence = harmed.watched.experiment.conclusion.evidence
    role = experiment_pb2.MetricAnalysis
    for arm, estimate, finding in (
        ("script", 1.0, role.FINDING_CONTROL),
        ("playbook", 0.68, role.FINDING_WORSE),
    ):
        evidence.metrics.add(
            arm=arm, metric="success", role=role.ROLE_GUARDRAIL, operations=50, estimate=estimate,
            difference=-0.32, lower=-0.5, upper=-0.0125, p_value=0.0123, finding=finding,
        )  # fmt: skip
    evidence.metrics.add(arm="playbook", metric="p95_time", role=role.ROLE_METRIC)

    assert summary.deciding(harmed) == [
        "guardrail success of script: 1.000 in 50",
        "guardrail success of playbook: 0.680 in 50, worse: -32.0 points (-50.0 to -1.2), p = 0.012",
    ]


def test_the_press_is_quicker_on_the_whole_than_proof_reading() -> None:
    taken = [press_seconds(f"work-{number}/write") for number in range(10_000)]

    assert set(taken) == {QUICK_SECONDS, SLOW_SECONDS}
    # Five deviations of a fair draw.
    assert (
        abs(taken.count(SLOW_SECONDS) - SLOW_SHARE * 10_000)
        < 5 * (10_000 * SLOW_SHARE * (1 - SLOW_SHARE)) ** 0.5
    )
    assert sum(taken) / 10_000 < 0.75 * PROOF_SECONDS


def test_the_picture_shows_what_is_known_and_cuts_off_early_intervals() -> None:
    assert picture.limits([-900.0, -40.0], [900.0, -10.0]) == pytest.approx((-121.0, 121.0))
    low, high = picture.limits([-40.0], [-10.0])
    assert low < -40
    assert 0 < high < 5


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    picture.draw([("one", "success", harm()), ("other", "time", helps())], tmp_path / "it.png")

    assert (tmp_path / "it.png").read_bytes().startswith(b"\x89PNG")
