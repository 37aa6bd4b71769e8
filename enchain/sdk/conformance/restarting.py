"""How the suite kills an engine server and has it again: by a command, or under a supervisor.

`main` makes one of these from the command line. The probe waits until the server answers again.
"""

import asyncio
import os
import shlex
import signal
from collections.abc import Sequence

from enchain.chains.errors import PreconditionError
from enchain.sdk.conformance.probe import Restart


def by_command(command: str) -> Restart:
    """Run a command that kills the engine server and starts it again at the same address. No shell."""
    argv = shlex.split(command)

    async def restart() -> None:
        await _run(argv)

    return restart


def by_killing(pid: int) -> Restart:
    """Kill the engine server, once; whoever supervises it starts it again at the same address."""
    pids = [pid]

    async def restart() -> None:
        if not pids:  # the number may be another process's by now
            raise PreconditionError("the process was killed already", reason="RESTART_FAILED")
        os.kill(pids.pop(), signal.SIGKILL)

    return restart


async def _run(argv: Sequence[str]) -> None:
    try:
        process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.DEVNULL)
    except OSError as error:
        raise _failed(argv, str(error)) from error
    if code := await process.wait():
        raise _failed(argv, f"it ended with {code}")


def _failed(argv: Sequence[str], why: str) -> PreconditionError:
    return PreconditionError(
        f"the restart command failed: {why}",
        reason="RESTART_FAILED",
        metadata={"command": shlex.join(argv)},
        remedy="Give a command that kills the engine server with SIGKILL and starts it again.",
    )
