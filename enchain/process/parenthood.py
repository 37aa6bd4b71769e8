"""Children that end when their parent does, however it ends.

`enchain dev` and the local etcd use it: a terminal that is closed, or a parent that is killed, must not leave
servers behind. Linux only; elsewhere it does nothing. Never for services that were provisioned.
"""

import ctypes
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
"""From Linux's `prctl(2)`."""


def ends_with_parent() -> Callable[[], None] | None:
    """Answer what to pass to `Popen` as `preexec_fn`; None where the kernel cannot do it.

    The library is loaded before the fork: between fork and exec as little as possible may happen.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask_for_the_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask_for_the_signal
