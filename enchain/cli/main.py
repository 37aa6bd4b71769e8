"""The `enchain` command: its groups and options.

Commands are loaded when they are called, so that `enchain --help` imports neither gRPC nor protobuf. This
file holds names and one-line helps; what a command does stands in `enchain/cli/commands/`.
"""

import sys
from typing import Any

import click

from enchain.cli.exits import BUG, EXITS
from enchain.cli.groups import TableGroup
from enchain.cli.settings import Connection

COMMANDS = {
    "apply": ("enchain.cli.commands.apply:apply", "Save workloads, engines and chains from files."),
    "cancel": ("enchain.cli.commands.operations:cancel", "Ask a running operation to stop."),
    "completion": ("enchain.cli.commands.completion:completion", "Print the shell's completion script."),
    "convergence": ("enchain.cli.commands.switching:convergence", "Show which routers follow a route."),
    "delete": ("enchain.cli.commands.documents:delete", "Delete a workload, engine or chain."),
    "deprovision": ("enchain.cli.commands.provisioning:deprovision", "Destroy a resource."),
    "describe": ("enchain.cli.commands.documents:describe", "Show one thing whole."),
    "dev": ("enchain.dev.command:dev", "Run everything on this machine, in one terminal."),
    "events": ("enchain.cli.commands.events:events", "Plan what will move demand: campaigns, launches."),
    "experiments": (
        "enchain.cli.commands.experiments:experiments",
        "Compare chains on live requests.",
    ),
    "explain": ("enchain.cli.commands.switching:explain", "Say which chain a key gets, and why."),
    "forecast": ("enchain.cli.commands.forecast:forecast", "Show what demand will be, and how sure that is."),
    "get": ("enchain.cli.commands.documents:get", "List things, or show one in a line."),
    "init": ("enchain.cli.commands.init:init", "Write a workload file from a Terraform module."),
    "operations": ("enchain.cli.commands.operations:operations", "List operations, newest first."),
    "pin": ("enchain.cli.commands.switches:pin", "Hold a route where it is."),
    "plan": ("enchain.cli.commands.provisioning:plan", "Say what a provision would do; change nothing."),
    "pools": ("enchain.cli.commands.pools:pools", "Show how many instances of each engine are kept."),
    "provision": ("enchain.cli.commands.provisioning:provision", "Make a resource of a workload."),
    "recommend": ("enchain.cli.commands.recommend:recommend", "Say which chain meets the demand best."),
    "recommendations": (
        "enchain.cli.commands.recommend:recommendations",
        "Look at recommendations, approve or reject them.",
    ),
    "resources": ("enchain.cli.commands.operations:resources", "List resources."),
    "retry": ("enchain.cli.commands.operations:retry", "Go on with an operation that is held."),
    "rollback": ("enchain.cli.commands.switching:rollback", "Move a route back to where it was."),
    "scale": ("enchain.cli.commands.pools:scale", "Keep so many instances of an engine."),
    "switch": ("enchain.cli.commands.switching:switch", "Move a workload's route to another chain."),
    "switches": ("enchain.cli.commands.switches:switches", "List a workload's switches, newest first."),
    "unpin": ("enchain.cli.commands.switches:unpin", "Let a route be moved again."),
    "update": ("enchain.cli.commands.provisioning:update", "Change a resource's inputs."),
    "watch": ("enchain.cli.commands.operations:watch", "Replay an operation and follow it to its end."),
}


class LazyGroup(TableGroup):
    """The group of all commands."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, table=COMMANDS, **attributes)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what nobody foresaw is a fault of ours, and ends with a code of its own."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, EOFError, BrokenPipeError):
            raise  # click ends these itself
        except Exception:  # noqa: BLE001 - the one place that says so
            import traceback  # noqa: PLC0415 - only where it is needed

            traceback.print_exc()
            click.echo(
                "error: this is a fault of enchain's own; please report it with the lines above", err=True
            )
            sys.exit(BUG)


_EPILOG = "Exit codes: " + ", ".join(f"{code} {meaning}" for code, meaning in EXITS.items()) + "."


@click.command(cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--control", envvar="ENCHAIN_CONTROL", help="Address of the control plane.", metavar="HOST:PORT"
)
@click.option(
    "--routers", envvar="ENCHAIN_ROUTERS", help="Addresses of routers, by comma.", metavar="HOST:PORT,…"
)
@click.option("--tls-cert", envvar="ENCHAIN_TLS_CERT", help="Certificate of this client.", metavar="FILE")
@click.option("--tls-key", envvar="ENCHAIN_TLS_KEY", help="Its key.", metavar="FILE")
@click.option("--tls-ca", envvar="ENCHAIN_TLS_CA", help="Authority of the servers.", metavar="FILE")
@click.option("--tenant", envvar="ENCHAIN_TENANT", default="default", help="Whose things are meant.")
@click.version_option(package_name="enchain")
@click.pass_context
def main(
    ctx: click.Context,
    control: str | None,
    routers: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    tls_ca: str | None,
    tenant: str,
) -> None:
    """Provision infrastructure through chains of engines."""
    ctx.obj = Connection.chosen(control, routers, (tls_cert, tls_key, tls_ca), tenant)


if __name__ == "__main__":
    sys.exit(main())
