"""Schemas: asking running engines what a step with these artifacts takes and gives.

Workloads and chains call it when they are saved, and at no other time: routers use the copy in the chain. It
calls engine instances and never changes anything.
"""

import asyncio
from collections.abc import Mapping, Sequence

import grpc

from controlplane.catalog.instances import Instances, live, newest_version, ready
from enchain.chains.chains import Need, SchemaAnswer
from enchain.chains.errors import (
    EnchainError,
    InvalidArgumentError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
    UnimplementedError,
    Violation,
)
from enchain.engine.v1 import engine_pb2 as protocol
from enchain.engine.v1 import engine_pb2_grpc as protocol_grpc
from enchain.process.channels import open_channel
from enchain.process.logs import get_logger
from enchain.process.statuses import from_rpc_error
from enchain.process.tls import TlsFiles
from enchain.state.store import Store
from enchain.v1 import engine_pb2

_log = get_logger(__name__)

ANSWER_SECONDS = 20.0
"""How long one instance may take. Terraform unpacks and reads a module for it; a person waits for the
answer."""

INSTANCES_TRIED_MAX = 3
"""Instances asked one after the other for one schema."""

ASKED_AT_ONCE_MAX = 8
"""Questions in flight for one save."""

REFUSALS = (InvalidArgumentError, NotFoundError, PreconditionError, UnimplementedError)
"""Answers that another instance would give too. After anything else the next one is asked."""


class SchemaSource:
    """Asks engine instances for schemas.

    Args:
        store: Where instances register.
        tls: Certificates for channels to them; None for plain text.
    """

    def __init__(self, store: Store, tls: TlsFiles | None = None) -> None:
        self._store = store
        self._tls = tls

    async def instances(self) -> tuple[engine_pb2.EngineInstance, ...]:
        """Read the instances that are registered now."""
        return await live(self._store)

    async def ask(self, needs: Sequence[Need]) -> Mapping[Need, SchemaAnswer]:
        """Answer the schema of each need, all asked at once.

        Raises:
            PreconditionError: An engine has no instance that could answer.
            InvalidArgumentError: An engine refuses the artifacts.
            UnavailableError: No instance answered.
        """
        instances = await self.instances()
        candidates = {need: candidates_for(need, instances) for need in needs}
        limit = asyncio.Semaphore(ASKED_AT_ONCE_MAX)

        async def one(need: Need) -> SchemaAnswer:
            async with limit:
                return await self._ask_in_turn(need, candidates[need])

        answers = await asyncio.gather(*(one(need) for need in candidates), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return {
            need: answer
            for need, answer in zip(candidates, answers, strict=True)
            if not isinstance(answer, BaseException)
        }

    async def _ask_in_turn(self, need: Need, candidates: Instances) -> SchemaAnswer:
        """Ask one instance after another until one answers."""
        last: EnchainError | None = None
        for instance in candidates[:INSTANCES_TRIED_MAX]:
            try:
                return await self._ask_instance(need, instance)
            except REFUSALS as error:
                raise refused(need, error) from error
            except EnchainError as error:
                _log.warning(
                    "engine instance gave no schema",
                    instance=instance.name,
                    address=instance.address,
                    fault=error.message,
                )
                last = error
        raise UnavailableError(
            f"no instance of {need.engine} answered: {last.message if last else 'none was asked'}",
            reason="ENGINE_UNAVAILABLE",
            remedy="Look at the instances of the engine, then apply again.",
            metadata={"engine": need.engine},
            retry_after=2.0,
        ) from last

    async def _ask_instance(self, need: Need, instance: engine_pb2.EngineInstance) -> SchemaAnswer:
        request = protocol.GetSchemaRequest(artifacts=need.artifact_refs(), steps=need.steps)
        async with open_channel(instance.address, tls=self._tls) as channel:
            stub = protocol_grpc.ProvisioningEngineStub(channel)
            try:
                response = await stub.GetSchema(request, timeout=ANSWER_SECONDS)
            except grpc.aio.AioRpcError as error:
                raise from_rpc_error(error) from error
        return SchemaAnswer(instance.version, response.schema)


def candidates_for(need: Need, instances: Instances) -> Instances:
    """Answer the instances that may be asked: ready, and of the version that is needed.

    Raises:
        PreconditionError: There is none; the remedy says what to start.
    """
    version = need.version or newest_version(instances, need.engine)
    found = ready(instances, need.engine, version)
    if found:
        return found
    wanted = f"{need.engine} {need.version}".rstrip()
    raise PreconditionError(
        f"no instance of engine {wanted} runs, and only an instance can say what it takes",
        reason="NO_ENGINE_INSTANCE",
        remedy=f"Start an instance of engine {wanted}, then apply again.",
        metadata={"engine": need.engine, "version": need.version, "subject": f"engines/{need.engine}"},
        violations=[Violation(need.where, f"no instance of {wanted} runs", "NO_ENGINE_INSTANCE")],
    )


def refused(need: Need, error: EnchainError) -> EnchainError:
    """Say at which place of the workload an engine's refusal belongs."""
    violations = [
        Violation(f"{need.where}.{fault.field}", fault.description, fault.reason)
        for fault in error.violations
    ] or [Violation(need.where, error.message, error.reason)]
    return InvalidArgumentError(
        f"{need.engine} refuses {need.where}: {error.message}",
        reason=error.reason,
        remedy=error.remedy,
        metadata={**error.metadata, "engine": need.engine},
        violations=violations,
    )
