"""Processes told apart: a line of /proc, a service's family, and what a tally of samples makes of them."""

from enchain.engines.process.kernel import Identity, Stat, family, parse_stat
from enchain.engines.process.measuring import Sample, Tally
from enchain.engines.process.sockets import Flow

LEADER = Identity(10, 1000, "boot")


def stat(pid: int, *, parent: int = 1, session: int = 0, start: int = 1000, state: str = "S") -> Stat:
    return Stat(pid, state, parent, session, session, start, 1.0, 0.5, 4096)


def pids(*stats: Stat, leader: Identity | None = LEADER, marked: frozenset[int] = frozenset()) -> list[int]:
    everyone = {each.pid: each for each in stats}
    return [each.pid for each in family(everyone, leader=leader, marked=marked, but=99)]


def test_a_command_with_brackets_and_blanks_is_read() -> None:
    line = "42 (a) b) (c) S 7 42 41 0 -1 4194304 1 2 3 4 150 50 30 20 20 0 1 0 987654 1000 3 1844674"

    found = parse_stat(line)

    assert (found.pid, found.state, found.parent, found.group, found.session) == (42, "S", 7, 42, 41)
    assert found.start_ticks == 987654
    assert found.cpu_seconds == found.children_cpu_seconds * 4


def test_a_family_is_its_session_the_marked_and_all_their_descendants() -> None:
    found = pids(
        stat(10, session=10),
        stat(11, parent=10, session=10),
        stat(12, parent=11, session=12),
        stat(20, session=20),
        stat(21, parent=20, session=21),
        stat(30, session=30),
        marked=frozenset({20}),
    )

    assert found == [10, 11, 12, 20, 21]


def test_the_session_of_a_leader_that_has_died_is_still_its_family() -> None:
    assert pids(stat(11, session=10, start=1001)) == [11]


def test_a_number_that_was_given_away_again_leads_no_family() -> None:
    assert pids(stat(10, session=10, start=5000), stat(11, parent=10, session=10, start=5001)) == []


def test_an_older_process_of_a_session_with_this_number_is_a_stranger() -> None:
    assert pids(stat(11, session=10, start=900)) == []


def test_neither_the_dead_nor_the_asking_process_are_in_a_family() -> None:
    assert pids(stat(10, session=10, state="Z"), stat(99, session=10)) == []


def flow(cookie: int, *, port: int = 80, received: int = 0, sent: int = 0, inode: int = 1) -> Flow:
    return Flow(cookie, 1, port, inode, received, sent)


def sample(
    *, open_flows: tuple[Flow, ...] | None = (), closed: tuple[Flow, ...] = (), leader: Identity = LEADER
) -> Sample:
    return Sample(leader, (stat(10),), open_flows, closed, 80)


def test_a_connection_is_counted_once_whether_it_is_seen_open_or_closed_or_both() -> None:
    tally = Tally()
    tally.add(sample(open_flows=(flow(1, received=5, sent=1), flow(2, received=1))))
    tally.add(
        sample(open_flows=(flow(2, received=3),), closed=(flow(1, received=7, sent=2), flow(3, received=100)))
    )
    tally.add(sample(open_flows=(flow(2, received=3),), closed=(flow(4, port=9999, received=10**6),)))

    found = tally.measurement()

    assert (found.received_bytes, found.sent_bytes) == (7 + 3 + 100, 2)


def test_a_connection_closed_between_listing_and_hearing_is_counted_once() -> None:
    tally = Tally()
    tally.add(sample(open_flows=(flow(1, received=5),), closed=(flow(1, received=6),)))
    tally.add(sample())

    assert tally.measurement().received_bytes == 6


def test_an_outgoing_connection_that_was_seen_open_keeps_its_last_count() -> None:
    tally = Tally()
    tally.add(sample(open_flows=(flow(1, port=5555, sent=5),)))
    tally.add(sample(closed=(flow(1, port=5555, sent=9),)))
    tally.add(sample(open_flows=(flow(2, port=5556, sent=1),)))
    tally.add(sample())

    assert tally.measurement().sent_bytes == 10


def test_nothing_is_claimed_where_the_kernel_does_not_tell() -> None:
    tally = Tally()
    tally.add(sample(open_flows=None))

    found = tally.measurement()

    assert (found.received_bytes, found.sent_bytes) == (None, None)
    assert (found.cpu_seconds, found.memory_bytes, found.processes) == (1.5, 4096, 1)


def test_cpu_time_goes_on_over_a_restart_and_never_shrinks() -> None:
    tally = Tally()
    tally.add(sample())
    tally.add(sample(leader=Identity(11, 2000, "boot")))
    tally.add(Sample(None, (), (), (), 80))

    assert tally.measurement().cpu_seconds == 3.0
