"""A chain switch in words: its line in a table, its timeline, and following it to its end.

`enchain.cli.commands.switching` and `…commands.switches` call it. It decides nothing.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from enchain.chains.errors import NotFoundError, PeerError
from enchain.cli import exits
from enchain.cli.output import age, enum_word, last, table
from enchain.client import Client
from enchain.process.statuses import from_rpc_error
from enchain.v1 import chain_pb2

Switch = chain_pb2.ChainSwitch

ENDS = frozenset({Switch.STATE_DONE, Switch.STATE_ROLLED_BACK})
AHEAD = frozenset(
    {Switch.STATE_VALIDATING, Switch.STATE_WARMING, Switch.STATE_ACTIVATING, Switch.STATE_CONVERGING}
)
"""States in which not every router is known to follow."""

ATTEMPTS_MAX = 30
"""How often a stream that broke is begun again without news in between."""

RETRY_SECONDS = 1.0

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


def read_duration(context: click.Context, parameter: click.Parameter, text: str | None) -> timedelta | None:
    """Read `90s`, `5m` or `1h30m`; click calls it."""
    del context, parameter
    if text is None:
        return None
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise click.BadParameter(f"“{text}” is no duration; write it as 90s, 5m or 1h30m.")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def origin(switch: Switch) -> chain_pb2.Route:
    """Answer where a switch found the route."""
    route: chain_pb2.Route = getattr(switch, "from")
    return route


def chains_word(route: chain_pb2.Route) -> str:
    """Name the chains of a route, and how much each gets where there are several."""
    shares = route.shares
    if len(shares) == 1:
        return last(shares[0].chain)
    return ", ".join(f"{last(share.chain)} ({share.end - share.start})" for share in shares)


def state_word(switch: Switch) -> str:
    """Write the state as people say it."""
    return enum_word(Switch.State, switch.state, "STATE_")


def why(switch: Switch) -> str:
    """Say why it was made or undone."""
    return switch.rollback_reason or switch.reason


COLUMNS: dict[str, Callable[[Any], str]] = {
    "switch": lambda s: last(s.name),
    "state": state_word,
    "from": lambda s: chains_word(origin(s)),
    "to": lambda s: chains_word(s.to),
    "age": lambda s: age(s.create_time),
    "by": lambda s: s.actor.subject or "-",
    "why": why,
}


def print_impact(impact: chain_pb2.SwitchImpact) -> None:
    """Print whom a switch touches."""
    click.echo(f"  operations running on the old chain: {impact.operations_running}")
    click.echo(f"  resources that stay on the old chain: {impact.resources_bound}")
    for gap in impact.gaps:
        click.echo(f"  gap: {gap}")
    for difference in impact.differences:
        click.echo(f"  differs: {difference}")
    for each in impact.launched:
        click.echo(f"  starts: {each.count} of {each.engine} {each.version}")
    for each in impact.drained:
        click.echo(f"  stops once drained: {each.count} of {each.engine} {each.version}")
    if impact.HasField("p95_after"):
        before = f", {_seconds(impact.p95_before)} now" if impact.HasField("p95_before") else ""
        click.echo(f"  predicted p95: {_seconds(impact.p95_after)}{before}")
    if impact.HasField("cost_per_request_change"):
        click.echo(f"  predicted cost of a request: {impact.cost_per_request_change:+.4g}")


def _seconds(duration: Any) -> str:
    return f"{duration.ToTimedelta().total_seconds():.3g} s"


def print_switch(switch: Switch) -> None:
    """Print a switch whole: what it is, its timeline, what was measured."""
    for line in _head(switch):
        click.echo(line)
    click.echo()
    table(_timeline(switch), ["state", "at", "took", "leader", "found"])


def _head(switch: Switch) -> Iterator[str]:
    yield f"{switch.name.removeprefix('workloads/').replace('/switches/', '/')}: {state_word(switch)}"
    yield f"  {chains_word(origin(switch))} → {chains_word(switch.to)}"
    if switch.reason:
        yield f"  reason: {switch.reason}"
    if switch.rollback_of:
        yield f"  undoes: {switch.rollback_of}"
    if switch.rollback_reason:
        yield f"  rolled back: {switch.rollback_reason}"
    if switch.abort_requested and switch.state not in ENDS:
        yield "  its end was asked for"
    if switch.HasField("deadline"):
        yield f"  this state must be left by {_clock(switch.deadline)}"
    if switch.watch_timeout.ToTimedelta() and switch.HasField("activate_time"):
        end = switch.activate_time.ToDatetime(UTC) + switch.watch_timeout.ToTimedelta()
        yield f"  watched until {end:%H:%M:%SZ}"
    if switch.HasField("evidence"):
        yield f"  evidence: {switch.evidence.verdict}: {switch.evidence.description}"


def _timeline(switch: Switch) -> list[list[str]]:
    phases = switch.phases
    rows = []
    for number, phase in enumerate(phases):
        took = ""
        if number + 1 < len(phases):
            gone = phases[number + 1].start_time.ToDatetime(UTC) - phase.start_time.ToDatetime(UTC)
            took = f"{gone.total_seconds():.3f} s"
        elif switch.state not in ENDS:
            took = f"{(datetime.now(UTC) - phase.start_time.ToDatetime(UTC)).total_seconds():.0f} s so far"
        rows.append([*_phase_words(phase), took, last(phase.leader), phase.description])
    return rows


def _phase_words(phase: chain_pb2.SwitchPhase) -> list[str]:
    return [enum_word(Switch.State, phase.state, "STATE_"), _clock(phase.start_time)]


def _clock(time: Timestamp) -> str:
    return f"{time.ToDatetime(UTC):%H:%M:%S.%f}"[:-3] + "Z"


async def newest(client: Client, workload: str) -> Switch:
    """Answer the newest switch of a workload.

    Raises:
        NotFoundError: It was never switched.
    """
    page = await client.chains.ListChainSwitches(
        chain_pb2.ListChainSwitchesRequest(parent=f"workloads/{workload}", page_size=1)
    )
    if not page.chain_switches:
        raise NotFoundError(
            f"workloads/{workload} was never switched", reason="SWITCH_NOT_FOUND", metadata={"name": workload}
        )
    return page.chain_switches[0]


async def found(client: Client, name: str) -> Switch:
    """Answer the switch WORKLOAD/SWITCH, or the newest of WORKLOAD."""
    workload, slash, switch = name.partition("/")
    if not slash:
        return await newest(client, workload)
    full = f"workloads/{workload}/switches/{switch}"
    return await client.chains.GetChainSwitch(chain_pb2.GetChainSwitchRequest(name=full))


async def follow(client: Client, name: str) -> Switch:
    """Follow a switch to its end, a line on standard error for each state that it comes to.

    Raises:
        EnchainError: There is no such switch, or no control plane answers for long.
    """
    told, newest_seen = 0, Switch()
    async for switch in _changes(client, name):
        for phase in switch.phases[told:]:
            state, at = _phase_words(phase)
            click.echo(f"{at}  {state}: {phase.description}", err=True)
        told, newest_seen = len(switch.phases), switch
    return newest_seen


async def _changes(client: Client, name: str) -> AsyncIterator[Switch]:
    failures = 0
    while True:
        try:
            request = chain_pb2.WatchChainSwitchRequest(name=name)
            async for switch in client.chains.WatchChainSwitch(request):
                failures = 0
                yield switch
                if switch.state in ENDS:
                    return
        except grpc.aio.AioRpcError as failure:
            error = from_rpc_error(failure)
            if not isinstance(error, PeerError) or failures >= ATTEMPTS_MAX:
                raise error from failure
        failures += 1
        await asyncio.sleep(RETRY_SECONDS)


def outcome(switch: Switch) -> int:
    """Answer the exit code for a switch that has ended."""
    return exits.FAILED if switch.state == Switch.STATE_ROLLED_BACK else exits.OK
