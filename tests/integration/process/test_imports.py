"""What the plain install pays for: the client's side of this package needs no server and no SDK."""

import json
import subprocess
import sys

# grpc itself imports grpc_health and grpc_reflection where they are installed.
FOR_SERVERS_ONLY = (
    "grpc_channelz",
    "jsonschema",
    "opentelemetry.exporter",
    "opentelemetry.sdk",
    "prometheus_client",
    "psutil",
    "structlog",
    "tensorflow",
)


def loaded_by(*modules: str) -> set[str]:
    script = f"import json, sys, {', '.join(modules)}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    return set(json.loads(done.stdout))


def test_the_clients_side_loads_nothing_that_only_servers_need() -> None:
    loaded = loaded_by("enchain.process.channels", "enchain.process.statuses", "enchain.process.tls")

    assert not {name for name in loaded if name.startswith(FOR_SERVERS_ONLY)}


def test_telemetry_loads_its_sdk_only_when_it_is_configured() -> None:
    loaded = loaded_by("enchain.process.telemetry")

    assert not {name for name in loaded if name.startswith(FOR_SERVERS_ONLY)}
