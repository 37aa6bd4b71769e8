"""Planned events over gRPC, on real etcd. What an event must be is in tests/unit/controlplane."""

import asyncio
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from controlplane.catalog import events
from enchain.chains.errors import (
    AlreadyExistsError,
    ConflictError,
    ExhaustedError,
    InvalidArgumentError,
    NotFoundError,
)
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import Put, put
from enchain.v1 import event_pb2, event_pb2_grpc, presence_pb2, workload_pb2
from tests.harness.controlplane import Plane, refusal
from tests.harness.site import PARENT

NOON = 1_800_014_400


def stub(plane: Plane) -> Any:
    return event_pb2_grpc.PlannedEventServiceStub(plane.channel)


def campaign(start: int = NOON, **fields: Any) -> event_pb2.PlannedEvent:
    return event_pb2.PlannedEvent(
        type="campaign",
        start_time=Timestamp(seconds=start),
        end_time=Timestamp(seconds=start + 3600),
        **fields,
    )


async def create(
    plane: Plane, event: event_pb2.PlannedEvent, event_id: str = "launch", **fields: Any
) -> event_pb2.PlannedEvent:
    made: event_pb2.PlannedEvent = await stub(plane).CreatePlannedEvent(
        event_pb2.CreatePlannedEventRequest(
            parent=fields.pop("parent", PARENT), event_id=event_id, event=event, **fields
        )
    )
    return made


async def get(plane: Plane, event_id: str = "launch") -> Any:
    return await stub(plane).GetPlannedEvent(
        event_pb2.GetPlannedEventRequest(name=f"{PARENT}/plannedEvents/{event_id}")
    )


async def update(plane: Plane, event: event_pb2.PlannedEvent, **fields: Any) -> Any:
    event.name = event.name or f"{PARENT}/plannedEvents/launch"
    return await stub(plane).UpdatePlannedEvent(event_pb2.UpdatePlannedEventRequest(event=event, **fields))


async def delete(plane: Plane, event_id: str = "launch", **fields: Any) -> Any:
    return await stub(plane).DeletePlannedEvent(
        event_pb2.DeletePlannedEventRequest(name=f"{PARENT}/plannedEvents/{event_id}", **fields)
    )


async def test_an_event_is_written_and_read_back(saved: Plane) -> None:
    made = await create(saved, campaign(expected_uplift=3.0, description="Launch"))

    assert made.name == f"{PARENT}/plannedEvents/launch"
    assert made.etag
    assert made.create_time == made.update_time
    assert await get(saved) == made


async def test_an_uplift_that_was_left_out_stays_left_out(saved: Plane) -> None:
    await create(saved, campaign())

    assert not (await get(saved)).HasField("expected_uplift")


async def test_creating_the_same_again_writes_nothing(saved: Plane) -> None:
    made = await create(saved, campaign())
    before = await saved.contents()

    assert await create(saved, campaign()) == made
    assert await saved.contents() == before


async def test_another_of_the_same_name_is_refused(saved: Plane) -> None:
    await create(saved, campaign())

    error = await refusal(create(saved, campaign(NOON + 60)))

    assert isinstance(error, AlreadyExistsError)


async def test_an_event_of_a_workload_that_is_not_there_is_refused(saved: Plane) -> None:
    error = await refusal(create(saved, campaign(), parent="workloads/nothing"))

    assert isinstance(error, NotFoundError)
    assert error.reason == "WORKLOAD_NOT_FOUND"


async def test_a_wrong_event_is_refused_with_its_place_and_not_written(saved: Plane) -> None:
    before = await saved.contents()

    error = await refusal(create(saved, campaign(expected_uplift=-1.0)))
    misnamed = await refusal(create(saved, campaign(name=f"{PARENT}/plannedEvents/other")))
    no_id = await refusal(create(saved, campaign(), event_id="No Id"))

    assert isinstance(error, InvalidArgumentError)
    assert [fault.field for fault in error.violations] == ["event.expected_uplift"]
    assert [fault.field for fault in misnamed.violations] == ["event.name"]
    assert [fault.field for fault in no_id.violations] == ["event_id"]
    assert await saved.contents() == before


async def test_validating_checks_everything_and_writes_nothing(saved: Plane) -> None:
    before = await saved.contents()

    answer = await create(saved, campaign(), validate_only=True)
    missing = await refusal(create(saved, campaign(), parent="workloads/nothing", validate_only=True))

    assert answer.name == f"{PARENT}/plannedEvents/launch"
    assert isinstance(missing, NotFoundError)
    assert await saved.contents() == before


async def test_an_update_replaces_the_whole_and_keeps_when_it_was_created(saved: Plane) -> None:
    made = await create(saved, campaign(expected_uplift=3.0))

    updated = await update(saved, campaign(NOON + 60))

    assert updated.create_time == made.create_time
    assert not updated.HasField("expected_uplift")
    assert updated.etag != made.etag
    assert await get(saved) == updated


