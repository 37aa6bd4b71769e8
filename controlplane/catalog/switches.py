"""The log of chain switches: what was moved, when, and by which request.

`controlplane.catalog.routes` reads it. Records are never changed once they have ended. Their order is that of
the store's revisions: clocks of several replicas may disagree, the store does not.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from controlplane.catalog.documents import Document, parse, read, readable, scan
from controlplane.catalog.paging import Page
from controlplane.switching.states import is_end
from enchain.chains.errors import MalformedError, NotFoundError
from enchain.chains.names import SwitchName
from enchain.state import keys
from enchain.state.store import KeyValue, Store
from enchain.v1 import chain_pb2

REQUESTS_LOOKED_BACK = 50
"""How many of the newest switches a repeated request id is looked for in: people retry within minutes."""

Switches = Sequence[chain_pb2.ChainSwitch]


class SwitchLog:
    """The switches under `decisions/switches/`.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, name: SwitchName) -> chain_pb2.ChainSwitch:
        """Answer one switch.

        Raises:
            NotFoundError: There is none of that name.
        """
        document = await self._read(name)
        if document is None:
            raise NotFoundError(
                f"there is no {name}", reason="SWITCH_NOT_FOUND", metadata={"name": str(name)}
            )
        return document.message

    async def named(self, name: str) -> chain_pb2.ChainSwitch | None:
        """Answer the switch that a route names; None where it names none, or one that cannot be read."""
        if not name:
            return None
        try:
            document = await self._read(SwitchName.parse(name))
        except MalformedError:
            return None
        return None if document is None else document.message

    async def newest_first(self, workload: str) -> Switches:
        """Answer all switches of a workload, newest first."""
        items = [item async for item in scan(self._store, keys.switches_of(workload))]
        documents = readable(chain_pb2.ChainSwitch, items)
        return [each.message for each in sorted(documents, key=lambda each: -each.create_revision)]

    async def since(self, workload: str, time: datetime) -> Switches:
        """Answer the switches of a workload that began no earlier, newest first; older ones are not read."""
        found: list[chain_pb2.ChainSwitch] = []
        for key in await self._keys(workload):
            item = await self._store.get(key.key)
            for document in readable(chain_pb2.ChainSwitch, [item] if item else []):
                if document.message.create_time.ToDatetime(UTC) < time:
                    return found
                found.append(document.message)
        return found

    async def under_way(self, workload: str) -> list[Document[chain_pb2.ChainSwitch]]:
        """Answer the switches of a workload that have not ended, newest first."""
        items = [item async for item in scan(self._store, keys.switches_of(workload))]
        found = [each for each in readable(chain_pb2.ChainSwitch, items) if not is_end(each.message.state)]
        return sorted(found, key=lambda each: -each.create_revision)

    async def by_request(self, workload: str, request_id: str) -> chain_pb2.ChainSwitch | None:
        """Answer the switch that was made for a request id, if it is one of the newest."""
        if not request_id:
            return None
        for key in (await self._keys(workload))[:REQUESTS_LOOKED_BACK]:
            item = await self._store.get(key.key)
            for document in readable(chain_pb2.ChainSwitch, [item] if item else []):
                if document.message.request_id == request_id:
                    return document.message
        return None

    async def list(self, workload: str, page: Page) -> tuple[Switches, str]:
        """Answer a page of a workload's switches, newest first, and the token of the next."""
        newest = page.number()
        older = [key for key in await self._keys(workload) if newest is None or key.create_revision < newest]
        shown = older[: page.size]
        items = [await self._store.get(key.key) for key in shown]
        switches = [parse(chain_pb2.ChainSwitch, item).message for item in items if item]
        token = page.token(str(shown[-1].create_revision)) if len(older) > len(shown) else ""
        return switches, token

    async def _keys(self, workload: str) -> Sequence[KeyValue]:
        items = [item async for item in scan(self._store, keys.switches_of(workload), keys_only=True)]
        return sorted(items, key=lambda item: -item.create_revision)

    async def _read(self, name: SwitchName) -> Document[chain_pb2.ChainSwitch] | None:
        return await read(self._store, chain_pb2.ChainSwitch, keys.chain_switch(name.workload, name.switch))
