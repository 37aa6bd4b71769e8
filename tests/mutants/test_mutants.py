"""Mutants: take one protection out of a copy of the code, and see a behavioural test fail.

Each mutant is one exact replacement, committed here. It must apply, or this test fails too: code that moved
takes its mutant along. The test named must pass on the code as it is; the ordinary run sees to that.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.fences import FENCES
from tests.mutants.mutant import Mutant, mutated

TESTS_FAILED = 1
"""pytest's exit code when tests ran and some failed; anything else means that they did not run."""


MUTANTS = [
    Mutant(
        "owner compare removed",
        "dataplane/journal/ownership.py",
        "        created_at(owned.owner_key, owned.token),\n",
        "",
        "tests/integration/router/test_ownership.py::test_a_displaced_owner_cannot_write",
    ),
    Mutant(
        "resume from the header's revision",
        "enchain/state/position.py",
        "return self.revision + 1",
        "return max(self.revision, self.newest) + 1",
        "tests/integration/state/test_follow_on_etcd.py"
        "::test_a_cut_in_the_middle_of_catching_up_loses_nothing",
    ),
    Mutant(
        "schema check off",
        "dataplane/rpc/requests.py",
        "whole = schemas.check_inputs(chain.inputs, inputs)",
        "whole = dict(inputs)",
        "tests/integration/router/test_refused_requests.py",
    ),
    Mutant(
        "a claim of a lost lease run",
        "dataplane/dispatch/executing.py",
        "        if not self._means.stands(owned.lease):\n",
        "        if False:\n",
        "tests/unit/dispatch/test_executing.py::test_a_claim_under_a_lease_that_was_replaced_is_not_run",
    ),
    Mutant(
        "a claim run that was taken up again",
        "dataplane/dispatch/executing.py",
        "        if current is not None and current.owned.token >= owned.token:\n",
        "        if False:\n",
        "tests/unit/dispatch/test_executing.py::test_a_claim_that_was_taken_up_again_is_not_run",
    ),
    Mutant(
        "only the newest execution of an operation stopped",
        "dataplane/dispatch/executing.py",
        "        tasks = list(self._tasks.values())\n",
        "        tasks = [self._tasks[execution] for execution in self._executions.values()]\n",
        "tests/unit/dispatch/test_executing.py::test_two_claims_of_one_operation_both_end_with_the_lease",
    ),
    *(fence.mutant() for fence in FENCES),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_missing_protection_is_noticed(mutant: Mutant, tmp_path: Path) -> None:
    copy = mutated(mutant, tmp_path)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutant.test],
        cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == TESTS_FAILED, done.stdout + done.stderr
