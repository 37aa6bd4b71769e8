"""Sizes are those of least expected cost, as far as trying every size tells."""

from dataclasses import replace
from random import Random

import numpy as np

from benchmarks.planning.making import fleet, workload
from controlplane.planning.arrays import arrays_of
from controlplane.planning.moments import moments_of
from controlplane.planning.rows import rows_of
from controlplane.planning.sizing import sized
from controlplane.planning.views import View
from tests.harness.planning import expected_excess


def test_hardly_any_size_costs_more_than_the_best() -> None:
    # The lower bounds look at each pool by itself, so that the best need not be found; mostly it is.
    rng = Random(11)
    excess = []
    for at in range(40):
        problem = workload(rng, at, fleet(rng, 3), 3, 4)
        problem = replace(problem, demand=replace(problem.demand, rates=problem.demand.rates[::12]))
        rows = arrays_of(rows_of([problem], View.PLAIN))
        moments = moments_of(rows)
        found = sized(rows, moments.entries)
        excess += [
            expected_excess(rows, moments.entries, e, found.sizes[e], 4)
            for e in moments.every_part().tolist()
            if found.kept[e]
        ]

    assert len(excess) > 200
    assert min(excess) > -1e-9
    assert np.mean(np.array(excess) < 1e-9) > 0.98
    assert np.mean(excess) < 0.001
