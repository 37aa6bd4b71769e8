"""Lines in their order: what each asks for, and how it all ends."""

import json

import pytest

from enchain.engines.script.conversation import FAULTS_MAX, FINDINGS_MAX, Conversation
from enchain.sdk.courier import Kind
from enchain.v1 import diagnostic_pb2

OK = '{"enchain": "result", "ok": true}'


def heard(*lines: str, verb: str = "apply") -> Conversation:
    conversation = Conversation(verb)
    for line in lines:
        conversation.feed(Kind.ANSWER, line)
    return conversation


def said(kind: str, **fields: object) -> str:
    return json.dumps({"enchain": kind, **fields})


def test_outputs_come_from_output_lines_and_the_result() -> None:
    ended = heard(
        said("output", name="a", value=1),
        said("output", name="a", value=2),
        said("output", name="b", value=3),
        said("result", ok=True, outputs={"b": 4}),
    ).end(0)

    assert ended.findings == ()
    assert ended.outputs == {"a": 2, "b": 4}


def test_each_kind_asks_for_its_own() -> None:
    conversation = Conversation("apply")
    told = [
        conversation.feed(Kind.ANSWER, line)
        for line in (
            said("progress", message="half", fraction=0.5),
            said("log", line="hello"),
            said("handle", data={"a": 1}),
            said("diagnostic", summary="mind the gap", severity="warning"),
            said("diagnostic", summary="broken"),
        )
    ]

    assert told[0].progress == ("half", 0.5)
    assert told[1].log == "hello"
    assert told[2].handle == {"a": 1}
    assert told[3].finding is not None
    assert told[3].finding.severity == diagnostic_pb2.SEVERITY_WARNING
    assert told[4].finding is None  # it is told with the failure
    assert [finding.summary for finding in conversation.errors] == ["broken"]


@pytest.mark.parametrize("verb", ["apply", "update", "destroy", "plan", "observe"])
def test_kinds_have_their_verbs(verb: str) -> None:
    places = {
        "handle": {"apply", "update"},
        "output": {"apply", "update", "plan", "observe"},
        "change": {"plan", "observe"},
    }
    lines = {
        "handle": said("handle", data={}),
        "output": said("output", name="a", value=1),
        "change": said("change", action="none", address="a"),
    }
    for kind, line in lines.items():
        ended = heard(line, OK, verb=verb).end(0)
        codes = [finding.code for finding in ended.findings]
        assert codes == ([] if verb in places[kind] else ["ANSWER_OUT_OF_PLACE"])


def test_log_lines_may_follow_the_result() -> None:
    assert heard(OK, said("log", line="bye"), "plain").end(0).findings == ()


def test_a_broken_contract_wins_over_a_clean_failure() -> None:
    ended = heard(said("nonsense"), said("result", ok=False, left_behind=False)).end(1)

    assert [finding.code for finding in ended.findings] == ["ANSWER_UNKNOWN"]
    assert ended.left_behind


def test_a_failure_without_reasons_gives_the_last_lines() -> None:
    ended = heard("first", "second", said("result", ok=False)).end(0)

    assert [finding.code for finding in ended.findings] == ["SCRIPT_FAILED"]
    assert ended.findings[0].detail == "first\nsecond"
    assert ended.left_behind


@pytest.mark.parametrize(
    ("returncode", "code", "exit_code"),
    [(0, "RESULT_MISSING", None), (7, "SCRIPT_FAILED", 7), (-9, "SCRIPT_KILLED", None)],
)
def test_an_end_without_a_result_is_told_by_how_it_ended(
    returncode: int, code: str, exit_code: int | None
) -> None:
    ended = heard("last words").end(returncode)

    assert (ended.findings[0].code, ended.findings[0].exit_code) == (code, exit_code)
    assert ended.findings[0].detail == "last words"


def test_faults_and_errors_are_bounded() -> None:
    faulty = heard(*[said("nonsense")] * 100).end(1)
    wordy = heard(*[said("diagnostic", summary="x")] * 100, said("result", ok=False)).end(1)

    assert len(faulty.findings) == FAULTS_MAX + 1
    assert len(wordy.findings) == FINDINGS_MAX


def test_what_could_not_be_started_made_nothing() -> None:
    conversation = Conversation("apply")
    conversation.feed(Kind.NOT_STARTED, "cannot start x: No such file or directory")
    ended = conversation.end(127)

    assert ended.findings[0].code == "SCRIPT_NOT_STARTED"
    assert not ended.left_behind
