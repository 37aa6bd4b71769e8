"""`enchain operations`, `resources`, `watch`, `cancel` and `retry`: look at what runs, and step in."""

import click

from enchain.cli.following import follow_to_the_end
from enchain.cli.output import age, enum_word, last, output_option, show
from enchain.cli.running import run
from enchain.client import Client
from enchain.v1 import operation_pb2

OPERATION_COLUMNS = {
    "operation": lambda o: last(o.name),
    "verb": lambda o: enum_word(operation_pb2.Verb, o.verb, "VERB_"),
    "state": lambda o: enum_word(operation_pb2.Operation.State, o.state, "STATE_"),
    "workload": lambda o: last(o.workload),
    "resource": lambda o: last(o.resource),
    "chain": lambda o: last(o.chain),
    "age": lambda o: age(o.create_time),
}
RESOURCE_COLUMNS = {
    "resource": lambda r: last(r.name),
    "workload": lambda r: last(r.workload),
    "state": lambda r: enum_word(operation_pb2.Resource.State, r.state, "STATE_"),
    "chain": lambda r: last(r.chain),
    "engines": lambda r: ",".join(f"{s.engine}" for s in r.steps),
    "age": lambda r: age(r.create_time),
}


@click.command()
@click.option("--workload", default="", help="Only of this workload.")
@click.option("--resource", default="", help="Only on this resource.")
@click.option("--limit", default=50, show_default=True, help="At most so many.")
@output_option
def operations(workload: str, resource: str, limit: int, output: str) -> None:
    """List operations, newest first."""

    async def work(client: Client) -> None:
        found = []
        async for operation in client.list_operations(workload=workload, resource=resource):
            found.append(operation)
            if len(found) >= limit:
                break
        show(found, OPERATION_COLUMNS, output)

    run(work, output=output)


@click.command()
@click.option("--workload", default="", help="Only of this workload.")
@output_option
def resources(workload: str, output: str) -> None:
    """List resources."""

    async def work(client: Client) -> None:
        show([item async for item in client.list_resources(workload=workload)], RESOURCE_COLUMNS, output)

    run(work, output=output)


@click.command()
@click.argument("operation")
@click.option("--after", default=0, help="Only durable events after this sequence.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@output_option
def watch(operation: str, after: int, quiet: bool, output: str) -> None:
    """Replay OPERATION's durable events and follow it to its end. Any router will do."""
    follow_to_the_end(
        lambda client: client.watch(operation, after_sequence=after),
        operation=operation,
        quiet=quiet,
        output=output,
    )


@click.command()
@click.argument("operation")
@click.option("--reason", default="", help="Why; it is kept.")
@output_option
def cancel(operation: str, reason: str, output: str) -> None:
    """Ask a running OPERATION to stop. What was made is treated by the chain's failure policy."""

    async def work(client: Client) -> None:
        show([await client.cancel_operation(operation, reason=reason)], OPERATION_COLUMNS, output)
        click.echo(f"follow it: enchain watch {last(operation)}", err=True)

    run(work, output=output)


@click.command()
@click.argument("operation")
@click.option("--from-step", default="", help="Begin with this step instead of the one that failed.")
@output_option
def retry(operation: str, from_step: str, output: str) -> None:
    """Go on with an OPERATION that is held."""

    async def work(client: Client) -> None:
        show([await client.retry_operation(operation, from_step=from_step)], OPERATION_COLUMNS, output)
        click.echo(f"follow it: enchain watch {last(operation)}", err=True)

    run(work, output=output)
