"""What a playbook's run tells, read line by line."""

import json
from pathlib import PurePath
from typing import Any

import pytest

from enchain.engines.ansible.events import FINDINGS_MAX, Reading
from enchain.sdk.courier import Kind
from enchain.v1.provisioning_pb2 import PlannedChange

ENDED = {
    "event": "ended", "status": "ok", "host": "localhost", "task": "Do it", "action": "ansible.builtin.copy",
    "changed": False, "foretold": True, "msg": "", "output": "", "rc": None,
    "file": "/kept/site.yml", "line": 4, "change": "update", "place": "",
}  # fmt: skip
PLAY, NO_HOSTS = {"event": "play"}, {"event": "no_hosts"}
STATS = {"event": "stats", "hosts": {}, "outputs": {}, "by_host": {}}


def read(*events: dict[str, Any]) -> Reading:
    reading = Reading(PurePath("/kept"))
    for event in events:
        reading.feed(Kind.ANSWER, json.dumps(event))
    return reading


def test_progress_counts_tasks_and_those_that_were_not_known() -> None:
    reading = Reading(PurePath("/kept"))
    told = [
        reading.feed(Kind.ANSWER, json.dumps(event)).progress
        for event in ({"event": "start", "tasks": 1}, *[{"event": "task", "name": "x"}] * 2)
    ]

    assert told == [None, ("task 1 of 1: x", 0.0), ("task 2 of 2: x", 0.5)]


def test_outputs_are_the_stats_of_the_run_and_of_hosts() -> None:
    stats = {**STATS, "outputs": {"url": "x"}, "by_host": {"web": {"id": 1}}}

    assert read(stats).outputs == {"url": "x", "hosts": {"web": {"id": 1}}}
    assert read(STATS).outputs == {}
    assert read().outputs == {}


@pytest.mark.parametrize(
    ("event", "touched"),
    [
        ({}, True),
        ({"status": "skipped"}, False),
        ({"status": "unreachable"}, False),
        ({"status": "failed"}, True),
        ({"action": "ansible.builtin.assert", "status": "failed"}, False),
        ({"action": "debug"}, False),
        ({"action": "ansible.builtin.set_fact", "changed": True}, True),
    ],
)
def test_what_may_have_made_something_is_known(event: dict[str, Any], touched: bool) -> None:
    assert read({**ENDED, **event}).touched is touched


def test_changes_are_told_with_their_place_and_what_cannot_be_foretold_is_counted() -> None:
    reading = read(
        {**ENDED, "changed": True, "change": "create", "place": "/etc/x"},
        {**ENDED, "status": "skipped", "changed": True, "foretold": False},
        {**ENDED, "changed": False},
    )

    assert [(change.action, change.address, change.detail) for change in reading.changes] == [
        (PlannedChange.ACTION_CREATE, "localhost: Do it", "/etc/x")
    ]
    assert reading.unforetold == 1


def test_a_failure_names_task_place_and_reason() -> None:
    failed = {**ENDED, "status": "failed", "msg": "no\nway", "output": "trouble", "rc": 3}
    failure = read(failed, STATS).failure(2)

    assert failure is not None
    (finding,) = failure.findings
    assert (finding.code, finding.summary) == ("TASK_FAILED", "Do it: no")
    assert (finding.file, finding.line, finding.exit_code) == ("site.yml", 4, 3)
    assert finding.detail == "ansible.builtin.copy on localhost\nno\nway\ntrouble"
    assert failure.left_behind
    assert not failure.retryable


def test_unreachable_hosts_may_be_tried_again() -> None:
    failure = read({**ENDED, "status": "unreachable", "msg": "no route"}, STATS).failure(4)

    assert failure is not None
    assert failure.findings[0].code == "HOST_UNREACHABLE"
    assert failure.retryable
    assert not failure.left_behind


def test_failures_that_were_ignored_or_rescued_are_none() -> None:
    assert read(PLAY, {**ENDED, "status": "ignored"}, STATS).failure(0) is None
    assert read(PLAY, {**ENDED, "status": "failed"}, STATS).failure(0) is None


def test_one_play_with_hosts_is_enough() -> None:
    assert read(PLAY, NO_HOSTS, PLAY, STATS).failure(0) is None


@pytest.mark.parametrize(
    ("events", "returncode", "code", "left_behind"),
    [
        ([], 0, "TOOL_FAILED", True),
        ([PLAY, NO_HOSTS, PLAY, NO_HOSTS, STATS], 0, "NO_HOSTS", False),
        ([{"event": "stats", "too_large": 70_000}], 0, "OUTPUTS_TOO_LARGE", False),
        ([ENDED], -9, "TOOL_KILLED", True),
        ([], 1, "TOOL_FAILED", False),
        ([{"event": "ended", "too_large": 70_000}, {**STATS, "too_large": 1}], 0, "OUTPUTS_TOO_LARGE", True),
    ],
)
def test_other_ends_are_told_too(
    events: list[dict[str, Any]], returncode: int, code: str, left_behind: bool
) -> None:
    failure = read(*events).failure(returncode)

    assert failure is not None
    assert (failure.findings[0].code, failure.left_behind) == (code, left_behind)


def test_a_playbook_that_cannot_be_read_is_told_with_ansibles_words() -> None:
    reading = Reading(PurePath("/kept"))
    for line in ("[WARNING]: minor", "[ERROR]: couldn't resolve module/action 'x'", "Origin: site.yml:3"):
        reading.feed(Kind.LOG, line)
    failure = reading.failure(4)

    assert failure is not None
    assert failure.findings[0].code == "PLAYBOOK_INVALID"
    assert failure.findings[0].summary == "couldn't resolve module/action 'x'"
    assert not failure.left_behind


def test_failures_are_bounded() -> None:
    failure = read(*[{**ENDED, "status": "failed"}] * 100, STATS).failure(2)

    assert failure is not None
    assert len(failure.findings) == FINDINGS_MAX
