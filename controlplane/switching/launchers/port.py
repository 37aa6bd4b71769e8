"""The Launcher port: what enchain needs of a place where instances of engines run.

`process.py` runs them on this machine, `static.py` stands for instances that others run, `memory.py` is
the fake that ships beside them; all pass `tests/conformance/launchers`. A launcher is one place, such as
a host; another place needs another one, under another name.

Rules that every launcher keeps:

* A launch is started at most once in all time, whoever asks, how often, and from which process. One that
  has ended never starts again: `start` says so then.
* What it has started outlives the control plane, and is found by whoever asks next at the same place.
* `find` tells the truth of the moment, not what was once asked for.
* Draining and killing what is not there is no fault.
* It never decides, waits for readiness, or starts anything again by itself.
* Foreign exceptions stop here. `CallerError` means that asking again will not help this launch;
  `PeerError` that it may.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from enchain.v1.engine_pb2 import Engine
from enchain.v1.pool_pb2 import Launching


class Launcher(Protocol):
    """A place where instances run. Launches are told apart by id: the last part of the launch's name."""

    async def name(self) -> str:
        """Answer what the place is called, the same for ever; launches are written down with it."""

    async def start(self, launch: Launching, engine: Engine) -> str:
        """Start an instance that registers itself under the launch's id; one that runs goes on as it is.

        Returns:
            What it is called there, such as `pid 4711`.

        Raises:
            CallerError: It cannot be started, or has ended; the message and the remedy say why.
            PeerError: Whether it runs `find` will tell; asking again is harmless.
        """

    async def find(self) -> Mapping[str, str]:
        """Answer what it has started and that runs now: by launch id, what it is called there."""

    async def drain(self, launch: str) -> None:
        """Tell an instance to take no new work and to end when it has none. It is told so once."""

    async def kill(self, launch: str) -> None:
        """End an instance at once, and see to it that a start of it that is under way comes to nothing."""

    async def forget(self, kept: Collection[str]) -> None:
        """Let go of what is remembered of launches that are over long since, except for these."""
