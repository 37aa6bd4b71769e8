"""Switches under way: followed to their end, and asked to end.

`controlplane.rpc.chains` calls it on any replica; the leader's loop carries switches out. Asking is all that
is done here: where a switch ends is decided by the machine, which sees the rest too.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from random import Random

from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamper, commit
from controlplane.catalog.documents import Document, check_etag, parse, read, same, write
from controlplane.switching import states
from controlplane.switching.records import Switch
from enchain.chains.errors import NotFoundError, PreconditionError
from enchain.chains.names import SwitchName, route_name
from enchain.process.clock import Clock
from enchain.state import keys
from enchain.state.follow import follow
from enchain.state.store import EventKind, Store
from enchain.v1 import chain_pb2


class SwitchProgress:
    """Watches switches and asks for their end.

    Args:
        store: Where they are kept.
        stamp: Gives time and id to each decision.
        clock: Waits, where the store is away while a switch is followed.
    """

    def __init__(self, store: Store, stamp: Stamper, clock: Clock) -> None:
        self._store = store
        self._stamp = stamp
        self._clock = clock
        self._rng = Random()  # noqa: S311 - jitter, not a secret

    async def watch(self, name: SwitchName) -> AsyncGenerator[Switch, None]:
        """Yield a switch as it stands, and again whenever it changes, until it has ended.

        Raises:
            NotFoundError: There is none, or it was deleted.
        """
        batches = follow(self._store, _key(name), clock=self._clock, rng=self._rng)
        async with aclosing(batches):
            async for batch in batches:
                event = batch.events[-1] if batch.events else None
                if event is None:
                    # Nothing differs from what was told before; where nothing was, there is no such switch.
                    await self._require(name)
                    continue
                if event.kind is not EventKind.PUT:
                    raise _missing(name)
                switch = parse(Switch, event.item).message
                yield switch
                if states.is_end(switch.state):
                    return

    async def abort(self, name: SwitchName, etag: str, caller: Caller) -> Switch:
        """Ask for the end of a switch; one that has ended stays as it is.

        Raises:
            NotFoundError: There is none.
            ConflictError: It has changed since it was read.
            PreconditionError: It is too late, or a person pinned the route meanwhile.
        """
        return await commit(self._store, partial(self._decide_abort, name, etag, caller))

    async def _decide_abort(self, name: SwitchName, etag: str, caller: Caller) -> Change[Switch]:
        document = await self._require(name)
        switch = document.message
        check_etag(etag, document, str(name))
        if states.is_end(switch.state) or switch.abort_requested:
            return Change(switch)
        await self._refuse_late(name, switch)
        stamp, after = self._stamp(), Switch()
        after.CopyFrom(switch)
        after.abort_requested = True
        after.update_time.FromDatetime(stamp.now)
        put = write(document.key, after)
        audit = record(stamp, caller, str(name), before=switch, after=after)
        return Change(after, (same(document, document.key),), (put,), audit)

    async def _refuse_late(self, name: SwitchName, switch: Switch) -> None:
        if switch.state == states.RETIRING:
            raise PreconditionError(
                f"{name} is past the point where it could be undone",
                reason="TOO_LATE",
                remedy=f"Roll the route back: enchain rollback {name.workload}.",
                metadata={"name": str(name)},
            )
        route = await read(self._store, chain_pb2.Route, keys.route(name.workload))
        if switch.state not in states.BEFORE and route is not None and route.message.HasField("pin"):
            raise PreconditionError(
                f"{route_name(name.workload)} is pinned where {name} put it",
                reason="ROUTE_PINNED",
                remedy=f"Unpin it first: enchain unpin {name.workload}.",
                metadata={"name": route_name(name.workload), "switch": str(name)},
            )

    async def _require(self, name: SwitchName) -> Document[Switch]:
        document = await read(self._store, Switch, _key(name))
        if document is None:
            raise _missing(name)
        return document


def _key(name: SwitchName) -> str:
    return keys.chain_switch(name.workload, name.switch)


def _missing(name: SwitchName) -> NotFoundError:
    return NotFoundError(f"there is no {name}", reason="SWITCH_NOT_FOUND", metadata={"name": str(name)})
