"""One line of a script: an answer, a fault, or none of our business."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enchain.engines.script.answers import KINDS, Answer, Fault, read_answer


@pytest.mark.parametrize(
    "line",
    [
        '{"enchain": "progress", "message": "x", "fraction": 1}',
        '{"enchain": "log", "line": ""}',
        '{"enchain": "diagnostic", "summary": "x", "severity": "info", "audience": "requester"}',
        '{"enchain": "handle", "data": {}}',
        '{"enchain": "output", "name": "a", "value": null}',
        '{"enchain": "change", "action": "replace", "address": "a", "detail": "b"}',
        '{"enchain": "result", "ok": false, "left_behind": false, "retryable": true, "retry_after": 0.5}',
    ],
)
def test_what_the_contract_lists_is_an_answer(line: str) -> None:
    answer = read_answer(line)

    assert isinstance(answer, Answer)
    assert {**answer.fields, "enchain": answer.kind} == json.loads(line)
    assert answer.unknown == ()


@pytest.mark.parametrize(
    "line",
    ["", "plain", "[1]", "1", "{", '{"a": 1}', '{"result": {"ok": true}}', "{" * 5000, '{"a": NaN}'],
)
def test_what_lacks_the_mark_is_for_the_log(line: str) -> None:
    assert read_answer(line) is None


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        ('{"enchain": "result"}', "ANSWER_MALFORMED", "lacks `ok`"),
        ('{"enchain": "result", "ok": 1}', "ANSWER_MALFORMED", "true or false"),
        ('{"enchain": "result", "ok": true, "outputs": []}', "ANSWER_MALFORMED", "an object"),
        ('{"enchain": "result", "ok": false, "retry_after": 1e999}', "ANSWER_MALFORMED", "seconds"),
        ('{"enchain": "result", "ok": false, "retry_after": -1}', "ANSWER_MALFORMED", "seconds"),
        ('{"enchain": "progress", "message": "x", "fraction": 1.5}', "ANSWER_MALFORMED", "0 to 1"),
        ('{"enchain": "progress", "message": "x", "fraction": true}', "ANSWER_MALFORMED", "0 to 1"),
        ('{"enchain": "progress", "message": "x", "fraction": NaN}', "ANSWER_MALFORMED", "NaN"),
        ('{"enchain": "progress", "message": "\\ud800"}', "ANSWER_MALFORMED", "Unicode"),
        ('{"enchain": "handle", "data": [1]}', "ANSWER_MALFORMED", "an object"),
        ('{"enchain": "output", "name": "", "value": 1}', "ANSWER_MALFORMED", "characters"),
        ('{"enchain": "change", "action": "explode", "address": "a"}', "ANSWER_MALFORMED", "create"),
        ('{"enchain": "result", "ok": true', "ANSWER_MALFORMED", "no JSON"),
        ('{"enchain": ' + "[" * 5000, "ANSWER_MALFORMED", "no JSON"),
        ('{"enchain": "resutl", "ok": true}', "ANSWER_UNKNOWN", "resutl"),
        ('{"enchain": {"a": 1}}', "ANSWER_UNKNOWN", "there is no answer"),
        ('{"enchain": null}', "ANSWER_UNKNOWN", "there is no answer"),
    ],
)
def test_what_has_the_mark_and_is_wrong_is_a_fault_that_says_how(line: str, code: str, word: str) -> None:
    fault = read_answer(line)

    assert isinstance(fault, Fault)
    assert fault.code == code
    assert word in fault.summary


def test_fields_of_later_versions_are_left_out_and_named() -> None:
    answer = read_answer('{"enchain": "result", "ok": true, "zeal": 1, "colour": 2}')

    assert answer == Answer("result", {"ok": True}, ("colour", "zeal"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(kind=st.sampled_from(KINDS) | _JSON, fields=st.dictionaries(st.text(), _JSON, max_size=4))
def test_no_line_breaks_the_reader(kind: object, fields: dict[str, object]) -> None:
    line = json.dumps({**fields, "enchain": kind})

    assert read_answer(line) is not None
