"""A control plane imports none of the models' libraries: they cost hundreds of megabytes, and seconds."""

import json
import subprocess
import sys

HEAVY = ("lightgbm", "keras", "matplotlib", "pandas", "prophet", "scipy", "statsforecast", "tensorflow")


def test_a_control_plane_imports_no_library_of_models() -> None:
    script = (
        f"import json, sys, controlplane.main; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)

    assert json.loads(done.stdout) == []
