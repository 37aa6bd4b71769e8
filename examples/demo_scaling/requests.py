"""Requests of a replayed trace: when they come, sent to all policies alike, and what came of each."""

import asyncio
import time
from dataclasses import dataclass, field

import numpy as np

from controlplane.forecast.series import FloatArray
from enchain.chains.errors import EnchainError
from enchain.client import Client
from enchain.v1 import operation_pb2
from examples.demo_scaling.stage import PROMISED_SECONDS, Stage

_SUCCEEDED = operation_pb2.Operation.STATE_SUCCEEDED


@dataclass(frozen=True, slots=True)
class Request:
    """What came of one request.

    Attributes:
        policy: Whose it was.
        at: When it came, seconds from the beginning of the replay.
        seconds: How long it took.
        chain: The chain that it went through.
        failed: Why it failed; empty where it did not.
    """

    policy: str
    at: float
    seconds: float
    chain: str
    failed: str = ""

    @property
    def missed(self) -> bool:
        """It failed, or took longer than promised."""
        return bool(self.failed) or self.seconds > PROMISED_SECONDS


def arrivals(rates: FloatArray, step: float, rng: np.random.Generator) -> FloatArray:
    """Draw when requests come: a Poisson process with the trace's rate; seconds from the beginning.

    Args:
        rates: Requests a second, by step.
        step: Seconds of a step.
        rng: The dice.
    """
    times = [
        index * step + step * np.sort(rng.random(rng.poisson(rate * step)))
        for index, rate in enumerate(rates)
    ]
    return np.concatenate(times)


@dataclass(slots=True)
class Sender:
    """Sends requests, each in a task of its own, and keeps what came of them."""

    client: Client
    done: list[Request] = field(default_factory=list)

    async def send_all(self, policy: str, times: FloatArray, began: float) -> None:
        """Send all requests of a policy when they come, and wait for the last."""
        async with asyncio.TaskGroup() as tasks:
            for number, at in enumerate(times.tolist()):
                await asyncio.sleep(max(0.0, began + at - time.monotonic()))
                tasks.create_task(self.send(policy, at), name=f"request {number} of {policy}")

    async def send(self, policy: str, at: float) -> None:
        """Send one request and follow it to its end."""
        began, chain, failed = time.monotonic(), "", "it has no end"
        try:
            async for event in self.client.provision(Stage(policy).workload, {"name": "x"}):
                if not isinstance(event, operation_pb2.OperationEvent):
                    continue
                if event.HasField("admitted"):
                    chain = event.admitted.chain
                if event.HasField("ended"):
                    failed = "" if event.ended.state == _SUCCEEDED else str(event.ended.diagnostics)
        except EnchainError as error:
            failed = f"{error.reason}: {error.message}"
        self.done.append(Request(policy, at, time.monotonic() - began, chain, failed))
