"""What is gathered from events, and how it is told to people and programs. Terminals are in tests/e2e."""

from enchain.cli.progress import View, describe, printable
from enchain.client import Reattached
from enchain.v1 import diagnostic_pb2, operation_pb2

OPERATION = "tenants/default/operations/01J"
RESOURCE = "tenants/default/resources/one"


def event(sequence: int = 0, **kind: object) -> operation_pb2.OperationEvent:
    return operation_pb2.OperationEvent(operation=OPERATION, sequence=sequence, **kind)  # type: ignore[arg-type]  # a oneof by name


ADMITTED = event(
    1,
    admitted=operation_pb2.OperationAdmitted(
        verb=operation_pb2.VERB_PROVISION,
        workload="workloads/site",
        resource=RESOURCE,
        chain="workloads/site/chains/default@1",
        arm="default",
        bucket=7,
        steps=["configure", "serve"],
    ),
)


def started(
    step: str, verb: operation_pb2.Verb.ValueType = operation_pb2.VERB_PROVISION, attempt: int = 1
) -> operation_pb2.OperationEvent:
    told = operation_pb2.StepStarted(
        step=step, engine="terraform", version="1", instance="engines/terraform/instances/t-1",
        verb=verb, attempt=attempt,
    )  # fmt: skip
    return event(2, step_started=told)


def ended(
    step: str, outcome: diagnostic_pb2.Outcome.ValueType, *diagnostics: diagnostic_pb2.Diagnostic
) -> operation_pb2.OperationEvent:
    told = operation_pb2.StepEnded(step=step, outcome=outcome, diagnostics=diagnostics)
    told.duration.FromMilliseconds(1500)
    return event(3, step_ended=told)


FAULT = diagnostic_pb2.Diagnostic(
    domain="terraform", code="NO_DISK", summary="the disk is full", detail="df says so\n", remedy="Buy one."
)


def seen(*happenings: operation_pb2.OperationEvent | Reattached) -> tuple[View, list[str]]:
    view = View()
    return view, [view.see(happening, 1.0) for happening in happenings]


def test_every_event_that_matters_is_one_line() -> None:
    _, lines = seen(
        ADMITTED,
        started("configure"),
        event(step_progress=operation_pb2.StepProgress(step="configure", fraction=0.5, message="half")),
        ended("configure", diagnostic_pb2.OUTCOME_SUCCEEDED),
    )

    assert lines == [
        "01J: one on default@1 (bucket 7)",
        "configure: terraform 1 on t-1",
        "",
        "configure: succeeded after 1.5 s",
    ]


def test_a_step_that_is_taken_back_or_tried_again_says_so() -> None:
    _, lines = seen(
        ADMITTED, started("configure", operation_pb2.VERB_DEPROVISION), started("serve", attempt=2)
    )

    assert lines[1:] == [
        "configure: deprovision by terraform 1 on t-1",
        "serve: terraform 1 on t-1, attempt 2",
    ]


def test_a_failure_is_told_with_place_code_detail_and_remedy() -> None:
    view, lines = seen(ADMITTED, started("serve"), ended("serve", diagnostic_pb2.OUTCOME_FAILED_CLEAN, FAULT))

    assert lines[-1] == (
        "serve: failed clean after 1.5 s\n  the disk is full (terraform/NO_DISK) → Buy one.\n    df says so"
    )
    assert [d["code"] for d in view.whole()["diagnostics"]] == ["NO_DISK"]


def test_the_summary_holds_what_programs_ask_for() -> None:
    view, _ = seen(
        ADMITTED,
        started("configure"),
        ended("configure", diagnostic_pb2.OUTCOME_SUCCEEDED),
        Reattached("127.0.0.1:2", "the router stops", 3),
        event(9, ended=operation_pb2.OperationEnded(state=operation_pb2.Operation.STATE_SUCCEEDED)),
    )

    whole = view.whole()
    assert (whole["operation"], whole["resource"], whole["verb"]) == (OPERATION, RESOURCE, "provision")
    assert (whole["state"], whole["outputs"], whole["bucket"]) == ("succeeded", {}, 7)
    assert whole["steps"][0] == {
        "step": "configure", "verb": "provision", "engine": "terraform 1",
        "outcome": "succeeded", "seconds": 1.5,
    }  # fmt: skip
    assert whole["steps"][1]["outcome"] == "waiting"
    assert whole["reattached"] == [{"router": "127.0.0.1:2", "reason": "the router stops"}]


def test_an_operation_that_is_held_and_gone_on_with_is_no_longer_held() -> None:
    states = operation_pb2.Operation
    view, lines = seen(
        ADMITTED,
        event(4, state_changed=operation_pb2.OperationStateChanged(state=states.STATE_HELD, reason="why")),
        event(
            5, state_changed=operation_pb2.OperationStateChanged(state=states.STATE_RUNNING, reason="again")
        ),
    )

    assert lines[1:] == ["held: why", "running: again"]
    assert view.state == states.STATE_RUNNING


def test_a_view_of_nothing_can_be_filled_from_the_operation() -> None:
    view = View()
    view.take(
        operation_pb2.Operation(
            name=OPERATION, resource=RESOURCE, state=operation_pb2.Operation.STATE_FAILED,
            verb=operation_pb2.VERB_UPDATE,
        )
    )  # fmt: skip

    assert view.state == operation_pb2.Operation.STATE_FAILED
    assert (view.whole()["state"], view.whole()["verb"]) == ("failed", "update")


def test_what_a_tool_says_cannot_play_with_the_terminal() -> None:
    assert printable("a\x1b[2Jb\rc\td\n") == "a·[2Jb·c\td\n"
    assert "\x1b" not in describe(diagnostic_pb2.Diagnostic(summary="x\x1b]0;title\x07"))
    view, _ = seen(ADMITTED, event(step_log=operation_pb2.StepLog(step="serve", line="a\x1b[31m  red\n")))
    assert view.steps["serve"].message == "a·[31m red"
