"""The follow suite draws its runs from their seeds."""

from benchmarks.following.faults import FAULTS
from benchmarks.following.planning import CYCLE, Kind, plan


def test_a_seed_gives_the_same_run_each_time() -> None:
    assert plan(11) == plan(11)
    assert plan(11) != plan(31)
    assert plan(11).rng("act", 0).random() == plan(11).rng("act", 0).random()


def test_runs_in_a_row_hold_every_kind_of_fault() -> None:
    start = 7
    kinds = {act.kind for seed in range(start, start + len(CYCLE)) for act in plan(seed).acts}

    assert kinds == set(Kind) == set(FAULTS)


def test_every_change_has_a_number_of_its_own_and_writes_no_key_twice() -> None:
    for seed in range(60):
        drawn = plan(seed)
        changes = [*drawn.first, *drawn.last]
        for act in drawn.acts:
            changes += [*act.before, *act.during]
        assert len({change.number for change in changes}) == len(changes)
        for change in changes:
            keys = [key for key, _ in change.puts] + list(change.deletes)
            assert len(set(keys)) == len(keys)
            assert change.puts or change.deletes


def test_some_histories_hold_a_backlog_of_thousands_and_some_hold_large_transactions() -> None:
    plans = [plan(seed) for seed in range(200)]

    assert any(len(act.during) >= 5000 for each in plans for act in each.acts)
    assert any(len(change.puts) >= 40 for each in plans for act in each.acts for change in act.during)
    assert any(change.ttl_seconds for each in plans for act in each.acts for change in act.during)
