"""`enchain switch`, `rollback`, `convergence` and `explain`: where requests go, and moving them."""

import asyncio
from datetime import timedelta

import click

from enchain.cli import exits
from enchain.cli.attributes import attribute_option, attributes_from
from enchain.cli.commands.switches import abort, print_answer, show_switch
from enchain.cli.output import dump, last, output_option, plain, table
from enchain.cli.running import run
from enchain.cli.switches import AHEAD, follow, outcome, print_impact, read_duration, state_word
from enchain.client import Client
from enchain.client.client import new_request_id
from enchain.v1 import chain_pb2

_reason = click.option("--reason", default="", help="Why; it is kept in the audit.")
_dry_run = click.option("--dry-run", is_flag=True, help="Say whom it would touch; move nothing.")
_etag = click.option("--etag", default="", help="Move it only if the route is still as read.")
_wait = click.option(
    "--wait", type=float, default=10.0, show_default=True, metavar="SECONDS",
    help="How long to wait until every live router follows; 0 does not wait.",
)  # fmt: skip
_watch = click.option(
    "--watch", is_flag=True, help="Follow it to its end; exit code 1 where it is rolled back."
)

_POLL_SECONDS = 0.1

_POLICIES = {
    "finish": chain_pb2.DRAIN_POLICY_FINISH,
    "hand-over": chain_pb2.DRAIN_POLICY_HAND_OVER,
    "abort": chain_pb2.DRAIN_POLICY_ABORT,
}

DEFAULT = "to"


class SwitchGroup(click.Group):
    """`enchain switch WORKLOAD CHAIN` is `enchain switch to WORKLOAD CHAIN`; the others have names."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command in front where none is named."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


@click.group(cls=SwitchGroup)
def switch() -> None:
    """Move a workload's route: enchain switch WORKLOAD CHAIN. Or look at a switch, or end it."""


@switch.command(DEFAULT)
@click.argument("workload")
@click.argument("chain")
@_reason
@_etag
@_dry_run
@_wait
@_watch
@click.option(
    "--drain-policy", "policy", type=click.Choice(list(_POLICIES)),
    help="What becomes of operations on the old chain at the drain timeout.  [default: finish]",
)  # fmt: skip
@click.option(
    "--drain-timeout", "drain", callback=read_duration, metavar="DURATION",
    help="How long operations on the old chain may go on once the new one is in force, such as 5m.",
)  # fmt: skip
@click.option(
    "--watch-for", callback=read_duration, metavar="DURATION",
    help="Compare the new chain with the old one for so long, and go back by itself where it does worse.",
)  # fmt: skip
@click.option(
    "--warm-timeout", "warm", callback=read_duration, metavar="DURATION",
    help="How long instances that are missing may take to be ready.  [default: 5m]",
)  # fmt: skip
@output_option
def switch_to(
    workload: str,
    chain: str,
    reason: str,
    etag: str,
    dry_run: bool,
    wait: float,
    watch: bool,
    policy: str | None,
    drain: timedelta | None,
    watch_for: timedelta | None,
    warm: timedelta | None,
    output: str,
) -> None:
    """Move WORKLOAD's route to CHAIN (its newest revision, or NAME@REVISION). Resources keep theirs."""
    request = chain_pb2.SwitchChainRequest(
        name=f"workloads/{workload}/route",
        chain=f"workloads/{workload}/chains/{chain}",
        etag=etag,
        reason=reason,
        validate_only=dry_run,
        request_id="" if dry_run else new_request_id(),
        drain_policy=_POLICIES[policy] if policy else chain_pb2.DRAIN_POLICY_UNSPECIFIED,
    )
    given = (("drain_timeout", drain), ("watch_timeout", watch_for), ("warm_timeout", warm))
    for field, duration in given:
        if duration is not None:
            getattr(request, field).FromTimedelta(duration)

    async def work(client: Client) -> int:
        answer = await client.chains.SwitchChain(request)
        return await _after(client, answer, dry_run=dry_run, wait_seconds=wait, watch=watch, output=output)

    run(work, output=output)


switch.add_command(show_switch)
switch.add_command(abort)


@click.command()
@click.argument("workload")
@_reason
@_etag
@_dry_run
@_wait
@_watch
@output_option
def rollback(
    workload: str, reason: str, etag: str, dry_run: bool, wait: float, watch: bool, output: str
) -> None:
    """Move WORKLOAD's route back to where the last switch found it, also one that is still under way."""

    async def work(client: Client) -> int:
        request = chain_pb2.RollbackChainRequest(
            name=f"workloads/{workload}/route",
            etag=etag,
            reason=reason,
            validate_only=dry_run,
            request_id="" if dry_run else new_request_id(),
        )
        answer = await client.chains.RollbackChain(request)
        return await _after(client, answer, dry_run=dry_run, wait_seconds=wait, watch=watch, output=output)

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
@attribute_option
@output_option
def explain(workload: str, key: str, pairs: tuple[str, ...], output: str) -> None:
    """Say which chain of WORKLOAD a key gets, and why."""

    async def work(client: Client) -> None:
        answer = await client.explain_route(workload, key, attributes_from(pairs, client))
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
    answer: chain_pb2.ChainSwitch,
    *,
    dry_run: bool,
    wait_seconds: float,
    watch: bool,
    output: str,
) -> int:
    workload = answer.to.name.split("/")[1]
    if watch and not dry_run and answer.name:
        ended = await follow(client, answer.name)
        print_answer(ended, output)
        return outcome(ended)
    wait_seconds = 0 if dry_run else wait_seconds
    converged, answer = await _wait_for_routers(client, workload, answer, wait_seconds)
    if output != "table":
        dump(plain(answer) if dry_run else {**plain(answer), "converged": converged}, output)
        return outcome(answer)
    shares = ", ".join(f"{s.end - s.start} buckets to {last(s.chain)}" for s in answer.to.shares)
    click.echo(f"{'would move' if dry_run else state_word(answer)}: {shares}")
    print_impact(answer.impact)
    if answer.rollback_reason:
        click.echo(f"  {answer.rollback_reason}")
    elif wait_seconds and not converged:
        click.echo(f"  not every router follows yet: enchain switch show {workload} --watch", err=True)
    return outcome(answer)


async def _wait_for_routers(
    client: Client, workload: str, answer: chain_pb2.ChainSwitch, wait_seconds: float
) -> tuple[bool, chain_pb2.ChainSwitch]:
    """Wait until a switch has come past the routers; where nobody leads, until they follow at least."""
    converged = False
    for _ in range(int(wait_seconds / _POLL_SECONDS)):
        if answer.name:
            answer = await client.chains.GetChainSwitch(chain_pb2.GetChainSwitchRequest(name=answer.name))
        converged = (await _convergence(client, workload)).converged
        if converged and answer.state not in AHEAD:
            break
        await asyncio.sleep(_POLL_SECONDS)
    return converged and answer.state not in _NOT_MOVED, answer


_NOT_MOVED = frozenset(
    {
        chain_pb2.ChainSwitch.STATE_VALIDATING,
        chain_pb2.ChainSwitch.STATE_WARMING,
        chain_pb2.ChainSwitch.STATE_ACTIVATING,
    }
)
"""The routers may follow the route as it is; it has not been moved yet."""
