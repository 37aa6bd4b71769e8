"""`enchain switch`, `rollback`, `convergence` and `explain`: where requests go, and moving them."""

import asyncio

import click

from enchain.cli import exits
from enchain.cli.output import dump, enum_word, last, output_option, plain, table
from enchain.cli.running import run
from enchain.client import Client
from enchain.v1 import chain_pb2

_reason = click.option("--reason", default="", help="Why; it is kept in the audit.")
_dry_run = click.option("--dry-run", is_flag=True, help="Say whom it would touch; move nothing.")
_etag = click.option("--etag", default="", help="Move it only if the route is still as read.")
_wait = click.option(
    "--wait", type=float, default=10.0, show_default=True, metavar="SECONDS",
    help="How long to wait until every live router follows; 0 does not wait.",
)  # fmt: skip

_POLL_SECONDS = 0.1


@click.command()
@click.argument("workload")
@click.argument("chain")
@_reason
@_etag
@_dry_run
@_wait
@output_option
def switch(
    workload: str, chain: str, reason: str, etag: str, dry_run: bool, wait: float, output: str
) -> None:
    """Move WORKLOAD's route to CHAIN (its newest revision, or NAME@REVISION). Resources keep theirs."""

    async def work(client: Client) -> int:
        answer = await client.chains.SwitchChain(
            chain_pb2.SwitchChainRequest(
                name=f"workloads/{workload}/route",
                chain=f"workloads/{workload}/chains/{chain}",
                etag=etag,
                reason=reason,
                validate_only=dry_run,
            )
        )
        return await _after(client, workload, answer, dry_run=dry_run, wait_seconds=wait, output=output)

    run(work, output=output)


@click.command()
@click.argument("workload")
@_reason
@_etag
@_dry_run
@_wait
@output_option
def rollback(workload: str, reason: str, etag: str, dry_run: bool, wait: float, output: str) -> None:
    """Move WORKLOAD's route back to where the last switch found it."""

    async def work(client: Client) -> int:
        answer = await client.chains.RollbackChain(
            chain_pb2.RollbackChainRequest(
                name=f"workloads/{workload}/route", etag=etag, reason=reason, validate_only=dry_run
            )
        )
        return await _after(client, workload, answer, dry_run=dry_run, wait_seconds=wait, output=output)

    run(work, output=output)


@click.command()
@click.argument("workload")
@output_option
def convergence(workload: str, output: str) -> None:
    """Show which live routers follow WORKLOAD's route as it stands."""

    async def work(client: Client) -> int:
        answer = await _convergence(client, workload)
        if output == "table":
            rows = [
                [last(r.router), r.address, "yes" if r.converged else "no", r.refusal] for r in answer.routers
            ]
            table(rows, ["router", "address", "converged", "refusal"])
        else:
            dump(plain(answer), output)
        return exits.OK if answer.converged else exits.FAILED

    run(work, output=output)


@click.command()
@click.argument("workload")
@click.option("--key", required=True, help="What the cohort is hashed from, such as a resource's id.")
@output_option
def explain(workload: str, key: str, output: str) -> None:
    """Say which chain of WORKLOAD a key gets, and why."""

    async def work(client: Client) -> None:
        answer = await client.explain_route(workload, key)
        if output == "table":
            click.echo(answer.reason)
        else:
            dump(plain(answer), output)

    run(work, output=output)


async def _convergence(client: Client, workload: str) -> chain_pb2.Convergence:
    return await client.chains.GetConvergence(
        chain_pb2.GetConvergenceRequest(name=f"workloads/{workload}/convergence")
    )


async def _after(
    client: Client,
    workload: str,
    answer: chain_pb2.ChainSwitch,
    *,
    dry_run: bool,
    wait_seconds: float,
    output: str,
) -> int:
    wait_seconds = 0 if dry_run else wait_seconds
    converged = await _wait_for_routers(client, workload, wait_seconds)
    if output != "table":
        dump(plain(answer) if dry_run else {**plain(answer), "converged": converged}, output)
        return exits.OK
    shares = ", ".join(f"{s.end - s.start} buckets to {last(s.chain)}" for s in answer.to.shares)
    state = enum_word(chain_pb2.ChainSwitch.State, answer.state, "STATE_")
    click.echo(f"{'would move' if dry_run else state}: {shares}")
    impact = answer.impact
    click.echo(f"  operations running on the old chain: {impact.operations_running}")
    click.echo(f"  resources that stay on the old chain: {impact.resources_bound}")
    for gap in impact.gaps:
        click.echo(f"  gap: {gap}")
    if wait_seconds and not converged:
        click.echo(f"  not every router follows yet: enchain convergence {workload}", err=True)
    return exits.OK


async def _wait_for_routers(client: Client, workload: str, wait_seconds: float) -> bool:
    for _ in range(int(wait_seconds / _POLL_SECONDS)):
        if (await _convergence(client, workload)).converged:
            return True
        await asyncio.sleep(_POLL_SECONDS)
    return False
