"""Children that end when their parent does, however it ends.

`enchain dev` and the local etcd use it: a terminal that is closed, or a parent that is killed, must not leave
servers behind. Linux only; elsewhere it does nothing. Never for services that were provisioned.
"""

import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
"""From Linux's `prctl(2)`. What it asks for outlives `exec`."""

_ASK_AND_BECOME = """
import ctypes, os, sys
signal, parent, *command = sys.argv[1:]
ctypes.CDLL(None).prctl(%d, int(signal))
if os.getppid() != int(parent):
    sys.exit("the parent has ended already")
os.execv(command[0], command)
"""


def ending_with_parent(command: Sequence[str]) -> list[str]:
    """Answer a command that becomes the given one, and is told to end (SIGTERM) when this process ends.

    A small program asks for it after the start, and not a function between fork and exec: gRPC has threads
    and hooks that a forked child of ours does not always survive.

    Args:
        command: The program, with its whole path, and its arguments.
    """
    if not sys.platform.startswith("linux"):
        return list(command)
    program = _ASK_AND_BECOME % _PR_SET_PDEATHSIG
    ask = [sys.executable, "-I", "-S", "-c", program, str(int(signal.SIGTERM)), str(os.getpid())]
    return [*ask, *command]
