"""Whom a fault may hit: who owns and who does steps that run now, and who leads, read from etcd.

`faulting` asks. It reads what everybody can read, owners and records, and decides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.loops.election import LEADER_KEY
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import operation_pb2, presence_pb2

_AT_WORK = frozenset({operation_pb2.StepRun.STATE_RUNNING, operation_pb2.StepRun.STATE_COMPENSATING})


@dataclass(frozen=True, slots=True)
class Running:
    """A step that runs now.

    Attributes:
        operation: The operation's id.
        owner: The process name of the router that runs it.
        instance: The process name of the engine instance that was called.
        token: Create revision of the owner key.
    """

    operation: str
    step: str
    owner: str
    instance: str
    token: int

    def hit(self, role: str) -> str:
        """Answer the process that a fault of that role hits."""
        return self.owner if role == "owner" else self.instance


async def running(store: Store) -> list[Running]:
    """Answer the steps that run now, in the order of their operations."""
    owners = {item.key: item for item in (await store.list(keys.OWNERS)).items}
    found = []
    for key, owner in sorted(owners.items()):
        (operation,) = keys.parts(key, keys.OWNERS)
        record = await store.get(keys.record("default", operation))
        if record is None:
            continue
        router = decode(operation_pb2.OperationOwner, owner.value).router.rpartition("/")[2]
        for step in _at_work(decode(operation_pb2.Operation, record.value).steps):
            instance = step.intent.instance.rpartition("/")[2]
            found.append(Running(operation, step.steps[0], router, instance, owner.create_revision))
    return found


def _at_work(steps: Sequence[operation_pb2.StepRun]) -> list[operation_pb2.StepRun]:
    return [step for step in steps if step.state in _AT_WORK and step.intent.instance]


async def leading(store: Store) -> str:
    """Answer the id of the replica of the control plane that leads; empty where none does."""
    item = await store.get(LEADER_KEY)
    if item is None:
        return ""
    return decode(presence_pb2.LeaderPresence, item.value).name.rpartition("/")[2]
