"""The `enchain` command: its groups and options.

Commands are loaded when they are called, so that `enchain --help` imports neither gRPC nor protobuf. This
file holds names and one-line helps; what a command does stands in `enchain/cli/commands/`.
"""

import importlib
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from enchain.cli.exits import BUG, EXITS
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
    "explain": ("enchain.cli.commands.switching:explain", "Say which chain a key gets, and why."),
    "get": ("enchain.cli.commands.documents:get", "List things, or show one in a line."),
    "init": ("enchain.cli.commands.init:init", "Write a workload file from a Terraform module."),
    "operations": ("enchain.cli.commands.operations:operations", "List operations, newest first."),
    "plan": ("enchain.cli.commands.provisioning:plan", "Say what a provision would do; change nothing."),
    "provision": ("enchain.cli.commands.provisioning:provision", "Make a resource of a workload."),
    "resources": ("enchain.cli.commands.operations:resources", "List resources."),
    "retry": ("enchain.cli.commands.operations:retry", "Go on with an operation that is held."),
    "rollback": ("enchain.cli.commands.switching:rollback", "Move a route back to where it was."),
    "switch": ("enchain.cli.commands.switching:switch", "Move a workload's route to another chain."),
    "update": ("enchain.cli.commands.provisioning:update", "Change a resource's inputs."),
    "watch": ("enchain.cli.commands.operations:watch", "Replay an operation and follow it to its end."),
}


class LazyGroup(click.Group):
    """A group that imports a command when it is called, not when it is listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Answer the names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - likewise
        """Import a command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Answer what a word may become, importing no command."""
        names = [name for name in COMMANDS if name.startswith(incomplete)]
        found = [CompletionItem(name, help=COMMANDS[name][1]) for name in names]
        return found + click.Command.shell_complete(self, ctx, incomplete)

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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


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
