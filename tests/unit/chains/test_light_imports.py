"""What the command imports stays light: no CEL runtime, no validator, no gRPC."""

import subprocess
import sys

import pytest

HEAVY = ("cel_expr_python", "jsonschema", "grpc", "asyncio")


LIGHT = ("errors", "names", "values", "cohort", "routes", "digests", "assignment", "enrolment")


@pytest.mark.parametrize("module", LIGHT)
def test_a_light_room_pulls_in_nothing_heavy(module: str) -> None:
    program = f"import sys, enchain.chains.{module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


WITHOUT_CEL = """
import sys
sys.modules["cel_expr_python"] = None
from enchain.client import Attributes, assign_arm
from enchain.chains.errors import PreconditionError
from tests.harness.stored_experiments import experiment
picky = experiment(eligibility="region == 'eu'")
print(assign_arm(picky, "one").reason)
try:
    assign_arm(picky, "one", Attributes(region="eu"))
except PreconditionError as error:
    print(error.reason)
"""


def test_a_plain_install_assigns_keys_and_says_what_it_cannot_tell() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_CEL], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["ENROLLED", "CEL_MISSING"]
