"""What an operation does next, by example: the ways through the machine that people rely on.

In scope: what goes well, updates, deprovisions and what the machine promises always. Steps that fail are in
`test_failing_steps.py`; silence, deadlines and cancels in `test_unanswered_steps.py`. Not here: performing
effects (`tests/integration/router`), and all ways at once (`tests/properties/routing`).
"""

import pytest

from dataplane.routing import events, pipeline
from dataplane.routing.effects import (
    CallApply,
    Checkpoint,
    Choose,
    Finish,
    Hold,
    Show,
    Wait,
    WriteIntent,
)
from dataplane.routing.leaving import outbox_of, resource_of
from dataplane.routing.runs import Operation, alarm
from enchain.chains.values import to_python_map
from enchain.v1 import diagnostic_pb2, operation_pb2
from tests.harness.pipelines import (
    NOW,
    answer,
    chain_of,
    chosen,
    deprovision_of,
    kinds_of,
    play,
    provision_of,
    update_of,
)

CLEAN = diagnostic_pb2.OUTCOME_FAILED_CLEAN
PARTIAL = diagnostic_pb2.OUTCOME_FAILED_PARTIAL


def test_a_chain_of_two_steps_takes_three_commits_after_admission() -> None:
    run = provision_of(chain_of())
    commits = 0
    for event in (events.Admitted(), chosen(0), answer(0), chosen(1), answer(1)):
        run, effects = pipeline.step(run, event, NOW, 0.5)
        commits += sum(isinstance(e, WriteIntent | Checkpoint | Finish | Hold) for e in effects)

    assert run.operation.state == Operation.STATE_SUCCEEDED
    assert commits == 3


def test_the_intent_stands_before_the_engine_is_called() -> None:
    run, effects = play(provision_of(chain_of()), events.Admitted(), chosen(0))

    assert kinds_of(effects) == ["WriteIntent", "CallApply"]
    intent = run.operation.steps[0].intent
    assert (intent.scope, intent.instance, intent.generation) == ("scope-0", "i-1", 1)


def test_outputs_of_a_step_are_inputs_of_the_next() -> None:
    _, effects = play(provision_of(chain_of()), events.Admitted(), chosen(0), answer(0, files="a"), chosen(1))

    call = effects[-1]
    assert isinstance(call, CallApply)
    assert to_python_map(call.request.inputs) == {"files": "a"}


def test_the_resource_says_what_was_made_by_whom() -> None:
    run, effects = play(
        provision_of(chain_of()),
        events.Admitted(),
        chosen(0),
        answer(0),
        chosen(1),
        answer(1, url="http://x"),
    )
    resource = resource_of(run, NOW)

    assert kinds_of(effects) == ["Finish"]
    assert resource is not None
    assert resource.state == operation_pb2.Resource.STATE_READY
    assert [(s.steps[0], s.engine, s.scope) for s in resource.steps] == [
        ("configure", "terraform", "scope-0"),
        ("serve", "process", "scope-1"),
    ]
    assert to_python_map(resource.outputs) == {"url": "http://x"}


def test_events_are_numbered_without_a_gap() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0), answer(0), chosen(1), answer(1))

    told = [(e.sequence, e.WhichOneof("kind")) for e in run.operation.events]
    assert told == [
        (1, "admitted"),
        (2, "step_started"),
        (3, "step_ended"),
        (4, "step_started"),
        (5, "step_ended"),
        (6, "ended"),
    ]


def test_a_failed_update_never_destroys_what_stood_before() -> None:
    run, _ = play(update_of(chain_of()), events.Admitted(), chosen(0), answer(0, CLEAN))
    resource = resource_of(run, NOW)
    assert run.operation.state == Operation.STATE_FAILED
    assert resource is not None
    assert resource.state == operation_pb2.Resource.STATE_READY

    run, _ = play(update_of(chain_of()), events.Admitted(), chosen(0), answer(0), chosen(1), answer(1, CLEAN))
    assert run.operation.state == Operation.STATE_HELD


def test_an_update_applies_on_top_of_what_stands_in_its_scope() -> None:
    _, effects = play(update_of(chain_of()), events.Admitted())
    assert isinstance(effects[-1], Choose)
    assert (effects[-1].scope, effects[-1].update) == ("terraform-scope", True)

    _, effects = play(update_of(chain_of()), events.Admitted(), chosen(0))
    assert isinstance(effects[-1], CallApply)
    assert effects[-1].request.prior.schema == "terraform/1"
    assert effects[-1].request.call.generation == 2


def test_a_deprovision_walks_the_recorded_steps_in_reverse() -> None:
    run, effects = play(deprovision_of(chain_of()), events.Admitted())
    assert isinstance(effects[-1], Choose)
    assert (effects[-1].engine, effects[-1].handle_schema) == ("process", "process/1")
    assert effects[-1].version == ""

    run, effects = play(run, chosen(0), answer(0), chosen(1), answer(1))
    assert kinds_of(effects) == ["Finish"]
    assert resource_of(run, NOW) is None


def test_absence_that_cannot_be_proven_is_held() -> None:
    run, effects = play(deprovision_of(chain_of()), events.Admitted(), chosen(0), answer(0), chosen(1))
    run, effects = play(run, answer(1, PARTIAL))
    resource = resource_of(run, NOW)

    assert kinds_of(effects) == ["Hold"]
    assert resource is not None
    assert [made.steps[0] for made in resource.steps] == ["configure"]


def test_a_destroy_that_may_succeed_later_is_tried_anew() -> None:
    run, effects = play(deprovision_of(chain_of()), events.Admitted(), chosen(0))
    run, effects = play(run, answer(0, PARTIAL, retryable=True))

    assert kinds_of(effects) == ["Checkpoint", "Wait"]
    assert run.operation.steps[0].generation == 3


def test_progress_is_shown_and_never_kept() -> None:
    before, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0))
    after, effects = play(before, events.StepProgressed(0, "half", 0.5))

    assert after is before
    assert isinstance(effects[0], Show)
    assert effects[0].event.sequence == 0


def test_an_illegal_event_changes_nothing() -> None:
    run = provision_of(chain_of())
    before = run.operation.SerializeToString(deterministic=True)

    for event in (answer(0), chosen(1), events.RetryRequested("")):
        with pytest.raises(pipeline.IllegalEventError):
            pipeline.step(run, event, NOW, 0.5)
    assert run.operation.SerializeToString(deterministic=True) == before


def test_the_machine_never_changes_the_run_it_was_given() -> None:
    run, _ = play(provision_of(chain_of()), events.Admitted(), chosen(0))
    before = run.operation.SerializeToString(deterministic=True)
    play(run, answer(0))

    assert run.operation.SerializeToString(deterministic=True) == before


def test_an_ended_operation_leaves_a_line_for_statistics() -> None:
    run, _ = play(
        provision_of(chain_of()), events.Admitted(), chosen(0), answer(0), chosen(1), answer(1, url=3)
    )
    entry = outbox_of(run.operation)

    assert entry.measures == {"url": 3.0}
    assert [(s.step, s.engine, s.attempts) for s in entry.steps] == [
        ("configure", "terraform", 1),
        ("serve", "process", 1),
    ]


def test_a_wait_is_until_the_time_that_the_record_says() -> None:
    run, effects = play(
        provision_of(chain_of()), events.Admitted(), chosen(0), answer(0, CLEAN, retryable=True)
    )
    at = alarm(run)

    assert isinstance(effects[-1], Wait)
    assert at is not None
    assert (at.at, at.event) == (effects[-1].until, events.WaitOver())
