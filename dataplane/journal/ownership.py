"""Owning an operation: what an owner knows, and the conditions under which it may write.

The journal makes and checks it; dispatch carries it around. It is never written down anywhere but in etcd.
"""

from dataclasses import dataclass

from enchain.chains.errors import ConflictError
from enchain.chains.names import OperationName
from enchain.state import keys
from enchain.state.store import Compare, created_at, unchanged


class DisplacedError(ConflictError):
    """This router is no longer the owner of the operation, or another one wrote its record. Stop at once."""

    default_reason = "DISPLACED"


@dataclass(frozen=True, slots=True)
class Owned:
    """An operation that this router owns.

    Attributes:
        name: The operation.
        token: Create revision of the owner key: the fencing token.
        record_revision: Mod revision of the record as this router wrote or read it last.
        lease: The lease under which the owner key was put; what is owned is lost with it.
    """

    name: OperationName
    token: int
    record_revision: int
    lease: int

    @property
    def record_key(self) -> str:
        """Key of the record."""
        return keys.record(self.name.tenant, self.name.operation)

    @property
    def owner_key(self) -> str:
        """Key of the owner."""
        return keys.owner(self.name.operation)


def still_owned(owned: Owned) -> tuple[Compare, ...]:
    """Conditions of every write of an owner: it owns the operation, and nobody else wrote the record."""
    return (
        created_at(owned.owner_key, owned.token),
        unchanged(owned.record_key, owned.record_revision),
    )
