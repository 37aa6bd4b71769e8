"""What stands, by the disk, the kernel's list of processes, and etcd: three books that must agree.

`__main__` looks once all is quiet, and once more after everything was deprovisioned.
"""

from dataclasses import dataclass
from pathlib import Path

from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import operation_pb2


@dataclass(frozen=True, slots=True)
class Standing:
    """All that stands.

    Attributes:
        things: What tools made, by work: its content.
        services: Services that run, by work: their marks.
        tools: Processes that still work in a state scope and are no services.
        operations: Every operation's record, by name.
        resources: Every resource, by name.
        owners: Operations that have an owner.
        active: Operations that are active, and whether they are held.
    """

    things: dict[str, str]
    services: dict[str, list[str]]
    tools: list[str]
    operations: dict[str, operation_pb2.Operation]
    resources: dict[str, operation_pb2.Resource]
    owners: list[str]
    active: dict[str, bool]


async def look(data: Path, store: Store) -> Standing:
    """Look everywhere."""
    services, tools = _processes(data)
    records = (await store.list(keys.RECORDS)).items
    resources = (await store.list(keys.RESOURCES)).items
    active = [decode(operation_pb2.ActiveOperation, i.value) for i in (await store.list(keys.ACTIVE)).items]
    return Standing(
        things={_work(path): path.read_text() for path in (data / "world" / "things").iterdir()},
        services=services,
        tools=tools,
        operations={found.name: found for found in (_operation(item.value) for item in records)},
        resources={found.name: found for found in (_resource(item.value) for item in resources)},
        owners=[item.key for item in (await store.list(keys.OWNERS)).items],
        active={each.operation: each.held for each in active},
    )


def _operation(value: bytes) -> operation_pb2.Operation:
    return decode(operation_pb2.Operation, value)


def _resource(value: bytes) -> operation_pb2.Resource:
    return decode(operation_pb2.Resource, value)


def _work(path: Path) -> str:
    return path.name.replace(".", "/", 1)


def _processes(data: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Find services by their command, and tools by where they work."""
    services: dict[str, list[str]] = {}
    tools = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            cwd = str((entry / "cwd").readlink())
        except OSError:
            continue  # it ended while we looked
        if str(data / "parts" / "service.py") in words[:2]:
            services.setdefault(words[3], []).append(words[4])
        elif cwd.startswith(f"{data}/scopes/"):
            tools.append(f"{entry.name}: {' '.join(words)} in {cwd}")
    return services, tools