async def test_an_update_of_what_is_missing_is_allowed_only_where_it_says_so(saved: Plane) -> None:
    error = await refusal(update(saved, campaign()))
    made = await update(saved, campaign(), allow_missing=True)

    assert isinstance(error, NotFoundError)
    assert await get(saved) == made


async def test_a_stale_etag_is_refused(saved: Plane) -> None:
    made = await create(saved, campaign())
    await update(saved, campaign(NOON + 60))

    stale = await refusal(update(saved, campaign(etag=made.etag)))
    stale_deletion = await refusal(delete(saved, etag=made.etag))

    assert isinstance(stale, ConflictError)
    assert isinstance(stale_deletion, ConflictError)


async def test_an_event_is_deleted_and_is_gone(saved: Plane) -> None:
    made = await create(saved, campaign())

    await delete(saved, etag=made.etag, validate_only=True)
    await delete(saved, etag=made.etag)

    assert isinstance(await refusal(get(saved)), NotFoundError)
    assert isinstance(await refusal(delete(saved)), NotFoundError)


async def test_every_change_leaves_a_record_of_who_what_and_before(saved: Plane) -> None:
    await create(saved, campaign(), request_id="one")
    await update(saved, campaign(NOON + 60), request_id="two")
    await delete(saved, request_id="three")

    items = (await saved.store.list(keys.AUDIT)).items
    records = [decode(presence_pb2.AuditRecord, item.value) for item in items]
    told = {
        each.request_id: (each.method.rpartition("/")[2], each.HasField("before"), each.HasField("after"))
        for each in records
        if each.target == f"{PARENT}/plannedEvents/launch"
    }
    assert told == {
        "one": ("CreatePlannedEvent", False, True),
        "two": ("UpdatePlannedEvent", True, True),
        "three": ("DeletePlannedEvent", True, False),
    }


async def test_events_are_listed_by_their_start_in_pages(saved: Plane) -> None:
    for event_id, start in (("late", 300), ("early", 100), ("middle", 200)):
        await create(saved, campaign(NOON + start), event_id)

    first = await stub(saved).ListPlannedEvents(
        event_pb2.ListPlannedEventsRequest(parent=PARENT, page_size=2)
    )
    rest = await stub(saved).ListPlannedEvents(
        event_pb2.ListPlannedEventsRequest(parent=PARENT, page_size=2, page_token=first.next_page_token)
    )
    of_all = await stub(saved).ListPlannedEvents(event_pb2.ListPlannedEventsRequest(parent="workloads/-"))
    other = await refusal(
        stub(saved).ListPlannedEvents(
            event_pb2.ListPlannedEventsRequest(parent="workloads/-", page_token=first.next_page_token)
        )
    )

    listed = [event.name.rpartition("/")[2] for event in [*first.events, *rest.events]]
    assert listed == ["early", "middle", "late"]
    assert rest.next_page_token == ""
    assert list(of_all.events) == [*first.events, *rest.events]
    assert isinstance(other, InvalidArgumentError)


async def test_a_workload_takes_so_many_events_and_says_what_to_do(saved: Plane) -> None:
    written = [
        Put(keys.planned_event("site", f"e{number}"), encode(campaign(NOON + number)))
        for number in range(events.EVENTS_MAX)
    ]
    for start in range(0, len(written), 100):
        await put(saved.store, written[start : start + 100])

    full = await refusal(create(saved, campaign()))
    changed = await update(saved, campaign(NOON + 7, description="new", name=f"{PARENT}/plannedEvents/e7"))

    assert isinstance(full, ExhaustedError)
    assert "Delete the oldest" in full.remedy
    assert changed.description == "new"


async def test_two_at_once_make_one_event(saved: Plane) -> None:
    made = await asyncio.gather(*(create(saved, campaign()) for _ in range(4)))

    assert len({event.etag for event in made}) == 1


async def test_one_bad_document_does_not_hide_the_good_ones(saved: Plane) -> None:
    await create(saved, campaign())
    await put(saved.store, [Put(keys.planned_event("site", "bad"), b"no json")])

    found = await stub(saved).ListPlannedEvents(event_pb2.ListPlannedEventsRequest(parent=PARENT))

    assert [event.name for event in found.events] == [f"{PARENT}/plannedEvents/launch"]


async def test_a_deleted_workload_takes_its_events_along(saved: Plane) -> None:
    await create(saved, campaign())

    await saved.workloads.DeleteWorkload(workload_pb2.DeleteWorkloadRequest(name=PARENT))

    assert (await saved.store.list(keys.EVENTS)).items == ()
