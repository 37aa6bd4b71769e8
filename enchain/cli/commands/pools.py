"""`enchain pools` and `enchain scale`: how many instances of an engine run, and setting it."""

from collections.abc import Callable

import click
import grpc

from enchain.cli.output import last, output_option, show
from enchain.cli.running import run
from enchain.client import Client
from enchain.client.client import new_request_id
from enchain.v1 import pool_pb2


def target(pool: pool_pb2.Pool) -> str:
    """Write how many are kept: `3`, `3 (pinned)`, or `-` where nobody has set it and others run them."""
    if pool.pinned:
        return f"{pool.wanted} (pinned)"
    return str(pool.wanted) if pool.set_by or pool.launchable else "-"


def why(pool: pool_pb2.Pool) -> str:
    """Write what they are kept for."""
    return pool.wanted_reason or ("" if pool.launchable else "run by others")


POOL_COLUMNS: dict[str, Callable[[pool_pb2.Pool], object]] = {
    "engine": lambda p: p.name.split("/")[1],
    "version": lambda p: last(p.name),
    "target": target,
    "ready": lambda p: p.ready,
    "starting": lambda p: p.starting,
    "draining": lambda p: p.draining,
    "why": why,
    "problem": lambda p: p.problem,
}


@click.command()
@click.argument("engine", default="-")
@output_option
def pools(engine: str, output: str) -> None:
    """List the pools of ENGINE, or of all: how many instances of each version are kept, and what is there."""

    async def work(client: Client) -> None:
        found: list[pool_pb2.Pool] = []
        token, more = "", True
        while more:
            request = pool_pb2.ListPoolsRequest(parent=f"engines/{engine}", page_token=token)
            page = await client.pools.ListPools(request)
            found.extend(page.pools)
            token = page.next_page_token
            more = bool(token)
        show(found, POOL_COLUMNS, output)

    run(work, output=output)


@click.command()
@click.argument("engine", metavar="ENGINE[@VERSION]")
@click.argument("count", metavar="N", type=click.IntRange(min=0))
@click.option("--pin/--unpin", default=None, help="Let no plan change it, or let plans change it again.")
@click.option("--reason", default="", help="Why; it is shown with the pool and kept in the audit.")
@click.option("--dry-run", is_flag=True, help="Check it, change nothing.")
@output_option
def scale(engine: str, count: int, pin: bool | None, reason: str, dry_run: bool, output: str) -> None:
    """Keep N instances of ENGINE: of the version that its command has, unless another one is named.

    Plans may change it later, and demand, routes and chain switches lift it; pinned, none of them does.
    """
    name, _, version = engine.partition("@")
    full = f"engines/{name}/pools/{version or '-'}"

    async def work(client: Client) -> None:
        pinned = (await _pinned(client, full)) if pin is None else pin
        request = pool_pb2.UpdatePoolRequest(
            pool=pool_pb2.Pool(name=full, target=count, pinned=pinned),
            reason=reason,
            validate_only=dry_run,
            request_id=new_request_id(),
        )
        answer = await client.pools.UpdatePool(request)
        show([answer], POOL_COLUMNS, output)

    run(work, output=output)


async def _pinned(client: Client, name: str) -> bool:
    """Say whether a pool is pinned now; one that is not there yet is not."""
    try:
        return (await client.pools.GetPool(pool_pb2.GetPoolRequest(name=name))).pinned
    except grpc.aio.AioRpcError as failure:
        if failure.code() is grpc.StatusCode.NOT_FOUND:
            return False
        raise
