"""`enchain events`: plan what will move demand. `kind: PlannedEvent` documents do the same from files."""

from datetime import UTC, datetime

import click
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from enchain.cli.output import last, output_option, show
from enchain.cli.planning import BadWordError, read_time, read_uplift
from enchain.cli.running import run
from enchain.client import Client
from enchain.client.client import new_request_id
from enchain.v1 import event_pb2


def written(time: Timestamp) -> str:
    """Write a time in UTC, to the minute where it is a whole one."""
    at = time.ToDatetime(UTC)
    return at.strftime("%Y-%m-%d %H:%MZ" if not at.second else "%Y-%m-%d %H:%M:%SZ")


def uplift(event: event_pb2.PlannedEvent) -> str:
    """Write what is expected: `3x`, or that it is learned."""
    return f"{event.expected_uplift:g}x" if event.HasField("expected_uplift") else "learn"


def standing(event: event_pb2.PlannedEvent, now: datetime | None = None) -> str:
    """Say whether an event is over, on, or to come."""
    now = now or datetime.now(UTC)
    if event.end_time.ToDatetime(UTC) <= now:
        return "over"
    return "on" if event.start_time.ToDatetime(UTC) <= now else "to come"


EVENT_COLUMNS = {
    "event": lambda e: e.name.removeprefix("workloads/").replace("/plannedEvents/", "/"),
    "type": lambda e: e.type,
    "start": lambda e: written(e.start_time),
    "end": lambda e: written(e.end_time),
    "uplift": uplift,
    "standing": standing,
}


def event_name(name: str) -> str:
    """Answer the full name of WORKLOAD/EVENT."""
    workload, slash, event = name.partition("/")
    if not slash:
        raise click.UsageError("an event is named WORKLOAD/EVENT.")
    return f"workloads/{workload}/plannedEvents/{event}"


async def events_page(client: Client, workload: str, token: str) -> tuple[list[Message], str]:
    """Answer a page of the events of a workload, or of all with `-`, and the next token."""
    page = await client.events.ListPlannedEvents(
        event_pb2.ListPlannedEventsRequest(parent=f"workloads/{workload}", page_token=token)
    )
    return list(page.events), page.next_page_token


def _time(_: click.Context, __: click.Parameter, value: str) -> datetime:
    try:
        return read_time(value)
    except BadWordError as error:
        raise click.BadParameter(str(error)) from error


def _uplift(_: click.Context, __: click.Parameter, value: str) -> float | None:
    try:
        return read_uplift(value)
    except BadWordError as error:
        raise click.BadParameter(str(error)) from error


@click.group()
def events() -> None:
    """Plan what will move demand: campaigns, launches, matches. Forecasts take it in at their next refresh.

    An event that is over is kept: it is what the next of its type is learned from.
    """


@events.command()
@click.argument("workload")
@click.argument("name")
@click.option("--type", "kind", required=True, help="Events of one type are learned from together.")
@click.option("--start", metavar="TIME", callback=_time, required=True, help="Such as 2026-12-01T09:00:00Z.")
@click.option("--end", metavar="TIME", callback=_time, required=True, help="After the start.")
@click.option(
    "--uplift", "expected", callback=_uplift, default="learn", show_default=True, metavar="3x|0.5|learn",
    help="What demand is multiplied by; learn: from past events of the type.",
)  # fmt: skip
@click.option("--description", default="", help="For people.")
@click.option("--dry-run", is_flag=True, help="Check everything, save nothing.")
@output_option
def create(
    workload: str,
    name: str,
    kind: str,
    start: datetime,
    end: datetime,
    expected: float | None,
    description: str,
    dry_run: bool,
    output: str,
) -> None:
    """Plan an event NAME of WORKLOAD. Doing it again changes nothing; `enchain apply` also changes one."""
    event = event_pb2.PlannedEvent(type=kind, description=description, expected_uplift=expected)
    event.start_time.FromDatetime(start)
    event.end_time.FromDatetime(end)

    async def work(client: Client) -> None:
        request = event_pb2.CreatePlannedEventRequest(
            parent=f"workloads/{workload}",
            event_id=name,
            event=event,
            validate_only=dry_run,
            request_id=new_request_id(),
        )
        show([await client.events.CreatePlannedEvent(request)], EVENT_COLUMNS, output)

    run(work, output=output)


@events.command("list")
@click.argument("workload", default="-")
@output_option
def list_events(workload: str, output: str) -> None:
    """List the events of WORKLOAD, or of all, by their start."""

    async def work(client: Client) -> None:
        found, token = await events_page(client, workload, "")
        while token:
            page, token = await events_page(client, workload, token)
            found.extend(page)
        show(found, EVENT_COLUMNS, output)

    run(work, output=output)


@events.command()
@click.argument("workload")
@click.argument("name")
@output_option
def delete(workload: str, name: str, output: str) -> None:
    """Delete the event NAME of WORKLOAD. What was learned from it stays."""

    async def work(client: Client) -> None:
        full = event_name(f"{workload}/{name}")
        event = await client.events.GetPlannedEvent(event_pb2.GetPlannedEventRequest(name=full))
        request = event_pb2.DeletePlannedEventRequest(name=full, etag=event.etag, request_id=new_request_id())
        await client.events.DeletePlannedEvent(request)
        if output == "table":
            click.echo(f"deleted event {workload}/{last(full)}")
        else:
            show([event], EVENT_COLUMNS, output)

    run(work, output=output)
