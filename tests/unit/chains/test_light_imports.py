"""What the command imports stays light: no CEL runtime, no validator, no gRPC."""

import subprocess
import sys

import pytest

HEAVY = ("cel_expr_python", "jsonschema", "grpc", "asyncio")


@pytest.mark.parametrize("module", ["errors", "names", "values", "cohort", "routes", "digests"])
def test_a_light_room_pulls_in_nothing_heavy(module: str) -> None:
    program = f"import sys, enchain.chains.{module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
