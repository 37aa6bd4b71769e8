"""The clients: each plays one story with the real client, and keeps what it was told.

`__main__` plays the stories side by side. A client re-attaches by itself when its router dies; whatever error
reaches it in the end is kept as a finding and never hidden.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos.house import House
from benchmarks.chaos.plan import Plan, Story
from enchain.chains.errors import EnchainError
from enchain.client import Client, Reattached
from enchain.client.following import Happening
from enchain.v1 import operation_pb2

CLIENTS = 12
"""Stories that are told at the same time."""

AHEAD = 0.1
"""How far the stories may be ahead of the faults, so that both end together."""


@dataclass(slots=True)
class Told:
    """One operation, as its client was told of it.

    Attributes:
        round: What was asked for; the tools write it down.
        meant: The state in which it is meant to end.
        state: The state in which it was told to end.
        error: What the client was left with instead.
    """

    story: str
    workload: str
    move: str
    round: str
    meant: str
    operation: str = ""
    state: str = ""
    error: str = ""
    adopted: int = 0
    reattached: int = 0
    seconds: float = 0.0
    reason: str = ""

    @property
    def as_meant(self) -> bool:
        """It ended as it was meant to."""
        return self.state == self.meant


@dataclass(slots=True)
class Telling:
    """All stories, as they are told.

    Args:
        house: Where they play.
        plan: What is to be told.
        faults_done: Answers which share of the faults is done.
    """

    house: House
    plan: Plan
    faults_done: Callable[[], float]
    told: list[Told] = field(default_factory=list)
    begun: int = 0

    def share_begun(self) -> float:
        """Answer which share of the stories has begun."""
        return self.begun / max(1, len(self.plan.stories))

    async def tell_all(self) -> None:
        """Tell all stories, so many at once, and no faster than the faults come."""
        waiting = list(enumerate(self.plan.stories))
        waiting.reverse()

        async def teller(number: int) -> None:
            async with self.house.client(number) as client:
                while waiting:
                    index, story = waiting.pop()
                    await self._until_due(index)
                    self.begun += 1
                    await self._tell(client, story)

        async with asyncio.TaskGroup() as group:
            for number in range(min(CLIENTS, len(waiting))):
                group.create_task(teller(number), name=f"client {number}")

    async def _until_due(self, index: int) -> None:
        due = index / len(self.plan.stories)
        while due > self.faults_done() + AHEAD:  # noqa: ASYNC110 - faults tell nobody
            await asyncio.sleep(0.05)

    async def _tell(self, client: Client, story: Story) -> None:
        before: Told | None = None
        for number, move in enumerate(story.moves):
            mark = f"{story.name}.{number}.{move}"
            told = Told(story.name, story.workload, move, mark, story.end_of(move))
            if move == "heal":
                assert before is not None, "only what was held can be healed"
                if before.state != "STATE_HELD":
                    return
                told.operation, told.round = before.operation, before.round
            self.told.append(told)
            await self._follow(client, story, told)
            before = told
            if told.error or (told.state not in {"STATE_SUCCEEDED", "STATE_HELD"}):
                return
            if told.state == "STATE_HELD" and not told.as_meant:
                return

    async def _follow(self, client: Client, story: Story, told: Told) -> None:
        began = time.monotonic()
        try:
            async for happening in await self._ask(client, story, told):
                take(told, happening)
        except EnchainError as error:
            told.error = f"{type(error).__name__} {error.reason}: {error.message}"
        told.seconds = round(time.monotonic() - began, 2)

    async def _ask(self, client: Client, story: Story, told: Told) -> AsyncIterator[Happening]:
        inputs = {"world": str(self.house.world), "round": told.round, "seconds": story.seconds}
        inputs["fail"] = story.fail
        if story.workload in {"site", "served"}:
            inputs["parts"] = str(self.house.parts)
        match told.move:
            case "provision":
                return client.provision(story.workload, inputs, resource_id=story.name)
            case "update":
                return client.update(story.name, inputs)
            case "deprovision":
                return client.deprovision(story.name)
            case _:
                return await self._heal(client, told)

    async def _heal(self, client: Client, told: Told) -> AsyncIterator[Happening]:
        """Mend what made the tool fail, and retry the operation that is held."""
        held = await client.get_operation(told.operation)
        heal(self.house.world, held)
        retried = await client.retry_operation(told.operation)
        return client.watch(told.operation, after_sequence=min(held.last_sequence, retried.last_sequence))


def heal(world: Path, held: operation_pb2.Operation) -> None:
    """Let the tool of an operation succeed from now on."""
    (world / "healed" / held.resource_uid).touch()


def take(told: Told, happening: Happening) -> None:
    """Take in one thing that a client was told."""
    if isinstance(happening, Reattached):
        told.reattached += 1
        return
    told.operation = happening.operation or told.operation
    match happening.WhichOneof("kind"):
        case "adopted":
            told.adopted += 1
        case "state_changed":
            told.state = operation_pb2.Operation.State.Name(happening.state_changed.state)
            told.reason = happening.state_changed.reason
        case "ended":
            told.state = operation_pb2.Operation.State.Name(happening.ended.state)
            told.reason = told.reason or "; ".join(d.summary for d in happening.ended.diagnostics)[:300]
