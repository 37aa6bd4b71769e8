"""`enchain dev`: everything on this machine, in one terminal, until Ctrl-C."""

import asyncio
import importlib.util
import shutil
import signal
import sys
from pathlib import Path

import click

from enchain.chains.errors import EnchainError, PreconditionError
from enchain.cli.documents import load, save
from enchain.cli.running import fail
from enchain.client import Client
from enchain.dev.cluster import Cluster
from enchain.dev.plan import Layout

EXAMPLES = Path(__file__).parent.parent / "cli" / "examples"
_WATCH_SECONDS = 0.5
_NEEDED = ("cel_expr_python", "grpc_health", "jsonschema", "opentelemetry.sdk", "hcl2")
"""What the extras `controlplane`, `router` and `engines` bring, one module for each thing."""


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), default=Path(".enchain"), show_default=True,
    help="Where everything lies. It is taken up again by the next run.",
)  # fmt: skip
@click.option("--example", type=click.Choice(sorted(p.name for p in EXAMPLES.iterdir() if p.is_dir())))
@click.option(
    "--port", default=7400, show_default=True, help="The control plane's; routers take the next ones."
)
@click.option("--routers", default=2, show_default=True, help="How many routers.")
@click.option("--terraform", default=1, show_default=True, help="How many Terraform instances.")
@click.option("--process", default=1, show_default=True, help="How many process instances.")
@click.option("--log-level", default="info", show_default=True)
def dev(
    data: Path,
    example: str | None,
    port: int,
    routers: int,
    terraform: int,
    process: int,
    log_level: str,
) -> None:
    """Run etcd, control plane, routers and engines on loopback, in one terminal, until Ctrl-C."""
    layout = Layout(
        data=data.resolve(),
        control=f"127.0.0.1:{port}",
        routers=tuple(f"127.0.0.1:{port + n}" for n in range(1, routers + 1)),
        terraform=terraform,
        process=process,
        log_level=log_level,
    )
    try:
        _require_servers()
        sys.exit(asyncio.run(_run(layout, example)))
    except EnchainError as error:
        fail(error)


def _require_servers() -> None:
    """Refuse a plain install, which has no servers, before anything is started."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise PreconditionError(
            f"this install has no servers: {', '.join(missing)} cannot be imported",
            reason="NOT_INSTALLED",
            remedy="Install them: pip install 'enchain[dev]'.",
            metadata={"missing": ", ".join(missing)},
        )


async def _run(layout: Layout, example: str | None) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    async with Cluster(layout, told=click.echo) as cluster:
        if example:
            await _save_example(cluster, example)
        _welcome(cluster, example)
        code = await _watch(cluster, stop)
        click.echo("stopping; services that were provisioned go on")
    return code


async def _save_example(cluster: Cluster, example: str) -> None:
    """Copy an example beside the data, so that people can change it, and save it."""
    folder = cluster.layout.data / "examples" / example
    if not folder.exists():
        shutil.copytree(EXAMPLES / example, folder)
    async with Client(control=cluster.control, routers=cluster.routers) as client:
        for item in load([folder / "workload.yaml"]):
            saved = await save(client, item, dry_run=False)
            click.echo(f"{saved.what} {saved.kind} {saved.name}  ({folder / 'workload.yaml'})")


def _welcome(cluster: Cluster, example: str | None) -> None:
    layout = cluster.layout
    click.echo(f"\nenchain is ready. Data and logs: {layout.data}")
    if layout.control != "127.0.0.1:7400" or len(layout.routers) != len(Layout(layout.data).routers):
        click.echo(
            f"In another terminal: export ENCHAIN_CONTROL={cluster.control} "
            f"ENCHAIN_ROUTERS={','.join(cluster.routers)}"
        )
    if example == "site":
        click.echo("Try: enchain provision site -i name=hello --name hello")
    click.echo(f"Look: ETCDCTL_API=3 etcdctl --endpoints {cluster.etcd.address} get --prefix /enchain/")
    click.echo("Ctrl-C ends it.", nl=True)


async def _watch(cluster: Cluster, stop: asyncio.Event) -> int:
    """Tell of processes that end by themselves; end when asked to, or when nothing is left to serve."""
    told: set[str] = set()
    while not stop.is_set():
        for child in cluster.ended():
            name = child.planned.name
            if name not in told:
                told.add(name)
                code = child.process.returncode
                click.echo(f"{name} ended with code {code}; its log: {child.log_file}", err=True)
        if len(told) == len(cluster.children):
            return 1
        try:
            async with asyncio.timeout(_WATCH_SECONDS):
                await stop.wait()
        except TimeoutError:
            continue
    return 0
