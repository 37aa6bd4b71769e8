"""How people write planned events: on the command line, and in documents."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from enchain.cli import exits
from enchain.cli.commands.events import standing, uplift, written
from enchain.cli.kinds import Parsed, parse
from enchain.cli.main import main
from enchain.cli.planning import BadWordError, read_time, read_uplift
from enchain.cli.yamlfile import DocumentError, read
from enchain.v1 import event_pb2

LAUNCH = """
kind: PlannedEvent
workload: site
name: launch
type: campaign
start: 2026-12-01T09:00:00Z
end: 2026-12-01T18:00:00+01:00
uplift: 3x
"""


def parsed(text: str) -> Parsed:
    return parse(read(Path("w.yaml"), text)[0])


def event(text: str) -> event_pb2.PlannedEvent:
    message = parsed(text).message
    assert isinstance(message, event_pb2.PlannedEvent)
    return message


@pytest.mark.parametrize(
    ("word", "factor"), [("3x", 3.0), ("3", 3.0), ("0.5", 0.5), ("2.5 X", 2.5), (".5x", 0.5), ("learn", None)]
)
def test_an_uplift_is_a_factor_or_learned(word: str, factor: float | None) -> None:
    assert read_uplift(word) == factor


@pytest.mark.parametrize("word", ["", "x", "-3", "nan", "inf", "300%", "3y", "1e3", "learned", "3x x"])
def test_what_is_no_uplift_says_how_to_write_one(word: str) -> None:
    with pytest.raises(BadWordError, match="`3x`"):
        read_uplift(word)


def test_a_time_is_taken_to_utc() -> None:
    assert read_time("2026-12-01T09:00:00+01:00") == datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert read_time(" 2026-12-01 09:00Z ") == datetime(2026, 12, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("word", "remedy"),
    [("2026-12-01T09:00:00", "Add `Z`"), ("tomorrow", "2026-12-01"), ("0001-01-01T00:00+05:00", "later")],
)
def test_what_is_no_time_says_how_to_write_one(word: str, remedy: str) -> None:
    with pytest.raises(BadWordError, match=remedy):
        read_time(word)


def test_a_document_becomes_an_event() -> None:
    message = event(LAUNCH)

    assert message.name == "workloads/site/plannedEvents/launch"
    assert (message.type, message.expected_uplift) == ("campaign", 3.0)
    assert message.start_time.ToDatetime(UTC) == datetime(2026, 12, 1, 9, tzinfo=UTC)
    assert message.end_time.ToDatetime(UTC) == datetime(2026, 12, 1, 17, tzinfo=UTC)


@pytest.mark.parametrize("line", ["uplift: learn", ""])
def test_an_uplift_to_be_learned_is_left_out(line: str) -> None:
    assert not event(LAUNCH.replace("uplift: 3x", line)).HasField("expected_uplift")


def test_a_plain_number_is_an_uplift_too() -> None:
    assert event(LAUNCH.replace("3x", "0.5")).expected_uplift == 0.5


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("uplift: 3x", "uplift: much", "uplift"),
        ("start: 2026-12-01T09:00:00Z", "start: 2026-12-01T09:00:00", "start"),
        ("start: 2026-12-01T09:00:00Z", "", "start"),
        ("type: campaign", "", "type"),
        ("uplift: 3x", "lift: 3x", "lift"),
    ],
)
def test_a_fault_of_an_event_names_its_line(old: str, new: str, field: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parsed(LAUNCH.replace(old, new))

    assert caught.value.violations[0].field == field
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("path", "field"),
    [("event.end_time", "end"), ("event.expected_uplift", "uplift"), ("event.type", "type")],
)
def test_what_the_control_plane_says_of_an_event_leads_back_to_its_line(path: str, field: str) -> None:
    item = parsed(LAUNCH)

    assert item.place_of(path) == (field,)
    assert item.document.line_of((field,)) > 1


def test_an_event_is_over_on_or_to_come() -> None:
    planned = event(LAUNCH)

    told = [standing(planned, datetime(2026, 12, 1, hour, tzinfo=UTC)) for hour in (8, 9, 16, 17)]

    assert told == ["to come", "on", "on", "over"]
    assert (written(planned.start_time), uplift(planned)) == ("2026-12-01 09:00Z", "3x")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--start", "noon", "--end", "2026-12-01T09:00Z"], "is no time"),
        (["--start", "2026-12-01T09:00", "--end", "2026-12-01T10:00Z"], "has no time zone"),
        (["--start", "2026-12-01T09:00Z", "--end", "2026-12-01T10:00Z", "--uplift", "-1"], "is no uplift"),
        (["--start", "2026-12-01T09:00Z"], "--end"),
    ],
)
def test_wrong_words_are_told_before_anything_is_asked(words: list[str], told: str) -> None:
    done = CliRunner().invoke(main, ["events", "create", "site", "launch", "--type", "campaign", *words])

    assert done.exit_code == exits.USAGE
    assert told in done.stderr


def test_an_event_is_named_by_workload_and_event() -> None:
    done = CliRunner(env={"ENCHAIN_CONTROL": "127.0.0.1:1"}).invoke(main, ["get", "events", "launch"])

    assert done.exit_code == exits.USAGE
    assert "WORKLOAD/EVENT" in done.stderr
