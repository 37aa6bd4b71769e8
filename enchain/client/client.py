"""The asynchronous client: one object for both planes.

People's programs and the `enchain` command use it. It keeps no state but its channels. Mutations of the data
plane carry a request id, so that sending one again never does a thing twice.
"""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Self

import grpc
from google.protobuf.duration_pb2 import Duration
from ulid import ULID

from enchain.chains.units import Attributes, attributes_message
from enchain.chains.values import Json, to_value_map
from enchain.client.attachment import Attachment
from enchain.client.following import PATIENCE_SECONDS, Call, Happening, follow
from enchain.client.routers import Routers
from enchain.process.channels import open_channel
from enchain.process.tls import TlsFiles
from enchain.v1 import (
    artifact_pb2_grpc,
    chain_pb2_grpc,
    engine_pb2_grpc,
    event_pb2_grpc,
    experiment_pb2_grpc,
    forecast_pb2_grpc,
    operation_pb2,
    pool_pb2_grpc,
    provisioning_pb2,
    recommendation_pb2_grpc,
    workload_pb2_grpc,
)

DEFAULT_CONTROL = "127.0.0.1:7400"
DEFAULT_ROUTERS = ("127.0.0.1:7401", "127.0.0.1:7402")


class Client:
    """A client of a control plane and of routers.

    Args:
        control: `host:port` of the control plane.
        routers: `host:port` of each router; they are tried in turn.
        tls: Files for mutual TLS; None on loopback.
        tenant: Whose operations and resources are meant.
        patience_seconds: How long to look for a router that answers.
    """

    def __init__(
        self,
        *,
        control: str = DEFAULT_CONTROL,
        routers: Sequence[str] = DEFAULT_ROUTERS,
        tls: TlsFiles | None = None,
        tenant: str = "default",
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.parent = f"tenants/{tenant}"
        self._routers = Routers(routers, tls=tls)
        self._control_address = control
        self._tls = tls
        self._control: grpc.aio.Channel | None = None
        self._patience_seconds = patience_seconds
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret

    async def __aenter__(self) -> Self:
        """Answer itself; channels open when first used."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the channels. Operations go on."""
        await self.close()

    async def close(self) -> None:
        """Close the channels. Operations go on."""
        await self._routers.close()
        if self._control is not None:
            await self._control.close(None)
            self._control = None

    @property
    def router_address(self) -> str:
        """The router that is asked now; another one once it is found dead."""
        return self._routers.address

    @property
    def workloads(self) -> "workload_pb2_grpc.WorkloadServiceAsyncStub":
        """`WorkloadService` of the control plane."""
        return workload_pb2_grpc.WorkloadServiceStub(self._control_channel())

    @property
    def chains(self) -> "chain_pb2_grpc.ChainServiceAsyncStub":
        """`ChainService` of the control plane."""
        return chain_pb2_grpc.ChainServiceStub(self._control_channel())

    @property
    def engines(self) -> "engine_pb2_grpc.EngineRegistryAsyncStub":
        """`EngineRegistry` of the control plane."""
        return engine_pb2_grpc.EngineRegistryStub(self._control_channel())

    @property
    def events(self) -> "event_pb2_grpc.PlannedEventServiceAsyncStub":
        """`PlannedEventService` of the control plane."""
        return event_pb2_grpc.PlannedEventServiceStub(self._control_channel())

    @property
    def experiments(self) -> "experiment_pb2_grpc.ExperimentServiceAsyncStub":
        """`ExperimentService` of the control plane."""
        return experiment_pb2_grpc.ExperimentServiceStub(self._control_channel())

    @property
    def forecasts(self) -> "forecast_pb2_grpc.ForecastServiceAsyncStub":
        """`ForecastService` of the control plane."""
        return forecast_pb2_grpc.ForecastServiceStub(self._control_channel())

    @property
    def recommendations(self) -> "recommendation_pb2_grpc.RecommendationServiceAsyncStub":
        """`RecommendationService` of the control plane."""
        return recommendation_pb2_grpc.RecommendationServiceStub(self._control_channel())

    @property
    def pools(self) -> "pool_pb2_grpc.PoolServiceAsyncStub":
        """`PoolService` of the control plane."""
        return pool_pb2_grpc.PoolServiceStub(self._control_channel())

    @property
    def artifacts(self) -> "artifact_pb2_grpc.ArtifactServiceAsyncStub":
        """`ArtifactService` of the control plane."""
        return artifact_pb2_grpc.ArtifactServiceStub(self._control_channel())

    def provision(
        self,
        workload: str,
        inputs: Mapping[str, Json] | None = None,
        *,
        resource_id: str = "",
        request_id: str = "",
        routing_key: str = "",
        timeout_seconds: float | None = None,
        plan_token: str = "",
        validate_only: bool = False,
    ) -> AsyncIterator[Happening]:
        """Make a resource of a workload and follow the operation to its end.

        Args:
            workload: The workload's id, such as `site`.
            inputs: What the workload's schema asks for.
            resource_id: The resource's id; a new one where it is empty.
            request_id: Send the same one again to ask for the same thing; a new one where it is empty.
            routing_key: What the cohort is hashed from; the resource's id where it is empty.
            timeout_seconds: How long it may take; the workload's timeout where it is None.
            plan_token: Apply exactly this plan.
            validate_only: Check, admit nothing.

        Yields:
            Events, durable and progress, and `Reattached` notices.

        Raises:
            EnchainError: The request was refused, or no router can be reached.
        """
        request = provisioning_pb2.ProvisionRequest(
            parent=self.parent,
            workload=f"workloads/{workload}",
            resource_id=resource_id,
            inputs=to_value_map(inputs or {}),
            request_id=request_id or new_request_id(),
            routing_key=routing_key,
            timeout=_duration(timeout_seconds),
            plan_token=plan_token,
            validate_only=validate_only,
        )
        return self._follow(lambda stub: stub.Provision(request))

    def update(
        self,
        resource: str,
        inputs: Mapping[str, Json],
        *,
        request_id: str = "",
        etag: str = "",
        timeout_seconds: float | None = None,
        plan_token: str = "",
    ) -> AsyncIterator[Happening]:
        """Replace a resource's inputs, along the chain that made it, and follow the operation."""
        request = provisioning_pb2.UpdateRequest(
            name=self.resource_name(resource),
            inputs=to_value_map(inputs),
            request_id=request_id or new_request_id(),
            etag=etag,
            timeout=_duration(timeout_seconds),
            plan_token=plan_token,
        )
        return self._follow(lambda stub: stub.Update(request))

    def deprovision(
        self,
        resource: str,
        *,
        request_id: str = "",
        etag: str = "",
        timeout_seconds: float | None = None,
    ) -> AsyncIterator[Happening]:
        """Destroy a resource, its recorded steps in reverse, and follow the operation."""
        request = provisioning_pb2.DeprovisionRequest(
            name=self.resource_name(resource),
            request_id=request_id or new_request_id(),
            etag=etag,
            timeout=_duration(timeout_seconds),
        )
        return self._follow(lambda stub: stub.Deprovision(request))

    def watch(self, operation: str, *, after_sequence: int = 0) -> AsyncIterator[Happening]:
        """Replay an operation's durable events after a sequence and follow it to its end."""
        name = self.operation_name(operation)
        return follow(
            self._routers,
            None,
            attachment=Attachment(operation=name, sequence=after_sequence),
            patience_seconds=self._patience_seconds,
            rng=self._rng,
        )

    async def plan(
        self,
        workload: str = "",
        inputs: Mapping[str, Json] | None = None,
        *,
        resource_id: str = "",
        resource: str = "",
        verb: operation_pb2.Verb.ValueType = operation_pb2.VERB_PROVISION,
        routing_key: str = "",
    ) -> provisioning_pb2.PlanResponse:
        """Ask what each step would do. Changes nothing."""
        request = provisioning_pb2.PlanRequest(
            parent=self.parent,
            verb=verb,
            workload=f"workloads/{workload}" if workload else "",
            resource_id=resource_id,
            resource=self.resource_name(resource) if resource else "",
            routing_key=routing_key,
            inputs=to_value_map(inputs or {}),
        )
        return await self._routers.call(lambda stub: stub.Plan(request))

    async def get_operation(self, operation: str) -> operation_pb2.Operation:
        """Answer one operation."""
        request = provisioning_pb2.GetOperationRequest(name=self.operation_name(operation))
        return await self._routers.call(lambda stub: stub.GetOperation(request))

    async def cancel_operation(self, operation: str, *, reason: str = "") -> operation_pb2.Operation:
        """Ask an operation's owner to stop it."""
        request = provisioning_pb2.CancelOperationRequest(
            name=self.operation_name(operation), reason=reason, request_id=new_request_id()
        )
        return await self._routers.call(lambda stub: stub.CancelOperation(request))

    async def retry_operation(self, operation: str, *, from_step: str = "") -> operation_pb2.Operation:
        """Go on with an operation that is held."""
        request = provisioning_pb2.RetryOperationRequest(
            name=self.operation_name(operation), from_step=from_step, request_id=new_request_id()
        )
        return await self._routers.call(lambda stub: stub.RetryOperation(request))

    async def list_operations(
        self, *, workload: str = "", resource: str = ""
    ) -> AsyncIterator[operation_pb2.Operation]:
        """Yield the tenant's operations, newest first, page by page."""
        request = provisioning_pb2.ListOperationsRequest(
            parent=self.parent,
            workload=f"workloads/{workload}" if workload else "",
            resource=self.resource_name(resource) if resource else "",
        )
        while True:
            page = await self._routers.call(lambda stub: stub.ListOperations(request))
            for operation in page.operations:
                yield operation
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def get_resource(self, resource: str) -> operation_pb2.Resource:
        """Answer one resource."""
        request = provisioning_pb2.GetResourceRequest(name=self.resource_name(resource))
        return await self._routers.call(lambda stub: stub.GetResource(request))

    async def list_resources(self, *, workload: str = "") -> AsyncIterator[operation_pb2.Resource]:
        """Yield the tenant's resources, page by page."""
        request = provisioning_pb2.ListResourcesRequest(
            parent=self.parent, workload=f"workloads/{workload}" if workload else ""
        )
        while True:
            page = await self._routers.call(lambda stub: stub.ListResources(request))
            for resource in page.resources:
                yield resource
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def explain_route(
        self, workload: str, key: str, attributes: Attributes | None = None
    ) -> provisioning_pb2.ExplainRouteResponse:
        """Ask which chain a key would get, and why; eligibility for experiments is asked of attributes."""
        request = provisioning_pb2.ExplainRouteRequest(workload=f"workloads/{workload}", key=key)
        if attributes is not None:
            request.attributes.CopyFrom(attributes_message(attributes))
        return await self._routers.call(lambda stub: stub.ExplainRoute(request))

    def resource_name(self, resource: str) -> str:
        """Answer the full name of a resource; a full name stays as it is."""
        return resource if "/" in resource else f"{self.parent}/resources/{resource}"

    def operation_name(self, operation: str) -> str:
        """Answer the full name of an operation; a full name stays as it is."""
        return operation if "/" in operation else f"{self.parent}/operations/{operation}"

    def _follow(self, begin: Call) -> AsyncIterator[Happening]:
        return follow(
            self._routers,
            begin,
            attachment=Attachment(),
            patience_seconds=self._patience_seconds,
            rng=self._rng,
        )

    def _control_channel(self) -> grpc.aio.Channel:
        if self._control is None:
            self._control = open_channel(self._control_address, tls=self._tls)
        return self._control


def new_request_id() -> str:
    """Make a request id: a ULID, so that ids sort by time."""
    return str(ULID())


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    return Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
