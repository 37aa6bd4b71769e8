"""What the process engine decides without touching anything: durations, ports, restarts, plans."""

import pytest

from enchain.engines.process.durations import parse_seconds
from enchain.engines.process.planning import Change, plan_apply, plan_destroy, plan_digest, summary_of
from enchain.engines.process.ports import choose_port, parse_ports
from enchain.engines.process.restarts import Rest, StartAgain, decide
from enchain.engines.process.spec import Restart, Spec


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("10s", 10), ("1m30s", 90), ("2h", 7200), ("0s", 0)]
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1.5s", "1d", " 1s", "1s\n", "9" * 5000 + "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_seconds(text)


def test_the_next_port_that_is_neither_taken_nor_in_use_is_chosen_around_the_range() -> None:
    ports = range(100, 105)

    assert choose_port(ports, {103}, start=3, is_free=lambda port: port != 104) == 100
    assert choose_port(ports, {100, 101, 102}, start=0, is_free=lambda _: True) == 103
    assert choose_port(ports, set(ports), start=0, is_free=lambda _: True) is None
    assert choose_port(ports, set(), start=0, is_free=lambda _: False) is None


def test_a_range_of_ports_is_read() -> None:
    assert parse_ports("20000-20002") == range(20000, 20003)
    assert parse_ports("8080") == range(8080, 8081)


@pytest.mark.parametrize("text", ["", "a-b", "5-1", "0-10", "60000-70000", "1-2-3"])
def test_what_is_no_range_of_ports_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_ports(text)


@pytest.mark.parametrize(
    ("rule", "exit_code", "restarts", "stood", "expected"),
    [
        (Restart("always", 5, 1.0), 0, 0, 0.0, StartAgain(1.0, 1)),
        (Restart("always", 5, 1.0), -9, 3, 0.0, StartAgain(8.0, 4)),
        (Restart("always", 5, 1.0), 1, 5, 61.0, StartAgain(1.0, 1)),
        (Restart("always", 99, 1.0), 1, 50, 0.0, StartAgain(60.0, 51)),
        (Restart("on-failure", 5, 1.0), 1, 0, 0.0, StartAgain(1.0, 1)),
        (Restart("on-failure", 5, 1.0), None, 0, 0.0, StartAgain(1.0, 1)),
    ],
)
def test_a_service_that_ended_is_started_again_by_its_rule(
    rule: Restart, exit_code: int | None, restarts: int, stood: float, expected: StartAgain
) -> None:
    assert decide(rule, exit_code=exit_code, restarts=restarts, stood_seconds=stood) == expected


@pytest.mark.parametrize(
    ("rule", "exit_code", "restarts"),
    [
        (Restart("never"), 1, 0),
        (Restart("on-failure"), 0, 0),
        (Restart("always", 5), 1, 5),
        (Restart("always", 0), 1, 0),
    ],
)
def test_a_service_rests_where_its_rule_says_so(rule: Restart, exit_code: int, restarts: int) -> None:
    choice = decide(rule, exit_code=exit_code, restarts=restarts, stood_seconds=0.0)

    assert isinstance(choice, Rest)
    assert choice.reason


def told(changes: list[Change]) -> list[tuple[str, str]]:
    return [(Change.Action.Name(change.action).removeprefix("ACTION_"), change.address) for change in changes]


def test_a_plan_for_a_new_service_makes_everything() -> None:
    changes = plan_apply(Spec(("serve",), {"b": "1", "a": "2"}), None, port=None, needs_port=True)

    assert told(changes) == [
        ("CREATE", "files/a"),
        ("CREATE", "files/b"),
        ("CREATE", "process"),
        ("CREATE", "port"),
    ]
    assert summary_of(changes) == "4 to make"


def test_a_plan_for_a_change_names_what_differs_only() -> None:
    standing = Spec(("serve",), {"same": "1", "old": "1", "edited": "1"})
    wanted = Spec(("serve",), {"same": "1", "new": "1", "edited": "2"})

    changes = plan_apply(wanted, standing, port=1, needs_port=True)

    assert told(changes) == [
        ("UPDATE", "files/edited"),
        ("CREATE", "files/new"),
        ("DELETE", "files/old"),
        ("REPLACE", "process"),
    ]
    assert summary_of(changes) == "1 to make, 2 to change, 1 to remove"


def test_a_plan_for_nothing_new_changes_nothing() -> None:
    spec = Spec(("serve",), {"a": "1"})

    changes = plan_apply(spec, spec, port=1, needs_port=True)

    assert told(changes) == [("NONE", "process")]
    assert summary_of(changes) == "nothing to do"


def test_another_restart_rule_needs_no_restart() -> None:
    wanted = Spec(("serve",), restart=Restart("never"))

    assert told(plan_apply(wanted, Spec(("serve",)), port=None, needs_port=False)) == [("UPDATE", "process")]


def test_a_plan_to_destroy_names_what_stands() -> None:
    assert told(plan_destroy(Spec(("serve",), {"a": "1"}), port=7)) == [
        ("DELETE", "process"),
        ("DELETE", "files/a"),
        ("DELETE", "port"),
    ]
    assert plan_destroy(None, port=None) == []


def test_a_plans_digest_depends_on_what_is_asked_and_on_what_stands() -> None:
    inputs, spec = {"run": ["a"]}, Spec(("a",))
    digests = {
        plan_digest(inputs, spec, port=1, running=True),
        plan_digest({"run": ["b"]}, spec, port=1, running=True),
        plan_digest(inputs, None, port=1, running=True),
        plan_digest(inputs, spec, port=2, running=True),
        plan_digest(inputs, spec, port=1, running=False),
    }

    assert len(digests) == 5
    assert plan_digest(inputs, spec, port=1, running=True) in digests
