"""Who uses a workload or a chain: operations that run, and resources that stand.

Deletions and switches call it. It reads the journal's keys and the resources page by page and never writes;
that nobody new comes along meanwhile is the business of the caller's compare on the route.
"""

from collections.abc import Callable
from dataclasses import dataclass

from controlplane.catalog.documents import parse, scan
from enchain.chains.errors import MalformedError, PreconditionError
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import operation_pb2

EXAMPLES_MAX = 3

NAMED_MAX = 100
"""How many of each are named where somebody wants to know whom a switch touches."""

Concerned = Callable[[str, str], bool]
"""Says of a workload's name and a chain's name whether they are meant."""


@dataclass(frozen=True, slots=True)
class Users:
    """How many use something; some of them by name; keys that could not be read, so nobody knows."""

    operations: int = 0
    resources: int = 0
    examples: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    operation_names: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()

    @property
    def none(self) -> bool:
        """Nobody uses it, for certain."""
        return not (self.operations or self.resources or self.unreadable)


async def users_of(store: Store, concerned: Concerned) -> Users:
    """Count the running operations and the resources that are concerned."""
    running, unreadable = await _named(store, keys.ACTIVE, operation_pb2.ActiveOperation, concerned)
    standing, more_unreadable = await _named(store, keys.RESOURCES, operation_pb2.Resource, concerned)
    return Users(
        operations=len(running),
        resources=len(standing),
        examples=tuple([*running, *standing][:EXAMPLES_MAX]),
        unreadable=tuple([*unreadable, *more_unreadable][:EXAMPLES_MAX]),
        operation_names=tuple(running[:NAMED_MAX]),
        resource_names=tuple(standing[:NAMED_MAX]),
    )


async def _named(
    store: Store,
    prefix: str,
    kind: type[operation_pb2.ActiveOperation] | type[operation_pb2.Resource],
    concerned: Concerned,
) -> tuple[list[str], list[str]]:
    """Names of those concerned under a prefix, and the keys that could not be read."""
    found, unreadable = [], []
    async for item in scan(store, prefix):
        try:
            message = parse(kind, item).message
        except MalformedError:
            unreadable.append(item.key)
            continue
        if concerned(message.workload, message.chain):
            found.append(message.name if isinstance(message, operation_pb2.Resource) else message.operation)
    return found, unreadable


def refuse_while_used(users: Users, name: str) -> None:
    """Refuse to delete what somebody uses.

    Raises:
        PreconditionError: Somebody does, or may.
    """
    if users.none:
        return
    said = f"{users.resources} resources and {users.operations} running operations"
    if users.unreadable:
        said += f" use it, and who knows about {', '.join(users.unreadable)}, which cannot be read"
    raise PreconditionError(
        f"{name} is in use: {said}" + (f", such as {', '.join(users.examples)}" if users.examples else ""),
        reason="IN_USE",
        remedy="Deprovision the resources first.",
        metadata={
            "name": name,
            "resources": str(users.resources),
            "operations": str(users.operations),
        },
    )
