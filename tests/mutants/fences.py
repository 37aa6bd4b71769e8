"""The fences that keep two owners apart, each taken out: the simulation must notice, every time.

`python -m tests.mutants.fences --seeds 10000` takes out one after the other and says how many seeds it took.
A seed that notices is pinned with each, so that the ordinary run sees it in a second.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant, mutated

TEST = "tests/simulation/test_fences.py::test_the_fence_is_needed_in_its_seed"


@dataclass(frozen=True, slots=True)
class Fence:
    """A fence, and where its absence was noticed.

    Attributes:
        name: What it is.
        file: Where it stands.
        old: The exact text that is taken out.
        new: What stands there instead.
        seed: A seed that fails without it.
        needed: How many seeds from 0 on it took to notice.
    """

    name: str
    file: str
    old: str
    new: str
    seed: int = 0
    needed: int = 0

    def mutant(self) -> Mutant:
        """The mutant, with the test of its pinned seed."""
        return Mutant(f"{self.name} removed", self.file, self.old, self.new, f"{TEST}[{self.name}]")


FENCES = [
    Fence(
        "owner compare",
        "dataplane/journal/ownership.py",
        "        created_at(owned.owner_key, owned.token),\n",
        "",
        seed=32,
        needed=33,
    ),
    Fence(
        "record compare",
        "dataplane/journal/ownership.py",
        "        unchanged(owned.record_key, owned.record_revision),\n",
        "",
        seed=0,
        needed=1,
    ),
    Fence(
        "token check",
        "enchain/sdk/ledger.py",
        "    if ask.token < ledger.token:\n        return _refuse(stale_token(ledger, ask.token))\n",
        "",
        seed=296,
        needed=297,
    ),
    Fence(
        "tombstone",
        "enchain/sdk/ledger.py",
        "    return Decision(Verdict.ABSENT, ledger)\n",
        "    return Decision(Verdict.ABSENT)\n",
        seed=1771,
        needed=1772,
    ),
    Fence(
        "route compare",
        "dataplane/journal/admitting.py",
        "            compares.append(unchanged(route, claim.route_revision))\n",
        "            pass\n",
        seed=13,
        needed=14,
    ),
    Fence(
        "self-fencing",
        "dataplane/dispatch/execution.py",
        "        while self._means.remaining() < FENCE_SECONDS:\n",
        "        while False:\n",
        seed=18,
        needed=19,
    ),
    Fence(
        "resource claim",
        "dataplane/journal/admitting.py",
        "            unchanged(_resource_key(resource), claim.resource_revision),\n",
        "",
        seed=1,
        needed=2,
    ),
    Fence(
        "fence at the last moment",
        "dataplane/dispatch/engines.py",
        "                await fence()\n",
        "",
        seed=471,
        needed=472,
    ),
    Fence(
        "signals refused while held",
        "dataplane/journal/journal.py",
        "        if decode(operation_pb2.ActiveOperation, item.value, key=active).held:\n",
        "        if False:\n",
        seed=2196,
        needed=2197,
    ),
    Fence(
        "what is taken up is not lost",
        "dataplane/dispatch/adoption.py",
        "        if operation in self._trying:\n            return False\n        if decode(",
        "        if decode(",
        seed=4079,
        needed=4080,
    ),
    Fence(
        "request id asked before a refusal",
        "dataplane/rpc/admission.py",
        "            if isinstance(refusal, ITS_OWN_FAULT):\n",
        "            if True:\n",
        seed=372,
        needed=373,
    ),
]

_FOUND = re.compile(r"^(\d+) seeds, (\d+) failed", re.MULTILINE)
_SEED = re.compile(r"^seed (\d+): (.*)$", re.MULTILINE)


def hunt(fence: Fence, seeds: int, start: int = 0) -> str:
    """Take a fence out of a copy and run seeds until one fails; say how many that took."""
    with tempfile.TemporaryDirectory(prefix="fence-") as folder:
        copy = mutated(fence.mutant(), Path(folder))
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seeds", str(seeds), "--start", str(start)],
            cwd=copy,
            env=os.environ | {"PYTHONPATH": str(copy)},
            capture_output=True,
            text=True,
            check=False,
        )
    ran, seed = _FOUND.search(done.stdout), _SEED.search(done.stdout)
    if ran is None:
        return f"{fence.name}: the simulation did not run: {done.stderr[-500:]}"
    if seed is None:
        return f"{fence.name}: NOT NOTICED in {ran[1]} seeds"
    return f"{fence.name}: noticed after {ran[1]} seeds, by seed {seed[1]}: {seed[2]}"


def main() -> int:
    """Hunt all fences, or those named; answer the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.fences", description=__doc__)
    parser.add_argument("names", nargs="*", help="fences to take out; all where none is named")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many seeds each may take")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    missed = 0
    for fence in FENCES:
        if options.names and fence.name not in options.names:
            continue
        told = hunt(fence, options.seeds, options.start)
        missed += "noticed after" not in told
        sys.stdout.write(f"{told}\n")
        sys.stdout.flush()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
