"""`enchain completion`: print the script that completes commands in a shell. click writes it."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL: `source <(enchain completion bash)`."""
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "enchain", "_ENCHAIN_COMPLETE")
    click.echo(script.source())
