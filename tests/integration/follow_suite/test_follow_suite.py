"""A share of the follow suite: seeded runs on real etcd servers; `make follow-suite` carries out all."""

from pathlib import Path

import pytest

from benchmarks.following.planning import CYCLE, Kind
from benchmarks.following.running import Outcome, run_many
from benchmarks.following.tables import failure_text, summary, summary_table

RUNS = 2 * len(CYCLE)
LANES = {1: 8, 3: 4}


@pytest.mark.timeout(300)
async def test_followers_lose_double_and_reorder_nothing_under_any_fault(tmp_path: Path) -> None:
    outcomes = await run_many(range(RUNS), tmp_path, lanes=LANES, told=_ignore)

    failed = [failure_text(outcome) for outcome in outcomes if outcome.complaints]
    assert not failed, "\n\n".join(failed)
    told = summary(outcomes, 1.0)
    assert told["runs"] == RUNS
    assert min(told["faults"][kind.value] for kind in Kind) > 0, summary_table(told)
    assert told["figures"]["revisions delivered"] > RUNS * 100


def _ignore(outcome: Outcome) -> None:
    """The outcomes are judged at the end."""
