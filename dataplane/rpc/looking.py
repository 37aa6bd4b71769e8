"""Looking at operations, resources and routes. Nothing here writes.

The servicer calls it. Pages go by the last id shown, so that they stay stable while things come and go.
"""

import asyncio

from dataplane.journal.journal import Journal
from dataplane.routing.choose import choose_by_key
from dataplane.routing.runs import Operation
from dataplane.rpc import requests
from dataplane.rpc.deciding import Resource, Tables
from enchain.chains.assignment import NOT_ASKED
from enchain.chains.errors import InvalidArgumentError, NotFoundError, Violation
from enchain.chains.names import RESOURCE, ULID, ResourceName, workload_id
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import KeyValue, Store
from enchain.v1 import provisioning_pb2

READ_AT_ONCE = 50
"""Keys read per request while a filter is being applied."""


class Lookups:
    """Answers questions.

    Args:
        store: Read.
        journal: Reads single operations and resources.
        tables: The table.
    """

    def __init__(self, store: Store, journal: Journal, tables: Tables) -> None:
        self._store = store
        self._journal = journal
        self._tables = tables

    async def operation(self, request: provisioning_pb2.GetOperationRequest) -> Operation:
        """Answer one operation.

        Raises:
            NotFoundError: There is none.
        """
        stored = await self._journal.read(requests.operation(request.name))
        stored.operation.etag = str(stored.revision)
        return stored.operation

    async def resource(self, request: provisioning_pb2.GetResourceRequest) -> Resource:
        """Answer one resource.

        Raises:
            NotFoundError: There is none.
        """
        name = requests.resource(request.name)
        resource, revision = await self._journal.read_resource(name)
        if resource is None:
            raise NotFoundError(f"there is no {name}", reason="RESOURCE_NOT_FOUND")
        resource.etag = str(revision)
        return resource

    async def operations(
        self, request: provisioning_pb2.ListOperationsRequest
    ) -> provisioning_pb2.ListOperationsResponse:
        """Answer a page of operations, the newest first, without their events."""
        tenant, size = requests.parent(request.parent), requests.page_size(request.page_size)
        _check_token(request.page_token, ULID.pattern.fullmatch(request.page_token) is not None)
        prefix = keys.records_of(tenant)
        listing = await self._store.list(prefix, keys_only=True)
        ids = [keys.parts(item.key, prefix)[0] for item in reversed(listing.items)]
        if request.page_token:
            ids = [identifier for identifier in ids if identifier < request.page_token]
        page: list[Operation] = []
        for start in range(0, len(ids), READ_AT_ONCE):
            chunk = ids[start : start + READ_AT_ONCE]
            read = (self._store.get(keys.record(tenant, identifier)) for identifier in chunk)
            for position, item in enumerate(await asyncio.gather(*read), start):
                operation = _operation(item) if item is not None else None
                if operation is not None and _matches(operation, request):
                    page.append(operation)
                if len(page) == size:
                    token = ids[position] if position + 1 < len(ids) else ""
                    return provisioning_pb2.ListOperationsResponse(operations=page, next_page_token=token)
        return provisioning_pb2.ListOperationsResponse(operations=page)

    async def resources(
        self, request: provisioning_pb2.ListResourcesRequest
    ) -> provisioning_pb2.ListResourcesResponse:
        """Answer a page of resources in the order of their ids."""
        tenant, size = requests.parent(request.parent), requests.page_size(request.page_size)
        _check_token(request.page_token, RESOURCE.pattern.fullmatch(request.page_token) is not None)
        after = keys.resource(tenant, request.page_token) if request.page_token else ""
        page: list[Resource] = []
        while True:
            listing = await self._store.list(keys.resources_of(tenant), limit=READ_AT_ONCE, start_after=after)
            for position, item in enumerate(listing.items):
                after = item.key
                resource = decode(Resource, item.value, key=item.key)
                resource.etag = str(item.mod_revision)
                if request.workload in ("", resource.workload):
                    page.append(resource)
                if len(page) == size:
                    more = listing.more or position + 1 < len(listing.items)
                    token = ResourceName.parse(resource.name).resource if more else ""
                    return provisioning_pb2.ListResourcesResponse(resources=page, next_page_token=token)
            if not listing.more:
                return provisioning_pb2.ListResourcesResponse(resources=page)

    def route(self, request: provisioning_pb2.ExplainRouteRequest) -> provisioning_pb2.ExplainRouteResponse:
        """Say which chain a key would get, and why; whether it is eligible only where attributes are given.

        Raises:
            NotFoundError: There is no such workload.
            InvalidArgumentError: The attributes are too large, or no values.
        """
        workload = workload_id(request.workload, "workload")
        table = self._tables.table
        attributes = requests.attributes_asked(request)
        routed = choose_by_key(table, workload, request.key, attributes)
        enrolment = table.enrolments.get(workload)
        experiments = enrolment.explain(request.key, attributes) if enrolment is not None else []
        enrolled = routed.enrolled.experiment if routed.enrolled else ""
        taken = next((one for one in experiments if one.experiment == enrolled), None)
        by = taken or routed.route
        return provisioning_pb2.ExplainRouteResponse(
            chain=routed.chain,
            arm=routed.arm,
            bucket=routed.bucket,
            seed=by.seed,
            hash_version=by.hash_version,
            experiments=experiments,
            share_start=routed.start,
            share_end=routed.end,
            table_revision=table.revision,
            reason=routed.reason + NOT_ASKED * bool(taken and taken.eligibility_not_asked),
        )


def _operation(item: KeyValue) -> Operation:
    operation = decode(Operation, item.value, key=item.key)
    operation.etag = str(item.mod_revision)
    del operation.events[:]
    return operation


def _matches(operation: Operation, request: provisioning_pb2.ListOperationsRequest) -> bool:
    return (
        request.workload in ("", operation.workload)
        and request.resource in ("", operation.resource)
        and (not request.states or operation.state in request.states)
    )


def _check_token(token: str, fits: bool) -> None:  # noqa: FBT001 - a fact about the token
    if token and not fits:
        told = "this is no page token; leave it out to begin at the first page"
        raise InvalidArgumentError(
            told,
            reason="INVALID_PAGE_TOKEN",
            violations=[Violation("page_token", told, "INVALID_PAGE_TOKEN")],
        )
