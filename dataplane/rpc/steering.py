"""Cancelling a running operation and going on with a held one.

The servicer calls it. A cancel is a signal to the owner, whoever that is. A held operation has no owner:
the router that is asked to retry it claims it and runs it.
"""

from dataclasses import replace
from random import Random

from dataplane.dispatch.adoption import Adopter
from dataplane.dispatch.executing import Executor
from dataplane.journal.journal import Journal
from dataplane.journal.ownership import DisplacedError
from dataplane.routing import events, pipeline
from dataplane.routing.runs import FINAL, Operation
from dataplane.routing.times import stamp
from dataplane.rpc import requests
from dataplane.rpc.deciding import Caller
from dataplane.rpc.detached import Detached
from enchain.chains.errors import ConflictError, PreconditionError
from enchain.chains.names import OperationName
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.v1 import operation_pb2, provisioning_pb2

_log = get_logger(__name__)


class Steering:
    """Cancels and retries.

    Args:
        journal: Signals and claims.
        executor: Runs what is retried.
        adopter: Puts together what an operation runs on.
        clock: Time.
        rng: Jitter.
    """

    def __init__(
        self, journal: Journal, executor: Executor, adopter: Adopter, *, clock: Clock, rng: Random
    ) -> None:
        self._journal = journal
        self._executor = executor
        self._adopter = adopter
        self._clock = clock
        self._rng = rng
        self._detached = Detached()

    async def cancel(self, request: provisioning_pb2.CancelOperationRequest, caller: Caller) -> Operation:
        """Ask the owner to stop. An operation that has ended is answered as it is.

        Raises:
            PreconditionError: It is held, so that nothing runs that could be stopped.
        """
        name, reason = requests.operation(request.name), requests.reason(request.reason)
        stored = await self._journal.read(name)
        if stored.operation.state in FINAL:
            return _with_etag(stored.operation, stored.revision)
        if stored.operation.state == Operation.STATE_HELD:
            raise PreconditionError(
                f"{name} is held: nothing of it runs",
                reason="OPERATION_HELD",
                remedy="Retry it, or deprovision the resource.",
                metadata={"operation": str(name)},
            )
        signal = operation_pb2.OperationSignal(
            kind=operation_pb2.OperationSignal.KIND_CANCEL,
            reason=reason,
            identity=caller.identity,
            create_time=stamp(self._clock.now()),
        )
        await self._journal.signal(name, signal)
        _log.info("cancel requested", operation=str(name), by=caller.identity.subject)
        stored = await self._journal.read(name)
        return _with_etag(stored.operation, stored.revision)

    async def retry(self, request: provisioning_pb2.RetryOperationRequest, caller: Caller) -> Operation:
        """Go on with a held operation, here.

        Raises:
            PreconditionError: It is not held.
            InvalidArgumentError: It cannot begin at the step named.
            ExhaustedError: This router runs as many operations as it may.
        """
        name, from_step = requests.operation(request.name), requests.from_step(request.from_step)
        return await self._detached.run("retry an operation", self._retry(name, from_step, caller))

    async def _retry(self, name: OperationName, from_step: str, caller: Caller) -> Operation:
        with self._executor.reserve():
            stored = await self._journal.read(name)
            if stored.operation.state != Operation.STATE_HELD:
                raise _not_held(stored.operation)
            run = await self._adopter.read_run(stored.operation)

            def decide(held: Operation) -> Operation:
                if held.state != Operation.STATE_HELD:
                    raise _not_held(held)
                event = events.RetryRequested(from_step)
                now, jitter = self._clock.now(), self._rng.random()
                return pipeline.step(replace(run, operation=held), event, now, jitter)[0].operation

            try:
                owned, retried = await self._journal.claim(name, decide)
                epoch = await self._journal.epoch()
                self._executor.start(
                    owned,
                    replace(run, operation=retried),
                    epoch=epoch.number,
                    first=events.WaitOver(),
                    shown=stored.operation.last_sequence,
                )
            except DisplacedError as error:
                raise ConflictError(
                    f"{name} has changed", reason="OPERATION_CHANGED", retry_after=0.1
                ) from error
        _log.info("operation retried", operation=str(name), from_step=from_step, by=caller.identity.subject)
        return _with_etag(retried, owned.record_revision)


def _not_held(operation: Operation) -> PreconditionError:
    state = Operation.State.Name(operation.state).removeprefix("STATE_").lower()
    return PreconditionError(
        f"{operation.name} is {state}, not held",
        reason="OPERATION_NOT_HELD",
        remedy="Only a held operation can be retried.",
        metadata={"operation": operation.name, "state": state},
    )


def _with_etag(operation: Operation, revision: int) -> Operation:
    answered = Operation()
    answered.CopyFrom(operation)
    answered.etag = str(revision)
    return answered
