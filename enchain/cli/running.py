"""Run one command: open a client, do the work, print errors for people or programs, choose the exit code.

Every command calls `run`. It is the only place that catches enchain's errors.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn

import click
import grpc

from enchain.chains.errors import (
    AlreadyExistsError,
    CallerError,
    ConflictError,
    EnchainError,
    ExhaustedError,
    ForbiddenError,
    InvalidArgumentError,
    NotFoundError,
    PreconditionError,
    UnauthenticatedError,
    UnavailableError,
    UnsettledError,
)
from enchain.cli import exits
from enchain.cli.settings import Connection
from enchain.cli.tracing import traced
from enchain.client import Client
from enchain.process.statuses import from_rpc_error

_EXIT_OF: tuple[tuple[type[EnchainError], int], ...] = (
    (InvalidArgumentError, exits.INVALID),
    (NotFoundError, exits.NOT_FOUND),
    (AlreadyExistsError, exits.CONFLICT),
    (ConflictError, exits.CONFLICT),
    (PreconditionError, exits.CONFLICT),
    (ForbiddenError, exits.FORBIDDEN),
    (UnauthenticatedError, exits.FORBIDDEN),
    (ExhaustedError, exits.UNAVAILABLE),
    (UnavailableError, exits.UNAVAILABLE),
    (UnsettledError, exits.UNAVAILABLE),
    (CallerError, exits.INVALID),
)


def run(work: Callable[[Client], Awaitable[int | None]], *, output: str = "table") -> NoReturn:
    """Run a command's work with a client and leave the process with the right code.

    Args:
        work: Does it; answers an exit code, or None for 0.
        output: `json` prints errors as JSON, on standard error.
    """
    context = click.get_current_context()
    connection = context.find_object(Connection) or Connection()
    try:
        with traced(context.info_name or ""):
            code = asyncio.run(_with_client(connection, work))
    except EnchainError as error:
        fail(_explained(error, connection), output=output)
    except grpc.aio.AioRpcError as error:
        fail(_explained(from_rpc_error(error), connection), output=output)
    except KeyboardInterrupt:
        sys.exit(exits.INTERRUPTED)
    sys.exit(code or 0)


def _explained(error: EnchainError, connection: Connection) -> EnchainError:
    """Say what to do where there is no control plane; the client says it of routers."""
    if not isinstance(error, UnavailableError) or error.reason != "UNAVAILABLE":
        return error
    return UnavailableError(
        f"no control plane answers at {connection.control}: {error.message}",
        reason="NO_CONTROL_PLANE_ANSWERS",
        remedy="Start one (`enchain dev`), or say where one is: ENCHAIN_CONTROL=HOST:PORT or --control.",
        metadata={"control": connection.control},
    )


async def _with_client(connection: Connection, work: Callable[[Client], Awaitable[int | None]]) -> int | None:
    async with connection.client() as client:
        return await work(client)


def fail(error: EnchainError, *, output: str = "table") -> NoReturn:
    """Print an error and leave."""
    if output == "json":
        click.echo(json.dumps({"error": as_dict(error)}, ensure_ascii=False), err=True)
    else:
        click.echo(in_words(error), err=True)
    sys.exit(exit_of(error))


def exit_of(error: EnchainError) -> int:
    """Answer the exit code of an error."""
    return next((code for kind, code in _EXIT_OF if isinstance(error, kind)), exits.BUG)


def in_words(error: EnchainError) -> str:
    """Write an error for people: the fault, each field, the remedy, the code to search for."""
    lines = [f"error: {error.message}"]
    lines += [f"  {v.field}: {v.description}" for v in error.violations if v.description not in error.message]
    if error.remedy:
        lines.append(f"  → {error.remedy}")
    if error.retry_after is not None:
        lines.append(f"  → try again in {error.retry_after:g} s")
    lines.append(f"  ({error.reason})")
    return "\n".join(lines)


def as_dict(error: EnchainError) -> dict[str, object]:
    """Write an error for programs."""
    return {
        "reason": error.reason,
        "message": error.message,
        "remedy": error.remedy,
        "metadata": dict(error.metadata),
        "retry_after": error.retry_after,
        "violations": [
            {"field": v.field, "description": v.description, "reason": v.reason} for v in error.violations
        ],
    }
