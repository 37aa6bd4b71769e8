"""Finding the chain that an operation or a resource was bound to, whether or not the table has it (yet).

Admission, adoption and planning ask it. It never chooses a chain.
"""

from collections.abc import Callable, Mapping

from enchain.chains.names import ChainName
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import chain_pb2


class Chains:
    """Finds chains by their full names.

    Args:
        store: Asked for what the table lacks.
        table: Answers the chains of the table in force.
    """

    def __init__(self, store: Store, table: Callable[[], Mapping[str, chain_pb2.Chain]]) -> None:
        self._store = store
        self._table = table

    async def find(self, name: str) -> chain_pb2.Chain | None:
        """Answer a chain; None where it is gone.

        Raises:
            MalformedError: What is stored cannot be read.
        """
        known = self._table().get(name)
        if known is not None:
            return known
        parsed = ChainName.parse(name, "chain", whole=True)
        key = keys.chain(parsed.workload, parsed.chain, parsed.revision)
        item = await self._store.get(key)
        return decode(chain_pb2.Chain, item.value, key=key) if item is not None else None
