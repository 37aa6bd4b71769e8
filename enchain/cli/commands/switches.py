"""`enchain switches`, `switch show`, `switch abort`, `pin` and `unpin`: look at switches, and step in."""

import click

from enchain.cli import exits
from enchain.cli.output import dump, last, output_option, plain, show
from enchain.cli.running import run
from enchain.cli.switches import COLUMNS, found, outcome, print_switch
from enchain.cli.switches import follow as follow_to_the_end
from enchain.client import Client
from enchain.client.client import new_request_id
from enchain.v1 import chain_pb2

_reason = click.option("--reason", default="", help="Why; it is kept in the audit.")
_etag = click.option("--etag", default="", help="Only if the route is still as read.")


@click.command()
@click.argument("workload")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@output_option
def switches(workload: str, limit: int, output: str) -> None:
    """List the switches of WORKLOAD, newest first."""

    async def work(client: Client) -> None:
        page = await client.chains.ListChainSwitches(
            chain_pb2.ListChainSwitchesRequest(parent=f"workloads/{workload}", page_size=limit)
        )
        show(list(page.chain_switches), COLUMNS, output)

    run(work, output=output)


@click.command("show")
@click.argument("switch", metavar="WORKLOAD[/SWITCH]")
@click.option("--watch", is_flag=True, help="Follow it to its end; exit code 1 where it is rolled back.")
@output_option
def show_switch(switch: str, watch: bool, output: str) -> None:
    """Show the newest switch of a workload, or the one that is named, with its timeline."""

    async def work(client: Client) -> int:
        shown = await found(client, switch)
        if watch:
            shown = await follow_to_the_end(client, shown.name)
        print_answer(shown, output)
        return outcome(shown) if watch else exits.OK

    run(work, output=output)


@click.command()
@click.argument("switch", metavar="WORKLOAD[/SWITCH]")
@_reason
@output_option
def abort(switch: str, reason: str, output: str) -> None:
    """End a switch: one that has not moved the route is dropped, one that has is undone."""

    async def work(client: Client) -> None:
        named = (await found(client, switch)).name
        request = chain_pb2.AbortChainSwitchRequest(name=named, reason=reason, request_id=new_request_id())
        answer = await client.chains.AbortChainSwitch(request)
        print_answer(answer, output)
        if output == "table":
            short = named.removeprefix("workloads/").replace("/switches/", "/")
            click.echo(f"follow it: enchain switch show {short} --watch", err=True)

    run(work, output=output)


@click.command()
@click.argument("workload")
@_reason
@_etag
@output_option
def pin(workload: str, reason: str, etag: str, output: str) -> None:
    """Hold WORKLOAD's route where it is: no plan moves it, and whoever switches must unpin it first."""

    async def work(client: Client) -> None:
        request = chain_pb2.PinRouteRequest(
            name=f"workloads/{workload}/route", etag=etag, reason=reason, request_id=new_request_id()
        )
        route = await client.chains.PinRoute(request)
        if output != "table":
            dump(plain(route), output)
            return
        who, why = route.pin.actor.subject or "somebody", route.pin.reason or "no reason given"
        click.echo(f"pinned: {workload} stays on {_chains(route)} ({who}: {why})")

    run(work, output=output)


@click.command()
@click.argument("workload")
@_reason
@_etag
@output_option
def unpin(workload: str, reason: str, etag: str, output: str) -> None:
    """Let WORKLOAD's route be moved again."""

    async def work(client: Client) -> None:
        request = chain_pb2.UnpinRouteRequest(
            name=f"workloads/{workload}/route", etag=etag, reason=reason, request_id=new_request_id()
        )
        route = await client.chains.UnpinRoute(request)
        if output != "table":
            dump(plain(route), output)
            return
        click.echo(f"unpinned: {workload} is on {_chains(route)}")

    run(work, output=output)


def print_answer(switch: chain_pb2.ChainSwitch, output: str) -> None:
    """Print one switch as it is asked for."""
    if output == "table":
        print_switch(switch)
    else:
        dump(plain(switch), output)


def _chains(route: chain_pb2.Route) -> str:
    return ", ".join(dict.fromkeys(last(share.chain) for share in route.shares))
