"""`enchain.v1.PlannedEventService`: requests to calls of the catalogue of planned events, answers back.

`controlplane.main` registers it. Nothing is decided here.
"""

from controlplane.catalog.events import EventCatalog
from controlplane.catalog.paging import page_of
from controlplane.rpc.callers import Context, caller_of
from enchain.chains import names
from enchain.v1 import event_pb2, event_pb2_grpc

SERVICE = "enchain.v1.PlannedEventService"


class PlannedEventServicer(event_pb2_grpc.PlannedEventServiceServicer):
    """Serves the planned events.

    Args:
        catalog: What is served.
    """

    def __init__(self, catalog: EventCatalog) -> None:
        self._catalog = catalog

    async def CreatePlannedEvent(  # noqa: N802 - the method's name on the wire
        self, request: event_pb2.CreatePlannedEventRequest, context: Context
    ) -> event_pb2.PlannedEvent:
        """Write a new event."""
        name = names.PlannedEventName(
            names.workload_id(request.parent, "parent"),
            names.check_id(names.EVENT, request.event_id, "event_id"),
        )
        return await self._catalog.create(
            name,
            request.event,
            caller_of(context, f"{SERVICE}/CreatePlannedEvent", request.request_id),
            validate_only=request.validate_only,
        )

    async def GetPlannedEvent(  # noqa: N802 - the method's name on the wire
        self, request: event_pb2.GetPlannedEventRequest, context: Context
    ) -> event_pb2.PlannedEvent:
        """Answer one event."""
        del context
        return await self._catalog.get(names.PlannedEventName.parse(request.name))

    async def ListPlannedEvents(  # noqa: N802 - the method's name on the wire
        self, request: event_pb2.ListPlannedEventsRequest, context: Context
    ) -> event_pb2.ListPlannedEventsResponse:
        """Answer a page of events, by their start."""
        del context
        workload = names.workload_id(request.parent, "parent", every=True)
        events, token = await self._catalog.list(
            "" if workload == names.EVERY else workload,
            page_of(f"ListPlannedEvents {request.parent}", request.page_size, request.page_token),
        )
        return event_pb2.ListPlannedEventsResponse(events=events, next_page_token=token)

    async def UpdatePlannedEvent(  # noqa: N802 - the method's name on the wire
        self, request: event_pb2.UpdatePlannedEventRequest, context: Context
    ) -> event_pb2.PlannedEvent:
        """Replace an event."""
        return await self._catalog.update(
            request.event,
            caller_of(context, f"{SERVICE}/UpdatePlannedEvent", request.request_id),
            allow_missing=request.allow_missing,
            validate_only=request.validate_only,
        )

    async def DeletePlannedEvent(  # noqa: N802 - the method's name on the wire
        self, request: event_pb2.DeletePlannedEventRequest, context: Context
    ) -> event_pb2.DeletePlannedEventResponse:
        """Delete an event."""
        await self._catalog.delete(
            names.PlannedEventName.parse(request.name),
            request.etag,
            caller_of(context, f"{SERVICE}/DeletePlannedEvent", request.request_id),
            validate_only=request.validate_only,
        )
        return event_pb2.DeletePlannedEventResponse()
