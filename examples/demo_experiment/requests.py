"""The load: pages asked for a few at a time, and what came of each."""

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from enchain.chains.errors import EnchainError
from enchain.client import Client
from enchain.v1 import operation_pb2

AT_ONCE = 6

_SUCCEEDED = operation_pb2.Operation.STATE_SUCCEEDED


@dataclass(frozen=True, slots=True)
class Request:
    """What came of one request.

    Attributes:
        page: The resource's id, by which it is assigned, and the page's name.
        at: When it came, seconds from the beginning.
        seconds: How long it took.
        chain: The id of the chain that it went through.
        arm: The arm that was written into the operation; of no experiment where it is no arm's name.
        failed: Why it failed; empty where it did not.
    """

    page: str
    at: float
    seconds: float
    chain: str
    arm: str
    failed: str = ""


@dataclass(slots=True)
class Sender:
    """Sends requests and keeps what came of them.

    Attributes:
        client: Who is asked.
        began: When the demonstration began, monotonic.
        done: All that have ended.
    """

    client: Client
    began: float
    done: list[Request] = field(default_factory=list)

    async def send_while(self, prefix: str, wanted: Callable[[], bool], *, most: int) -> list[Request]:
        """Ask for pages, `AT_ONCE` at a time, while they are wanted, at most so many; answer them."""
        before = len(self.done)
        numbers = itertools.count(1)

        async def send_on() -> None:
            while wanted() and (number := next(numbers)) <= most:
                await self.send(f"{prefix}-{number:04}")

        async with asyncio.TaskGroup() as tasks:
            for number in range(AT_ONCE):
                tasks.create_task(send_on(), name=f"sender {number} of {prefix}")
        return self.done[before:]

    async def send(self, page: str) -> None:
        """Ask for one page and follow it to its end."""
        began, chain, arm, failed = time.monotonic(), "", "", "it has no end"
        try:
            async for event in self.client.provision("page", {"name": page}, resource_id=page):
                if not isinstance(event, operation_pb2.OperationEvent):
                    continue
                if event.HasField("admitted"):
                    chain, arm = short(event.admitted.chain), event.admitted.arm
                if event.HasField("ended"):
                    failed = reason(event.ended)
        except EnchainError as error:
            failed = f"{error.reason}: {error.message}"
        now = time.monotonic()
        self.done.append(Request(page, began - self.began, now - began, chain, arm, failed))


def reason(ended: operation_pb2.OperationEnded) -> str:
    """Answer why an operation failed; empty where it did not."""
    if ended.state == _SUCCEEDED:
        return ""
    said = "; ".join(each.summary for each in ended.diagnostics)
    return said or operation_pb2.Operation.State.Name(ended.state)


def short(name: str) -> str:
    """Answer a name's last id, without a revision."""
    return name.partition("@")[0].rpartition("/")[2]
