"""`enchain apply`: save workloads, engines and chains from files. It never moves a route."""

from pathlib import Path

import click

from enchain.chains.errors import EnchainError
from enchain.cli.documents import load, save
from enchain.cli.output import dump, output_option
from enchain.cli.running import fail, run
from enchain.client import Client


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
        if output != "table":
            dump([{"kind": s.kind, "name": s.name, "what": s.what} for s in done], output)

    run(work, output=output)
