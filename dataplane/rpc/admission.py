"""Admitting requests: decided, written in one transaction, handed to the executor.

The servicer calls it. Once the journal has an operation, nothing that becomes of the client can stop it:
the part from decision to start runs as a task of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dataplane.dispatch.executing import Executor
from dataplane.dispatch.fanout import Fanout, Watcher
from dataplane.journal.admitting import EpochChangedError, Known, RouteMovedError
from dataplane.journal.epochs import Epoch
from dataplane.journal.journal import Journal
from dataplane.routing import events
from dataplane.routing.choose import Routed
from dataplane.routing.runs import Run
from dataplane.rpc import requests
from dataplane.rpc.deciding import Caller, Decided, Decider, Mutation, Tables
from dataplane.rpc.detached import Detached
from enchain.chains.errors import (
    ConflictError,
    DeadlineError,
    EnchainError,
    ExhaustedError,
    InvalidArgumentError,
    PeerError,
    UnavailableError,
)
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.v1 import operation_pb2, provisioning_pb2

ATTEMPTS_MAX = 5
"""How often a request is decided again because the route moved meanwhile."""

CATCH_UP_SECONDS = 3.0
"""How long an admission waits for the table to reach a route that it has seen."""

_log = get_logger(__name__)
_meter = meter(__name__)
_admitted = _meter.create_counter(
    "enchain.operations.admitted", "{operation}", "Operations admitted, by verb and workload."
)
_asked = _meter.create_counter(
    "enchain.experiments.requests",
    "{operation}",
    "Provisions admitted while their workload has experiments, by which enrolled them, or why none did.",
)
_rerouted = _meter.create_counter(
    "enchain.operations.rerouted", "{request}", "Admissions decided again because something moved."
)

ITS_OWN_FAULT = (InvalidArgumentError, DeadlineError, ExhaustedError, PeerError)
"""Refusals that no earlier admission of the same request can have brought about."""

Decide = Callable[[Epoch], Awaitable[Decided]]


@dataclass(frozen=True, slots=True)
class Begun:
    """An operation that a request began, or had begun before.

    Attributes:
        operation: Its name.
        watcher: Gets all its events; None for one that is older than this request.
    """

    operation: str
    watcher: Watcher | None


class Admission:
    """Admits requests.

    Args:
        tables: The table.
        decider: Decides what to write.
        journal: Writes it.
        executor: Runs what was admitted.
        fanout: Shows it.
    """

    def __init__(
        self, tables: Tables, decider: Decider, journal: Journal, executor: Executor, fanout: Fanout
    ) -> None:
        self._tables = tables
        self._decider = decider
        self._journal = journal
        self._executor = executor
        self._fanout = fanout
        self._detached = Detached()

    async def provision(self, request: provisioning_pb2.ProvisionRequest, caller: Caller) -> Begun | None:
        """Admit a provision; None where it was only to be checked.

        Raises:
            EnchainError: It is refused; nothing was written.
        """
        wanted = requests.provision(request)
        return await self._begin(
            request, wanted, lambda epoch: self._decider.provision(request, wanted, caller, epoch)
        )

    async def update(self, request: provisioning_pb2.UpdateRequest, caller: Caller) -> Begun | None:
        """Admit an update; None where it was only to be checked."""
        wanted = requests.update(request)
        return await self._begin(
            request, wanted, lambda epoch: self._decider.update(request, wanted, caller, epoch)
        )

    async def deprovision(self, request: provisioning_pb2.DeprovisionRequest, caller: Caller) -> Begun | None:
        """Admit a deprovision; None where it was only to be checked."""
        wanted = requests.deprovision(request)
        return await self._begin(
            request, wanted, lambda epoch: self._decider.deprovision(request, wanted, caller, epoch)
        )

    async def _begin(self, request: Mutation, wanted: requests.Wanted, decide: Decide) -> Begun | None:
        """Admit; a request id that is known is answered before any other complaint is made."""
        try:
            with self._executor.reserve():
                attempts = self._attempts(decide, write=not request.validate_only)
                return await self._detached.run("admit a request", attempts)
        except EnchainError as refusal:
            known = await self._known(request, wanted, refusal)
            if known is None:
                raise
            return known

    async def _known(self, request: Mutation, wanted: requests.Wanted, refusal: EnchainError) -> Begun | None:
        """The operation that the request id is bound to; None where it is free, or it does not matter.

        Raises:
            PeerError: Nobody can say, and the refusal may come of the request's own operation.
        """
        try:
            fingerprint = requests.fingerprint(request)
            known = await self._journal.request(wanted.tenant, wanted.request_id, fingerprint)
        except PeerError:
            if isinstance(refusal, ITS_OWN_FAULT):
                return None
            raise
        return Begun(known.operation, None) if known is not None else None

    async def _attempts(self, decide: Decide, *, write: bool) -> Begun | None:
        """Decide again where route or epoch moved meanwhile, but not for ever."""
        last: ConflictError | None = None
        fresh = False
        for _ in range(ATTEMPTS_MAX):
            epoch = await self._journal.epoch(fresh=fresh)
            decided = await decide(epoch)
            if not write:
                return None
            try:
                return await self._write(decided, epoch)
            except RouteMovedError as error:
                last = error
                await self._catch_up(error)
            except EpochChangedError as error:
                last, fresh = error, True
            _rerouted.add(1)
        assert last is not None
        raise last

    async def _catch_up(self, error: RouteMovedError) -> None:
        if error.item is None:
            return
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                await self._tables.wait_for(error.item.mod_revision)
        except TimeoutError as late:
            raise UnavailableError(
                "this router's table is behind the route",
                reason="TABLE_BEHIND",
                remedy="Send the request again, or to another router.",
                retry_after=1.0,
            ) from late

    async def _write(self, decided: Decided, epoch: Epoch) -> Begun:
        operation = decided.admission.operation
        admitted = await self._journal.admit(decided.admission, decided.claim)
        if isinstance(admitted, Known):
            return Begun(admitted.operation, None)
        run = Run(operation, decided.chain, decided.admission.resource)
        self._executor.start(admitted, run, epoch=epoch.number, first=events.Admitted())
        watcher = self._fanout.open(operation.name)  # nothing has run yet, so that it misses nothing
        verb = operation_pb2.Verb.Name(operation.verb)
        _admitted.add(1, {"verb": verb, "workload": operation.workload})
        _count_assignment(decided.routed, operation.workload)
        _log.info(
            "operation admitted",
            operation=operation.name,
            verb=verb,
            chain=operation.chain,
            arm=operation.arm,
            bucket=operation.bucket,
            resource=operation.resource,
        )
        return Begun(operation.name, watcher)


def _count_assignment(routed: Routed | None, workload: str) -> None:
    """Count what experiments said of a request, those that enrolled it and those that did not."""
    if routed is None or routed.assignment is None:
        return
    said = routed.assignment
    _asked.add(1, {"workload": workload, "experiment": said.experiment, "reason": said.reason.value})
