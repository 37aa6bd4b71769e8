"""Which processes make up enchain on one machine, with which arguments. Pure.

`enchain.dev.cluster` starts what is planned here. Every process gets a ready file, which it writes
once it serves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from enchain.process.tls import TlsFiles


@dataclass(frozen=True, slots=True)
class Layout:
    """What to start, and where.

    Attributes:
        data: The folder that everything lies in.
        control: Where the control plane listens.
        replicas: Where further control planes listen, where several are wanted.
        routers: Where each router listens; port 0 takes a free one.
        terraform: Number of Terraform instances; they share one state scope.
        process: Number of process instances; they share another, and so it goes on.
        script: Number of script instances.
        ansible: Number of Ansible instances.
        capacity: Pieces of work that an instance does at once.
        lease_seconds: Lease of all processes. Short, so that a dead one is noticed soon; it must
            outlast an etcd failover.
        tls: Identity by role (`controlplane`, `router`, or an engine's name), where TLS is wanted.
        otlp: Where spans are sent; empty for nowhere.
        log_level: What the processes log.
        more: Further arguments of the control planes.
    """

    data: Path
    control: str = "127.0.0.1:7400"
    replicas: Sequence[str] = ()
    routers: Sequence[str] = ("127.0.0.1:7401", "127.0.0.1:7402")
    terraform: int = 1
    process: int = 1
    script: int = 0
    ansible: int = 0
    capacity: int = 4
    lease_seconds: int = 10
    tls: dict[str, TlsFiles] = field(default_factory=dict)
    otlp: str = ""
    log_level: str = "info"
    more: Sequence[str] = ()

    @property
    def artifacts(self) -> Path:
        """The artifact store that control plane and engines share."""
        return self.data / "artifacts"

    @property
    def history(self) -> Path:
        """The history of demand. Of several control planes the one that leads has it."""
        return self.data / "history.sqlite"

    @property
    def launches(self) -> Path:
        """Where the control plane keeps the instances that it starts by itself."""
        return self.data / "launches"

    @property
    def metrics(self) -> str:
        """Where engines send what services use up; empty where the control plane's port is not known yet."""
        if self.control.endswith(":0"):
            return ""
        return f"https://{self.control}" if "controlplane" in self.tls else self.control

    @property
    def plan_key(self) -> Path:
        """The key that routers sign plan tokens with."""
        return self.data / "plan.key"

    @property
    def engines(self) -> dict[str, int]:
        """How many instances of which engine."""
        wanted = {
            "terraform": self.terraform,
            "process": self.process,
            "script": self.script,
            "ansible": self.ansible,
        }
        return {engine: count for engine, count in wanted.items() if count}

    def scope(self, engine: str) -> Path:
        """The state scope of an engine."""
        return self.data / "scopes" / engine


@dataclass(frozen=True, slots=True)
class Planned:
    """One process to start.

    Attributes:
        name: What people call it, such as `router-1`.
        role: `controlplane`, `router`, or the engine's name.
        module: The Python module to run.
        arguments: Its arguments, the ready file and etcd left out.
        environment: What it is told beside them.
    """

    name: str
    role: str
    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def planned(layout: Layout) -> list[Planned]:
    """Answer the processes of a layout, etcd left out."""
    answer = []
    for number, listen in enumerate((layout.control, *layout.replicas), 1):
        name = "controlplane" if number == 1 else f"controlplane-{number}"
        kept = ("--artifacts", str(layout.artifacts), "--history", str(layout.history))
        arguments = ("--listen", listen, *kept, *_lease(layout), *layout.more)
        answer.append(Planned(name, "controlplane", "controlplane.main", arguments))
    for number, listen in enumerate(layout.routers, 1):
        arguments = ("--listen", listen, "--plan-key-file", str(layout.plan_key))
        answer.append(Planned(f"router-{number}", "router", "dataplane.main", arguments + _lease(layout)))
    for engine, count in layout.engines.items():
        answer.extend(_instance(layout, engine, number) for number in range(1, count + 1))
    return answer


def _launched(layout: Layout) -> dict[str, str]:
    """Say what instances are to be told that the control plane starts by itself: what ours are told."""
    told = {
        "CAPACITY": str(layout.capacity),
        "LEASE_SECONDS": str(layout.lease_seconds),
        "LOG_LEVEL": layout.log_level,
        "OTLP": layout.otlp,
        "OTLP_METRICS": layout.metrics,
    }
    return {f"ENCHAIN_LAUNCH_{name}": text for name, text in told.items() if text}


def _lease(layout: Layout) -> tuple[str, ...]:
    return ("--lease-seconds", str(layout.lease_seconds))


def _instance(layout: Layout, engine: str, number: int) -> Planned:
    metrics = ("--otlp-metrics", layout.metrics) if layout.metrics else ()
    return Planned(
        f"{engine}-{number}",
        engine,
        f"enchain.engines.{engine}.main",
        (
            "--listen",
            "127.0.0.1:0",
            "--scope",
            str(layout.scope(engine)),
            "--artifacts",
            str(layout.artifacts),
            "--capacity",
            str(layout.capacity),
            *metrics,
            *_lease(layout),
        ),
    )


def shared_arguments(layout: Layout, process: Planned, etcd: str, ready_file: Path) -> list[str]:
    """Answer the arguments that every process gets."""
    arguments = ["--etcd", etcd, "--name", process.name, "--ready-file", str(ready_file)]
    arguments += ["--log-level", layout.log_level, "--log-format", "json", "--metrics-listen", "127.0.0.1:0"]
    if layout.otlp:
        arguments += ["--otlp", layout.otlp]
    files = layout.tls.get(process.role)
    if files is not None:
        for prefix in ("--tls", "--etcd-tls"):
            arguments += [f"{prefix}-cert", str(files.certificate), f"{prefix}-key", str(files.key)]
            arguments += [f"{prefix}-ca", str(files.authority or "")]
    return arguments
