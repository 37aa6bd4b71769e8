"""An engine whose steps take a known time: `python engine.py --kind NAME --work SECONDS --boot SECONDS`.

The demonstration has the control plane start it. It makes nothing: what counts is how long it takes to be
there, as a machine does whose image must boot and load, and how long a request takes once it is.
"""

import argparse
import asyncio
import hashlib
import math
import sys
from collections.abc import Mapping
from statistics import NormalDist

from enchain.sdk import serve
from enchain.sdk.port import Engine, Host, Json, Step


class TimedEngine(Engine):
    """Takes its time, log-normal around a median; the same step always takes the same time.

    Args:
        name: The engine's id.
        work: Median of a step, in seconds.
        boot: Seconds before it serves.
    """

    version = "1"
    inputs: Mapping[str, Json] = {"type": "object", "properties": {"name": {"type": "string"}}}
    outputs: Mapping[str, Json] = {"type": "object", "properties": {"seconds": {"type": "number"}}}

    SPREAD = 0.15
    """Standard deviation of the duration's logarithm: work alone hardly ever misses what is promised."""

    def __init__(self, name: str, work: float, boot: float) -> None:
        self.name = name
        self._work = work
        self._boot = boot

    async def start(self, host: Host) -> None:
        """Boot, as a machine does: only what comes after is seen by the control plane."""
        await super().start(host)
        await asyncio.sleep(self._boot)

    async def apply(self, step: Step) -> Mapping[str, Json]:
        """Take the step's time."""
        drawn = int.from_bytes(hashlib.sha256(step.work_id.encode()).digest()[:6], "big") / 2**48
        seconds = self._work * math.exp(self.SPREAD * NormalDist().inv_cdf(min(max(drawn, 1e-6), 1 - 1e-6)))
        await asyncio.sleep(seconds)
        return {"seconds": round(seconds, 3)}

    async def destroy(self, step: Step) -> None:
        """There is nothing to take back."""
        del step


def main() -> int:
    """Serve it until told to stop."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--kind", required=True, help="the engine's id")
    parser.add_argument("--work", type=float, default=2.5, help="median seconds of a step")
    parser.add_argument("--boot", type=float, default=8.0, help="seconds before it serves")
    asked, _ = parser.parse_known_args()
    return serve.main(TimedEngine(asked.kind, asked.work, asked.boot), parents=[parser])


if __name__ == "__main__":
    sys.exit(main())
