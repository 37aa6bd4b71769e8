"""A follower in a run: a follow loop behind proxies of its own, what it delivered, and how it stands.

`faults` cuts it off and connects it again; `running` waits until it has caught up. It applies what comes, as
every follower does, and keeps every batch for the judge.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from random import Random
from types import TracebackType
from typing import Self

from benchmarks.following.lives import State, apply
from enchain.process.clock import SystemClock
from enchain.state.etcd import open_store
from enchain.state.follow import Health, follow
from enchain.state.store import Batch, Store
from tests.harness.proxy import Proxy


class Follower:
    """A follow loop, and a proxy before each member.

    Args:
        addresses: The members.
        root: The run's root.
        name: The prefix or key below it.
        rng: Its jitter, and with which member it begins.
    """

    def __init__(self, addresses: Sequence[str], root: str, name: str, rng: Random) -> None:
        self.name = f"{root}{name}"
        self.proxies = [Proxy(address) for address in addresses]
        self.health = Health()
        self.delivered: list[Batch] = []
        self.state: State = {}
        self._rng = rng
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for proxy in self.proxies:
            await self._stack.enter_async_context(proxy)
        store = await open_store([proxy.address for proxy in self.proxies], rng=self._rng)
        self._stack.push_async_callback(store.close)
        task = asyncio.create_task(self._run(store), name=f"follow {self.name}")
        self._stack.push_async_callback(_ended, task)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _run(self, store: Store) -> None:
        loop = follow(store, self.name, clock=SystemClock(), rng=self._rng, health=self.health)
        async with aclosing(loop) as batches:
            async for batch in batches:
                self.delivered.append(batch)
                apply(self.state, batch.events)

    def has_begun(self) -> bool:
        """Say whether the first list has come."""
        return bool(self.delivered)

    def has_failed(self, times: int) -> bool:
        """Say whether so many attempts in a row have failed."""
        return self.health.failures >= times

    def cut(self) -> None:
        """Break its connections; new ones work."""
        for proxy in self.proxies:
            proxy.cut()

    def refuse(self) -> None:
        """Break its connections and take no new ones."""
        for proxy in self.proxies:
            proxy.refuse()

    def accept(self) -> None:
        """Take connections again."""
        for proxy in self.proxies:
            proxy.accept()

    def mute(self) -> None:
        """Let it hear nothing, with its connections open."""
        for proxy in self.proxies:
            proxy.mute()

    def release(self) -> None:
        """Let it connect again after `refuse`, `mute` or `hold_after`; what was held back is lost."""
        for proxy in self.proxies:
            proxy.cut()
            proxy.resume()
            proxy.accept()

    def hold_after(self, count: int) -> None:
        """Let it hear so many more bytes of each member."""
        for proxy in self.proxies:
            proxy.hold_after(count)

    @property
    def is_held(self) -> bool:
        """It hears nothing: the bytes that it was allowed have come."""
        return any(proxy.is_holding for proxy in self.proxies)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
