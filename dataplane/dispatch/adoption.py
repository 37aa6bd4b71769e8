"""Taking up operations whose router is gone.

The router's `main` owns the tasks `follow_owners`, `follow_signals` and `scan_regularly`. An operation is
taken up when its owner key goes, and by a scan of `active/` at start, after a relist and every 30 s.
Routers try in the order of their rank; the claim is a transaction, so that only one succeeds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from random import Random

from dataplane.dispatch.executing import Executor
from dataplane.dispatch.ranking import delay
from dataplane.journal.journal import Journal
from dataplane.journal.ownership import DisplacedError
from dataplane.routing import events, resuming
from dataplane.routing.runs import Operation, Run
from enchain.chains.errors import EnchainError, NotFoundError
from enchain.chains.names import OperationName, ResourceName
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.follow import follow
from enchain.state.store import EventKind, Store
from enchain.v1 import chain_pb2, operation_pb2

SCAN_SECONDS = 30.0
AT_ONCE_MAX = 16
"""Adoptions under way at the same time; the others wait for the next scan."""

WAITING_MAX = 2000
"""Operations that wait for their rank's delay; the others wait for the next scan."""

REASON = "its router is gone"

_log = get_logger(__name__)
_meter = meter(__name__)
_adopted = _meter.create_counter("enchain.operations.adopted", "{operation}", "Operations taken up.")
_passed = _meter.create_counter(
    "enchain.operations.not_adopted",
    "{operation}",
    "Operations left to a later scan or another router, by why.",
)

FindChain = Callable[[str], Awaitable[chain_pb2.Chain | None]]


