"""What an ended operation leaves for statistics: who did what, how long, how busy, within 2 KiB."""

from datetime import timedelta

from dataplane.routing import budgets, events
from dataplane.routing.leaving import outbox_of
from dataplane.routing.runs import Operation
from enchain.chains.assignment import Assignment, Place, Reason
from enchain.v1 import diagnostic_pb2
from tests.harness.pipelines import NOW, answer, chain_of, chosen, play, provision_of

SUCCEEDED = diagnostic_pb2.OUTCOME_SUCCEEDED
CLEAN = diagnostic_pb2.OUTCOME_FAILED_CLEAN
PARTIAL = diagnostic_pb2.OUTCOME_FAILED_PARTIAL


def busy(step: int, in_flight: int) -> events.InstanceChosen:
    """An instance on which so much runs is chosen for a step."""
    return events.InstanceChosen(step, f"scope-{step}", "i-1", "127.0.0.1:1", in_flight)


def test_it_says_how_much_ran_on_the_instance_when_each_step_began() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), busy(0, 3), answer(0), busy(1, 1), answer(1))

    assert [step.in_flight for step in run.operation.steps] == [3, 1]
    assert [step.in_flight for step in outbox_of(run.operation).steps] == [3, 1]


def test_a_later_attempt_says_how_much_ran_then() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), busy(0, 3), answer(0, CLEAN, retryable=True))
    run, _ = play(run, events.WaitOver(), busy(0, 2), answer(0), now=NOW + timedelta(minutes=1))

    assert outbox_of(run.operation).steps[0].in_flight == 2


def test_it_names_all_steps_of_a_call_that_did_several_and_of_others_none() -> None:
    chain = chain_of()
    chain.steps[1].steps.append("announce")
    run, _ = play(provision_of(chain), events.Admitted(), chosen(0), answer(0), chosen(1), answer(1))

    entry = outbox_of(run.operation)

    assert [(step.step, list(step.steps)) for step in entry.steps] == [
        ("configure", []),
        ("serve", ["serve", "announce"]),
    ]


def test_a_step_that_fell_back_tells_of_both_engines() -> None:
    chain = chain_of(fallback="script", attempts=2)
    run, _ = play(provision_of(chain), events.Admitted(), chosen(0), answer(0, CLEAN, retryable=True))
    later = NOW + timedelta(minutes=1)
    run, _ = play(run, events.WaitOver(), chosen(0), now=later)
    failed = answer(0, CLEAN)
    failed.result.diagnostics.add(code="NO_QUOTA")
    run, _ = play(run, failed, chosen(0), now=later + timedelta(seconds=7))
    run, _ = play(run, answer(0), chosen(1), answer(1), now=later + timedelta(seconds=9))

    first, second, _ = outbox_of(run.operation).steps

    assert (first.step, first.engine, first.outcome, first.code) == (
        "configure",
        "terraform",
        CLEAN,
        "NO_QUOTA",
    )
    assert (first.duration.seconds, first.attempts) == (7, 2)
    assert (second.step, second.engine, second.outcome) == ("configure", "script", SUCCEEDED)
    assert (second.duration.seconds, second.attempts) == (2, 1)


def test_what_was_done_before_a_fallback_is_left_out_where_the_record_had_no_room_for_its_events() -> None:
    run, _ = play(
        provision_of(chain_of(fallback="script", attempts=1)),
        events.Admitted(), chosen(0), answer(0, CLEAN), chosen(0), answer(0), chosen(1), answer(1),
    )  # fmt: skip
    del run.operation.events[:]

    assert [step.engine for step in outbox_of(run.operation).steps] == ["script", "process"]


def long_operation(steps: int, **about: str) -> Operation:
    """An operation of many steps, each of which tells all that it can."""
    operation = Operation(
        name="tenants/default/operations/01KAAAAAAAAAAAAAAAAAAAAAAA", workload="workloads/w"
    )
    for number in range(steps):
        step = operation.steps.add(
            steps=[f"step_{number}"], engine="terraform", version="1.2.3", outcome=PARTIAL, attempt=1, **about
        )
        step.start_time.FromDatetime(NOW)
        step.end_time.FromDatetime(NOW + timedelta(milliseconds=1234))
        step.diagnostics.add(code="SOME_CODE")
        step.usage.cpu_seconds = 1.25
        step.usage.tool_duration.FromTimedelta(timedelta(seconds=1.5))
    return operation


def test_what_is_needed_least_goes_first_where_there_is_no_room() -> None:
    told = []
    for count in range(1, 17):
        entry = outbox_of(long_operation(count))
        assert budgets.size_of(entry) <= budgets.OUTBOX_BYTES_MAX
        used = entry.steps[0].usage
        told.append((used.HasField("tool_duration"), used.cpu_seconds > 0, bool(entry.steps[0].code)))
        assert len(entry.steps) == count or not any(told[-1]), "steps go last"

    # Whoever has fewer steps keeps more; tool times go before all usage, and that before the codes.
    assert sorted(set(told), key=told.index) == [
        (True, True, True),
        (False, True, True),
        (False, False, True),
        (False, False, False),
    ]
    assert sorted(told, reverse=True) == told


def test_whatever_is_left_out_a_step_never_loses_the_others_of_its_call() -> None:
    operation = long_operation(16)
    for step in operation.steps:
        step.steps.append("another_one")

    left = outbox_of(operation).steps

    assert 0 < len(left) < 16
    assert all(len(step.steps) == 2 for step in left)


def test_it_says_who_asked_and_what_the_experiment_said() -> None:
    experiment = "workloads/site/experiments/x"
    place = Place("b", "workloads/site/chains/default@abc", 0, 10, "x.3.A")
    run = provision_of(chain_of(), Assignment(experiment, 3, Reason.FORCED, "k", 7, place))
    run, _ = play(run, events.Admitted(), chosen(0), answer(0), chosen(1), answer(1))

    entry = outbox_of(run.operation)

    assert (entry.experiment, entry.experiment_phase, entry.experiment_forced) == (experiment, 3, True)
    assert entry.experiment_seed == run.resource.experiment_seed == "x.3.A"
    assert (entry.arm, entry.bucket, entry.routing_key, entry.requester) == ("b", 7, "k", "anonymous")
    assert not entry.compensated


def test_it_says_that_steps_were_destroyed_again() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0), answer(0), chosen(1))
    run, _ = play(run, answer(1, CLEAN), chosen(0), answer(0))

    entry = outbox_of(run.operation)

    assert (run.operation.state, entry.compensated) == (Operation.STATE_FAILED, True)


def test_what_fails_before_its_first_step_is_told_with_its_arm() -> None:
    place = Place("b", "workloads/site/chains/default@abc", 0, 10)
    assigned = Assignment("workloads/site/experiments/x", 1, Reason.ENROLLED, "k", 7, place)
    run, _ = play(provision_of(chain_of(), assigned), events.Admitted(), chosen(0), answer(0, CLEAN))

    entry = outbox_of(run.operation)

    assert (run.operation.state, entry.arm, entry.compensated) == (Operation.STATE_FAILED, "b", False)
