"""The seeds that notice soonest when a fence is missing; with all fences there, each of them holds.

`tests/mutants` takes the fences out one by one and lets these fail.
"""

import pytest

from tests.mutants.fences import FENCES
from tests.simulation.world import run_seed


@pytest.mark.parametrize("seed", [pytest.param(fence.seed, id=fence.name) for fence in FENCES])
def test_the_fence_is_needed_in_its_seed(seed: int) -> None:
    assert run_seed(seed).violations == ()
