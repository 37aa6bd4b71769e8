"""`enchain plan`, `provision`, `update`, `deprovision`: ask a router, show progress, end with a code."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import click

from enchain.cli import exits
from enchain.cli.inputs import file_option, gather, inputs_option
from enchain.cli.output import dump, enum_word, last, output_option, plain
from enchain.cli.progress import View, display
from enchain.cli.running import run
from enchain.client import Client
from enchain.client.following import Happening
from enchain.v1 import operation_pb2, provisioning_pb2

_timeout = click.option("--timeout", type=float, metavar="SECONDS", help="How long it may take.")
_request_id = click.option("--request-id", default="", help="Send the same one again to ask for the same.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")

_EXIT_OF_STATE = {
    operation_pb2.Operation.STATE_SUCCEEDED: exits.OK,
    operation_pb2.Operation.STATE_HELD: exits.HELD,
}


@click.command()
@click.argument("workload")
@inputs_option
@file_option
@click.option("--name", default="", help="The resource's id; a new one where it is left out.")
@click.option("--key", default="", help="What the cohort is hashed from. Default: the resource's id.")
@click.option("--plan", "plan_token", default="", metavar="TOKEN", help="Apply exactly this plan.")
@_timeout
@_request_id
@click.option("--dry-run", is_flag=True, help="Check everything, provision nothing.")
@_quiet
@output_option
def provision(
    workload: str,
    pairs: tuple[str, ...],
    file: Path | None,
    name: str,
    key: str,
    plan_token: str,
    timeout: float | None,
    request_id: str,
    dry_run: bool,
    quiet: bool,
    output: str,
) -> None:
    """Make a resource of WORKLOAD and show how it comes."""
    inputs = gather(pairs, file)
    follow_to_the_end(
        lambda client: client.provision(
            workload,
            inputs,
            resource_id=name,
            routing_key=key,
            plan_token=plan_token,
            timeout_seconds=timeout,
            request_id=request_id,
            validate_only=dry_run,
        ),
        quiet=quiet,
        output=output,
    )


@click.command()
@click.argument("resource")
@inputs_option
@file_option
@click.option("--plan", "plan_token", default="", metavar="TOKEN", help="Apply exactly this plan.")
@_timeout
@_request_id
@_quiet
@output_option
def update(
    resource: str,
    pairs: tuple[str, ...],
    file: Path | None,
    plan_token: str,
    timeout: float | None,
    request_id: str,
    quiet: bool,
    output: str,
) -> None:
    """Replace the inputs of RESOURCE, along the chain that made it."""
    inputs = gather(pairs, file)
    follow_to_the_end(
        lambda client: client.update(
            resource, inputs, plan_token=plan_token, timeout_seconds=timeout, request_id=request_id
        ),
        quiet=quiet,
        output=output,
    )


@click.command()
@click.argument("resource")
@_timeout
@_request_id
@_quiet
@output_option
def deprovision(resource: str, timeout: float | None, request_id: str, quiet: bool, output: str) -> None:
    """Destroy RESOURCE, its recorded steps in reverse."""
    follow_to_the_end(
        lambda client: client.deprovision(resource, timeout_seconds=timeout, request_id=request_id),
        quiet=quiet,
        output=output,
    )


@click.command()
@click.argument("workload", required=False, default="")
@inputs_option
@file_option
@click.option("--name", default="", help="The id that the resource would get.")
@click.option("--resource", default="", help="Plan a change of this resource instead.")
@click.option("--destroy", is_flag=True, help="With --resource: plan its deprovision.")
@output_option
def plan(
    workload: str,
    pairs: tuple[str, ...],
    file: Path | None,
    name: str,
    resource: str,
    destroy: bool,
    output: str,
) -> None:
    """Say what each step would do for WORKLOAD, across engines. Changes nothing."""
    if bool(workload) == bool(resource):
        raise click.UsageError("name a WORKLOAD, or a resource with --resource.")
    if destroy and not resource:
        raise click.UsageError("--destroy goes with --resource.")
    verb = operation_pb2.VERB_PROVISION
    if resource:
        verb = operation_pb2.VERB_DEPROVISION if destroy else operation_pb2.VERB_UPDATE
    inputs = gather(pairs, file)

    async def work(client: Client) -> None:
        answer = await client.plan(workload, inputs, resource_id=name, resource=resource, verb=verb)
        if output == "table":
            _print_plan(answer)
        else:
            dump(plain(answer), output)

    run(work, output=output)


def follow_to_the_end(
    begin: Callable[[Client], AsyncIterator[Happening]], *, quiet: bool, output: str
) -> None:
    """Show an operation until it ends, print the summary, and leave with the code of its state."""

    async def work(client: Client) -> int:
        view = View()
        with display(quiet=quiet) as screen:
            async for happening in begin(client):
                screen.show(view, view.see(happening, time.monotonic()))
        _print_summary(view, output)
        if not view.summary.get("operation"):
            return exits.OK
        return _EXIT_OF_STATE.get(view.state, exits.FAILED)  # type: ignore[call-overload,no-any-return]  # enum keys are ints

    run(work, output=output)


def _print_summary(view: View, form: str) -> None:
    if form != "table":
        dump(view.summary, form)
        return
    if not view.summary.get("operation"):
        click.echo("valid; nothing was provisioned")
        return
    click.echo(f"{last(view.summary['resource'])}  {view.summary.get('state', 'running')}")
    for name, value in view.summary.get("outputs", {}).items():
        click.echo(f"  {name}: {value}")
    if view.state == operation_pb2.Operation.STATE_HELD:
        click.echo(
            f"  → enchain retry {last(view.summary['operation'])}, or enchain deprovision it", err=True
        )


_SIGNS = {
    provisioning_pb2.PlannedChange.ACTION_CREATE: "+",
    provisioning_pb2.PlannedChange.ACTION_UPDATE: "~",
    provisioning_pb2.PlannedChange.ACTION_REPLACE: "±",
    provisioning_pb2.PlannedChange.ACTION_DELETE: "-",
}


def _print_plan(answer: provisioning_pb2.PlanResponse) -> None:
    click.echo(f"chain {last(answer.chain)}, bucket {answer.bucket}")
    for step in answer.steps:
        word = enum_word(provisioning_pb2.StepPlan.Outcome, step.outcome, "OUTCOME_")
        click.echo(f"{step.step}: {step.engine}, {word}{': ' + step.summary if step.summary else ''}")
        for change in step.changes:
            detail = f"  {change.detail}" if change.detail else ""
            click.echo(f"  {_SIGNS.get(change.action, ' ')} {change.address}{detail}")
        if step.unknown:
            click.echo(f"  not known yet: {', '.join(step.unknown)}")
    click.echo(f"to apply exactly this: --plan {answer.plan_token}")