class Adopter:
    """Takes up operations.

    Args:
        store: The store.
        journal: Claims.
        executor: Runs what was claimed.
        find_chain: Answers a chain by its full name, from table or store; None where it is gone.
        router: This router's name.
        clock: Time.
        rng: Jitter of followers.
        scan_seconds: How often to scan.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        executor: Executor,
        *,
        find_chain: FindChain,
        router: str,
        clock: Clock,
        rng: Random,
        scan_seconds: float = SCAN_SECONDS,
    ) -> None:
        self._store = store
        self._journal = journal
        self._executor = executor
        self._find_chain = find_chain
        self._router = router
        self._clock = clock
        self._rng = rng
        self._scan_seconds = scan_seconds
        self._slots = asyncio.Semaphore(AT_ONCE_MAX)
        self._trying: dict[str, asyncio.Task[None]] = {}
        self._suspects: set[str] = set()

    async def follow_owners(self) -> None:
        """Take up operations as their owner keys go, for ever."""
        batches = follow(self._store, keys.OWNERS, clock=self._clock, rng=self._rng)
        async with aclosing(batches):
            async for batch in batches:
                for event in batch.events:
                    if event.kind is EventKind.DELETE:
                        (operation,) = keys.parts(event.item.key, keys.OWNERS)
                        self._consider(operation)
                if batch.resync:
                    await self.scan_if_possible()

    async def follow_signals(self) -> None:
        """Hand signals to the operations that run here, for ever."""
        batches = follow(self._store, keys.SIGNALS, clock=self._clock, rng=self._rng)
        async with aclosing(batches):
            async for batch in batches:
                for event in batch.events:
                    if event.kind is EventKind.PUT:
                        operation = keys.parts(event.item.key, keys.SIGNALS)[0]
                        self._hand_on(operation, event.item.key, event.item.value)

    def _hand_on(self, operation: str, key: str, value: bytes) -> None:
        try:
            signal = decode(operation_pb2.OperationSignal, value, key=key)
        except EnchainError as error:
            _log.error("signal refused", key=key, reason=error.message)
            return
        if signal.kind == operation_pb2.OperationSignal.KIND_CANCEL:
            self._executor.tell(operation, events.CancelRequested(signal.reason))

    async def scan_regularly(self) -> None:
        """Scan now and again, for ever."""
        while True:
            await self._clock.sleep(self._scan_seconds)
            await self.scan_if_possible()

    async def scan_if_possible(self) -> None:
        """Scan; where the store is away, the next scan will do."""
        try:
            await self.scan()
        except EnchainError as error:
            _log.warning("scan failed", reason=error.message)

    async def scan(self) -> int:
        """Consider every operation that is active and has no owner; answer how many there are."""
        owners = {item.key: item for item in (await self._store.list(keys.OWNERS)).items}
        active = await self._store.list(keys.ACTIVE)
        found = 0
        suspects: set[str] = set()
        for item in active.items:
            (operation,) = keys.parts(item.key, keys.ACTIVE)
            owner = owners.get(keys.owner(operation))
            if owner is None:
                found += 1
                self._consider(operation, known_active=True)
            elif self._is_lost_here(operation, item.value, owner.value):
                suspects.add(operation)
        for operation in sorted(suspects & self._suspects):
            await self._disown(operation, owners[keys.owner(operation)].create_revision)
        self._suspects = suspects
        return found

    def _is_lost_here(self, operation: str, active: bytes, owner: bytes) -> bool:
        """We own it and do not run it: an admission whose answer got lost and that came late.

        What is just being taken up is ours and will run: its claim stands before it does.
        """
        if operation in self._trying:
            return False
        if decode(operation_pb2.OperationOwner, owner).router != self._router:
            return False
        return not self._executor.runs(decode(operation_pb2.ActiveOperation, active).operation)

    async def _disown(self, operation: str, create_revision: int) -> None:
        _log.warning("operation owned but not run", operation=operation)
        await self._journal.disown(operation, create_revision)

    def _consider(self, operation: str, *, known_active: bool = False) -> None:
        """Try to take an operation up, once it is our turn."""
        if not known_active and self._executor.has_ended_here(operation):
            return
        if operation in self._trying:
            return
        if len(self._trying) >= WAITING_MAX:
            _passed.add(1, {"why": "too many at once"})
            return
        task = asyncio.create_task(self._try(operation), name=f"take up {operation}")
        self._trying[operation] = task
        task.add_done_callback(lambda _: self._trying.pop(operation, None))

    async def _try(self, operation: str) -> None:
        try:
            listing = await self._store.list(keys.ROUTERS, keys_only=True)
            routers = [keys.parts(item.key, keys.ROUTERS)[0] for item in listing.items]
            mine = self._router.removeprefix("routers/")
            await self._clock.sleep(delay(operation, mine, routers))
            async with self._slots:
                await self.adopt(operation)
        except DisplacedError:
            _passed.add(1, {"why": "another was faster"})
        except EnchainError as error:
            _passed.add(1, {"why": error.reason})
            _log.warning("operation not taken up", operation=operation, reason=error.message)

    async def adopt(self, operation: str) -> bool:
        """Take one operation (by id) up now, if it needs it; answer whether we did.

        Raises:
            DisplacedError: Another router was faster.
            EnchainError: The store cannot be reached, or what it holds cannot be read.
        """
        item = await self._store.get(keys.active(operation))
        if item is None:
            return False
        active = decode(operation_pb2.ActiveOperation, item.value, key=item.key)
        if active.held or self._executor.runs(active.operation):
            return False
        if not self._executor.has_room:
            _passed.add(1, {"why": "no room"})
            return False
        name = OperationName.parse(active.operation)

        run = await self.read_run((await self._journal.read(name)).operation)

        def decide(stored: Operation) -> Operation:
            return resuming.adopt(stored, self._router, REASON, self._clock.now())

        owned, adopted = await self._journal.claim(name, decide)
        _log.info("operation taken up", operation=str(name), adoptions=adopted.adoptions)
        _adopted.add(1)
        run = replace(run, operation=adopted)
        epoch = await self._journal.epoch()
        first = events.Adopted(self._router, REASON)
        self._executor.start(owned, run, epoch=epoch.number, first=first, shown=adopted.last_sequence - 1)
        for signal in await self._journal.signals(name):
            if signal.kind == operation_pb2.OperationSignal.KIND_CANCEL:
                self._executor.tell(operation, events.CancelRequested(signal.reason))
        return True

    async def read_run(self, operation: Operation) -> Run:
        """Put together what an operation runs on.

        Raises:
            NotFoundError: Its resource is gone, or its chain, which only a deprovision can do without.
        """
        resource, _ = await self._journal.read_resource(ResourceName.parse(operation.resource))
        if resource is None:
            raise NotFoundError(f"{operation.resource} is gone", reason="RESOURCE_MISSING")
        chain = await self._find_chain(operation.chain)
        if chain is None and operation.verb != operation_pb2.VERB_DEPROVISION:
            raise NotFoundError(f"{operation.chain} is gone", reason="CHAIN_MISSING")
        return Run(operation, chain, resource)
