"""`enchain apply`: save what people write from files. It never moves a route and starts no experiment."""

from pathlib import Path

import click

from enchain.chains.errors import EnchainError
from enchain.cli.documents import load, save
from enchain.cli.output import dump, last, output_option
from enchain.cli.running import fail, run
from enchain.client import Client
from enchain.v1 import chain_pb2


@click.command()
@click.option(
    "-f", "--file", "files", multiple=True, required=True, metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True), help="A file of documents; - is standard input.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check everything, save nothing. Artifacts are sent.")
@output_option
def apply(files: tuple[Path, ...], dry_run: bool, output: str) -> None:
    """Save the documents of FILEs. Doing it again changes nothing; a route or target stays where it is."""
    try:
        items = load(files)
    except EnchainError as error:
        fail(error, output=output)

    async def work(client: Client) -> None:
        done = []
        for item in items:
            saved = await save(client, item, dry_run=dry_run)
            done.append(saved)
            if output == "table":
                suffix = " (dry run)" if dry_run else ""
                click.echo(f"{saved.what:9}  {saved.kind} {saved.name}{suffix}")
                if (saved.kind, saved.what) == ("Workload", "changed") and not dry_run:
                    await _hint(client, saved.name)
        if output != "table":
            dump([{"kind": s.kind, "name": s.name, "what": s.what} for s in done], output)

    run(work, output=output)


async def _hint(client: Client, workload: str) -> None:
    """Say where requests go on going, if a changed workload has a newer chain; moving them is `switch`."""
    route = await client.chains.GetRoute(chain_pb2.GetRouteRequest(name=f"{workload}/route"))
    newest = await client.chains.GetChain(chain_pb2.GetChainRequest(name=f"{workload}/chains/default"))
    used = sorted({last(share.chain) for share in route.shares})
    if last(newest.name) not in used:
        told = f"requests still go to {', '.join(used)}; the change is {last(newest.name)}"
        click.echo(f"  {told}: enchain switch {last(workload)} default", err=True)
