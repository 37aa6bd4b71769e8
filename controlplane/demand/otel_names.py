"""Which OpenTelemetry metrics mean which signal, and whose they are. Pure tables, and their reading.

`otlp.py` calls it. Names and attributes are those of our process engine and of OpenTelemetry's semantic
conventions for processes, containers, Kubernetes pods and hosts, the older spellings of collectors included.
Where a resource is told of by several kinds, the kind with the smallest rank counts (`grid.py`).
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from controlplane.demand.signals import Signal

WORKLOAD = "enchain.workload"
RESOURCE = "enchain.resource"
CPU_COUNT = "enchain.cpus"
REPORTER = "service.instance.id"

STANDS_FOR_WORKLOAD = "service.name"
"""Names the workload where `enchain.workload` is missing, if there is a workload of that name."""

STANDS_FOR_RESOURCE = (REPORTER, "k8s.pod.uid", "container.id", "host.id", "host.name")
"""What tells resources apart where `enchain.resource` is missing, the first that is there."""

NO_RESOURCE = "-"

RESOURCE_CHARS_MAX = 128

OURS, PODS, CONTAINERS, PROCESSES, HOSTS = range(5)
"""How direct a kind of metric is."""

Attributes = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a metric says.

    Attributes:
        signal: Of which signal.
        counter: It only grows; else it is a gauge.
        rank: How direct its kind is.
        without: Values of attributes whose points are passed over, such as time in which a CPU was idle.
        only: Where one of these attributes is there, only these values count.
        of_all_cpus: It is a share of all CPUs.
    """

    signal: Signal
    counter: bool
    rank: int
    without: Mapping[str, frozenset[str]] = field(default_factory=dict)
    only: Mapping[str, frozenset[str]] = field(default_factory=dict)
    of_all_cpus: bool = False

    def passes_over(self, attributes: Attributes) -> bool:
        """Say whether a point tells of something that is no demand."""
        return any(
            attributes.get(name, "").lower() in values for name, values in self.without.items()
        ) or any(
            attributes[name].lower() not in values for name, values in self.only.items() if name in attributes
        )


_WAITING = frozenset({"idle", "iowait", "wait", "steal"})
_NOT_WORKING = dict.fromkeys(("cpu.mode", "state", "process.cpu.state", "system.cpu.state"), _WAITING)
_LOOPBACK = dict.fromkeys(("network.interface.name", "device", "interface"), frozenset({"lo", "lo0"}))
_USED = dict.fromkeys(("system.memory.state", "state"), frozenset({"used"}))


def _cpu(rank: int) -> Meaning:
    return Meaning(Signal.CPU, counter=True, rank=rank, without=_NOT_WORKING)


def _cores(rank: int) -> Meaning:
    return Meaning(Signal.CPU, counter=False, rank=rank)


def _memory(rank: int) -> Meaning:
    return Meaning(Signal.MEMORY, counter=False, rank=rank)


def _network(rank: int) -> Meaning:
    return Meaning(Signal.NETWORK, counter=True, rank=rank, without=_LOOPBACK)


MEANINGS: dict[str, Meaning] = {
    "enchain.service.cpu.time": _cpu(OURS),
    "enchain.service.memory.usage": _memory(OURS),
    "enchain.service.network.io": _network(OURS),
    "k8s.pod.cpu.time": _cpu(PODS),
    "k8s.pod.cpu.usage": _cores(PODS),
    "k8s.pod.memory.usage": _memory(PODS),
    "k8s.pod.network.io": _network(PODS),
    "container.cpu.time": _cpu(CONTAINERS),
    "container.cpu.usage": _cores(CONTAINERS),
    "container.memory.usage": _memory(CONTAINERS),
    "container.memory.usage.total": _memory(CONTAINERS),
    "container.network.io": _network(CONTAINERS),
    "process.cpu.time": _cpu(PROCESSES),
    "process.cpu.utilization": Meaning(
        Signal.CPU, counter=False, rank=PROCESSES, without=_NOT_WORKING, of_all_cpus=True
    ),
    "process.memory.usage": _memory(PROCESSES),
    "process.network.io": _network(PROCESSES),
    "system.cpu.time": _cpu(HOSTS),
    "system.memory.usage": Meaning(Signal.MEMORY, counter=False, rank=HOSTS, only=_USED),
    "system.network.io": _network(HOSTS),
}

TWINS: dict[str, str] = {
    "k8s.pod.cpu.usage": "k8s.pod.cpu.time",
    "container.cpu.usage": "container.cpu.time",
    "container.memory.usage.total": "container.memory.usage",
    "process.cpu.utilization": "process.cpu.time",
}
"""Metrics that say the same as another one of their kind. Of a resource, the other one counts."""

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_BYTES = {"By": 1.0, "KiBy": 2.0**10, "MiBy": 2.0**20, "GiBy": 2.0**30, "kBy": 1e3, "MBy": 1e6, "GBy": 1e9}
_CORES = {"{cpu}": 1.0, "1": 1.0, "m{cpu}": 1e-3}


def rank_of(metric: str) -> int:
    """Answer how direct a metric is; of twins, the better one is more direct."""
    return 2 * MEANINGS[metric].rank + (metric in TWINS)


def scale_of(metric: str, unit: str) -> float | None:
    """Answer what a value is multiplied by to be in the signal's unit; None where the unit is a wrong one.

    A unit that was left out is the one that the name asks for.
    """
    meaning = MEANINGS[metric]
    of_cpu = _SECONDS if meaning.counter else _CORES
    units = of_cpu if meaning.signal is Signal.CPU else _BYTES
    return units.get(unit) if unit else 1.0


def workload_of(own: Attributes, resource: Attributes, known: Container[str]) -> str | None:
    """Answer whose a point is; None where no workload that exists is named.

    Args:
        own: The point's attributes. They win over the resource's.
        resource: Attributes of the OpenTelemetry resource.
        known: The ids of all workloads.
    """
    named = own.get(WORKLOAD) or resource.get(WORKLOAD) or resource.get(STANDS_FOR_WORKLOAD, "")
    identifier = named.removeprefix("workloads/")
    return identifier if identifier in known else None


def resource_of(own: Attributes, resource: Attributes) -> str:
    """Answer what resource a point is about."""
    standing = (resource[name] for name in STANDS_FOR_RESOURCE if resource.get(name))
    named = own.get(RESOURCE) or resource.get(RESOURCE) or next(standing, NO_RESOURCE)
    # It is only ever compared, so a long one is kept short.
    return named if len(named) <= RESOURCE_CHARS_MAX else _digest(named)


def part_of(metric: str, own: Attributes, resource: Attributes) -> tuple[str, str]:
    """Answer what tells a point from others of its resource, and who reports it.

    What our engines measure is the same thing whichever instance reports it. What others report is another
    part wherever any attribute differs, such as the process id.
    """
    ours = MEANINGS[metric].rank == OURS
    told = [metric, *_pairs(own), *([] if ours else _pairs(resource))]
    reporter = resource.get(REPORTER, "") if ours else ""
    return _digest("\0".join(told)), reporter if len(reporter) <= RESOURCE_CHARS_MAX else _digest(reporter)


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


def _pairs(attributes: Attributes) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(attributes.items())]
