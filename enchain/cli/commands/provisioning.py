"""`enchain plan`, `provision`, `update`, `deprovision`: ask a router, show progress, end with a code."""

from pathlib import Path

import click

from enchain.cli.following import follow_to_the_end
from enchain.cli.inputs import file_option, gather, inputs_option
from enchain.cli.output import dump, output_option, plain
from enchain.cli.plans import print_plan
from enchain.cli.running import run
from enchain.client import Client
from enchain.client.client import new_request_id
from enchain.v1 import operation_pb2

_timeout = click.option("--timeout", type=float, metavar="SECONDS", help="How long it may take.")
_request_id = click.option("--request-id", default="", help="Send the same one again to ask for the same.")
_key = click.option("--key", default="", help="What the cohort is hashed from. Default: the resource's id.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")


@click.command()
@click.argument("workload")
@inputs_option
@file_option
@click.option("--name", default="", help="The resource's id; a new one where it is left out.")
@_key
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
    inputs, request_id = gather(pairs, file), request_id or new_request_id()
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
        request_id=request_id,
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
    inputs, request_id = gather(pairs, file), request_id or new_request_id()
    follow_to_the_end(
        lambda client: client.update(
            resource, inputs, plan_token=plan_token, timeout_seconds=timeout, request_id=request_id
        ),
        request_id=request_id,
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
    request_id = request_id or new_request_id()
    follow_to_the_end(
        lambda client: client.deprovision(resource, timeout_seconds=timeout, request_id=request_id),
        request_id=request_id,
        quiet=quiet,
        output=output,
    )


@click.command()
@click.argument("workload", required=False, default="")
@inputs_option
@file_option
@click.option("--name", default="", help="The id that the resource would get.")
@_key
@click.option("--resource", default="", help="Plan a change of this resource instead.")
@click.option("--destroy", is_flag=True, help="With --resource: plan its deprovision.")
@output_option
def plan(
    workload: str,
    pairs: tuple[str, ...],
    file: Path | None,
    name: str,
    key: str,
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
    # A deprovision follows what was recorded, so no plan is handed to it.
    apply = [] if destroy else ["update", resource] if resource else ["provision", workload]
    for option, value in (("--name", name), ("--key", key), ("--inputs", file)):
        apply += [option, str(value)] if value and apply else []
    apply += [word for pair in pairs for word in ("-i", pair)] if apply else []

    async def work(client: Client) -> None:
        answer = await client.plan(
            workload, inputs, resource_id=name, resource=resource, verb=verb, routing_key=key
        )
        if output == "table":
            print_plan(answer, apply)
        else:
            dump(plain(answer), output)

    run(work, output=output)
