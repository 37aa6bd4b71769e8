"""Whether the instances of a scope see the same processes.

A pid means nothing in another pid namespace, and a service that cannot be seen would be taken for gone. So
every instance holds a shared lock on one file that names the namespace, and one from another namespace is
refused for as long as any of them lives. When none does, the next one's namespace counts: the services of a
container end with it.
"""

import fcntl
import os
from pathlib import Path

from enchain.chains.errors import PreconditionError
from enchain.engines.process.kernel import boot


class Presence:
    """An instance's presence in a scope. Made by `join`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def join(cls, folder: Path) -> "Presence":
        """Be there.

        Raises:
            PreconditionError: Instances of another pid namespace are there.
        """
        descriptor = os.open(folder / "namespace", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        here = boot().encode()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, here, 0)
        except BlockingIOError:
            pass  # others are there, and have written where they are
        # Giving up the exclusive lock for a shared one lets another in between: so it is read once more.
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        there = os.pread(descriptor, 4096, 0)
        if there != here:
            os.close(descriptor)
            raise PreconditionError(
                "instances in another pid namespace serve this state scope",
                reason="OTHER_NAMESPACE",
                remedy="Give this instance a state scope of its own, or start it beside the others.",
                metadata={"here": here.decode(), "there": there.decode(errors="replace")},
            )
        return cls(descriptor)

    def leave(self) -> None:
        """Be there no more."""
        os.close(self._descriptor)
