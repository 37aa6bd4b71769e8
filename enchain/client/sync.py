"""The thin synchronous face of `Client`, for scripts. It owns an event loop; use it from one thread.

Every method does what its namesake does; streams become plain iterators. It adds nothing of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

from enchain.chains.units import Attributes
from enchain.chains.values import Json
from enchain.client.client import DEFAULT_CONTROL, DEFAULT_ROUTERS, Client
from enchain.client.following import PATIENCE_SECONDS, Happening
from enchain.process.tls import TlsFiles
from enchain.v1 import operation_pb2, provisioning_pb2

T = TypeVar("T")


class SyncClient:
    """A synchronous client; a context manager that closes its channels."""

    def __init__(
        self,
        *,
        control: str = DEFAULT_CONTROL,
        routers: Sequence[str] = DEFAULT_ROUTERS,
        tls: TlsFiles | None = None,
        tenant: str = "default",
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._runner = asyncio.Runner()
        self._client = Client(
            control=control, routers=routers, tls=tls, tenant=tenant, patience_seconds=patience_seconds
        )
        self._closed = False

    def __enter__(self) -> Self:
        """Answer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the channels and the event loop. Operations go on."""
        self.close()

    def close(self) -> None:
        """Close the channels and the event loop. Operations go on."""
        if not self._closed:
            self._closed = True
            self._runner.run(self._client.close())
            self._runner.close()  # streams that nobody read to their end are closed here

    def provision(
        self, workload: str, inputs: Mapping[str, Json] | None = None, **options: Any
    ) -> Iterator[Happening]:
        """Make a resource and yield what happens; see `Client.provision`."""
        return self._iterate(self._client.provision(workload, inputs, **options))

    def update(self, resource: str, inputs: Mapping[str, Json], **options: Any) -> Iterator[Happening]:
        """Replace a resource's inputs and yield what happens; see `Client.update`."""
        return self._iterate(self._client.update(resource, inputs, **options))

    def deprovision(self, resource: str, **options: Any) -> Iterator[Happening]:
        """Destroy a resource and yield what happens; see `Client.deprovision`."""
        return self._iterate(self._client.deprovision(resource, **options))

    def watch(self, operation: str, *, after_sequence: int = 0) -> Iterator[Happening]:
        """Replay and follow an operation; see `Client.watch`."""
        return self._iterate(self._client.watch(operation, after_sequence=after_sequence))

    def plan(
        self, workload: str = "", inputs: Mapping[str, Json] | None = None, **options: Any
    ) -> provisioning_pb2.PlanResponse:
        """Ask what each step would do; see `Client.plan`."""
        return self._wait(self._client.plan(workload, inputs, **options))

    def cancel_operation(self, operation: str, *, reason: str = "") -> operation_pb2.Operation:
        """Ask an operation's owner to stop it."""
        return self._wait(self._client.cancel_operation(operation, reason=reason))

    def retry_operation(self, operation: str, *, from_step: str = "") -> operation_pb2.Operation:
        """Go on with an operation that is held."""
        return self._wait(self._client.retry_operation(operation, from_step=from_step))

    def explain_route(
        self, workload: str, key: str, attributes: Attributes | None = None
    ) -> provisioning_pb2.ExplainRouteResponse:
        """Ask which chain a key would get, and why; see `Client.explain_route`."""
        return self._wait(self._client.explain_route(workload, key, attributes))

    def get_operation(self, operation: str) -> operation_pb2.Operation:
        """Answer one operation."""
        return self._wait(self._client.get_operation(operation))

    def get_resource(self, resource: str) -> operation_pb2.Resource:
        """Answer one resource."""
        return self._wait(self._client.get_resource(resource))

    def list_resources(self, *, workload: str = "") -> Iterator[operation_pb2.Resource]:
        """Yield the tenant's resources."""
        return self._iterate(self._client.list_resources(workload=workload))

    def list_operations(self, *, workload: str = "", resource: str = "") -> Iterator[operation_pb2.Operation]:
        """Yield the tenant's operations, newest first."""
        return self._iterate(self._client.list_operations(workload=workload, resource=resource))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def _iterate(self, stream: AsyncIterator[T]) -> Iterator[T]:
        try:
            while True:
                item = self._runner.run(_next(stream))
                if item is None:
                    return
                yield item[0]
        finally:
            if not self._closed and isinstance(stream, AsyncGenerator):
                self._runner.run(stream.aclose())


async def _next(stream: AsyncIterator[T]) -> tuple[T] | None:
    """Answer the next item in a tuple, or None at the end: StopAsyncIteration may not leave a coroutine."""
    try:
        return (await anext(stream),)
    except StopAsyncIteration:
        return None
