"""Follow an operation on the screen to its end, sum it up, and leave with the code of its state.

`provision`, `update`, `deprovision` and `watch` call it. Ctrl-C ends the watching and nothing else.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable

import click

from enchain.cli import exits
from enchain.cli.output import dump, last
from enchain.cli.progress import View, describe, display
from enchain.cli.running import run
from enchain.client import Client
from enchain.client.following import Happening
from enchain.v1 import operation_pb2

_HELD = operation_pb2.Operation.STATE_HELD
_EXIT_OF_STATE: dict[int | None, int] = {
    None: exits.OK,  # it was to be checked only
    operation_pb2.Operation.STATE_SUCCEEDED: exits.OK,
    operation_pb2.Operation.STATE_FAILED: exits.FAILED,
    operation_pb2.Operation.STATE_CANCELLED: exits.FAILED,
    _HELD: exits.HELD,
}


def follow_to_the_end(
    begin: Callable[[Client], AsyncIterator[Happening]],
    *,
    operation: str = "",
    request_id: str = "",
    quiet: bool,
    output: str,
) -> None:
    """Show an operation until it rests, print the summary, and leave.

    Args:
        begin: Answers what happens.
        operation: The operation, where it exists already.
        request_id: The request's id, where there is a request.
        quiet: Show no progress.
        output: How to print the summary.
    """

    async def work(client: Client) -> int:
        view = View()
        try:
            with display(quiet=quiet) as screen:
                async for happening in begin(client):
                    screen.show(view, view.see(happening, time.monotonic()))
        except asyncio.CancelledError:
            click.echo(_interrupted(view.operation or operation, request_id), err=True)
            raise
        if operation and view.state is None:  # its end came before the events that were asked for
            view.take(await client.get_operation(operation))
        _print_summary(view, output, quiet=quiet)
        return _EXIT_OF_STATE.get(view.state, exits.FAILED)

    run(work, output=output)


def _interrupted(operation: str, request_id: str) -> str:
    if operation:
        return f"stopped watching; the operation goes on: enchain watch {last(operation)}"
    return f"stopped; it may have been admitted: the same command with --request-id {request_id} tells"


def _print_summary(view: View, output: str, *, quiet: bool) -> None:
    if output != "table":
        dump(view.whole() if view.operation else {"valid": True}, output)
        return
    if not view.operation:
        click.echo("valid; nothing was provisioned")
        return
    if quiet:  # else they were shown when the step ended
        for diagnostic in view.diagnostics:
            click.echo(describe(diagnostic), err=True)
    resource = last(view.summary.get("resource", ""))
    click.echo(f"{resource}  {view.summary.get('verb', '')} {view.summary.get('state', 'running')}")
    for name, value in view.summary.get("outputs", {}).items():
        click.echo(f"  {name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    if view.state == _HELD:
        retry = f"enchain retry {last(view.operation)}"
        click.echo(f"  → {retry}, or enchain deprovision {resource}", err=True)
