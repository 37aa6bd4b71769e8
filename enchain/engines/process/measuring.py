"""What services use up: CPU, memory and network, over all processes of each.

The supervisor samples at intervals, for the services that this instance watches, so each service is measured
by one instance; `telemetry` exports what is kept here. What the figures cover:

* CPU: user and system seconds of the service's living processes and of the children that they waited for.
* Memory: the sum of their resident sets; pages that they share count once for each.
* Network: bytes of TCP connections to the service's port, short ones included, and of connections that its
  processes have open themselves when a sample is taken. Outgoing connections that live shorter than an
  interval, UDP, and other network namespaces are not seen. None where the kernel does not tell.

Totals begin at nought when an instance takes a service over. `Tally` is pure; `take_sample` reads the kernel.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from enchain.engines.process.kernel import Identity, Stat, all_stats, family
from enchain.engines.process.sockets import LISTEN, Flow, dump, inodes_of


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a service uses.

    Attributes:
        cpu_seconds: Since this instance watches it, restarts included.
        memory_bytes: Now.
        processes: How many it has now.
        received_bytes: Since this instance watches it; None where it cannot be measured.
        sent_bytes: Likewise.
        restarts: In a row.
    """

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    processes: int = 0
    received_bytes: int | None = None
    sent_bytes: int | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one service.

    Attributes:
        leader: Its process, where it runs.
        stats: All its processes.
        open_flows: TCP connections that are its own; None where the kernel does not tell.
        closed_flows: Connections closed since the last look, anybody's.
        port: Its port.
    """

    leader: Identity | None
    stats: tuple[Stat, ...]
    open_flows: tuple[Flow, ...] | None
    closed_flows: tuple[Flow, ...]
    port: int | None


@dataclass(slots=True)
class Tally:
    """Adds samples of one service up. Totals never shrink."""

    _leader: Identity | None = None
    _cpu_before: float = 0.0
    _cpu: float = 0.0
    _memory: int = 0
    _processes: int = 0
    _known: bool = False
    _received: int = 0
    _sent: int = 0
    _open: dict[int, Flow] = field(default_factory=dict)

    def add(self, sample: Sample) -> None:
        """Take a sample in."""
        self._add_cpu(sample)
        self._memory = sum(stat.resident_bytes for stat in sample.stats)
        self._processes = len(sample.stats)
        if sample.open_flows is not None:
            self._known = True
            self._add_flows(sample, sample.open_flows)

    def measurement(self, *, restarts: int = 0) -> Measurement:
        """Answer the totals."""
        received = self._received + sum(flow.received for flow in self._open.values())
        sent = self._sent + sum(flow.sent for flow in self._open.values())
        return Measurement(
            cpu_seconds=self._cpu_before + self._cpu,
            memory_bytes=self._memory,
            processes=self._processes,
            received_bytes=received if self._known else None,
            sent_bytes=sent if self._known else None,
            restarts=restarts,
        )

    def _add_cpu(self, sample: Sample) -> None:
        if sample.leader is not None and sample.leader != self._leader:
            self._cpu_before += self._cpu
            self._cpu = 0.0
            self._leader = sample.leader
        now = sum(stat.cpu_seconds + stat.children_cpu_seconds for stat in sample.stats)
        self._cpu = max(self._cpu, now)

    def _add_flows(self, sample: Sample, open_flows: Iterable[Flow]) -> None:
        # The open ones were listed before the closed ones were heard: one that is in neither has been lost.
        now = {flow.cookie: flow for flow in open_flows}
        for flow in sample.closed_flows:
            if flow.cookie in self._open or flow.cookie in now or flow.port == sample.port:
                self._retire(flow)
                now.pop(flow.cookie, None)
                self._open.pop(flow.cookie, None)
        for cookie in self._open.keys() - now.keys():
            self._retire(self._open[cookie])
        self._open = now

    def _retire(self, flow: Flow) -> None:
        self._received += flow.received
        self._sent += flow.sent


@dataclass(frozen=True, slots=True)
class Watched:
    """A service to take a sample of."""

    key: str
    leader: Identity | None
    port: int | None


def take_samples(
    services: Iterable[Watched], open_flows: list[Flow] | None, closed: tuple[Flow, ...]
) -> Mapping[str, Sample]:
    """Look at services, all at one moment, by key. It reads /proc, so it is called in a thread."""
    stats = all_stats()
    return {service.key: _sample(service, stats, open_flows, closed) for service in services}


def _sample(
    service: Watched, stats: Mapping[int, Stat], open_flows: list[Flow] | None, closed: tuple[Flow, ...]
) -> Sample:
    own = family(stats, leader=service.leader, marked=frozenset(), but=os.getpid())
    flows = None
    if open_flows is not None:
        inodes = inodes_of(stat.pid for stat in own)
        flows = tuple(
            flow
            for flow in open_flows
            if flow.state != LISTEN and (flow.port == service.port or flow.inode in inodes)
        )
    return Sample(service.leader, tuple(own), flows, closed, service.port)


def list_open_flows() -> list[Flow] | None:
    """Answer every TCP socket there is; None where the kernel does not tell."""
    return dump()
