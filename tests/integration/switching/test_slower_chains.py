"""A chain whose steps succeed, and take longer, is taken back by itself. A real engine, and scripts."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from enchain.chains.values import Json, to_struct, to_value_map
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import Put, Store, put
from enchain.v1 import chain_pb2, engine_pb2, evidence_pb2
from tests.harness.routers import put_chain, running_router
from tests.harness.switching import Desk, Ended, Switch, chain_service, leading
from tests.harness.waiting import eventually

BEFORE = 16
"""Provisions on the old chain; five that are late then say that the new one is slower."""

AT_ONCE = 2
"""So few, that most of what is late has ended."""

WATCH = Duration(seconds=60)
"""Longer than the test takes."""


OBJECT: Json = {"type": "object"}
INPUTS: Json = {"type": "object", "properties": {"run": {"type": "array"}, "with": OBJECT}}


def sleeping(seconds: float, version: str) -> chain_pb2.Chain:
    """A chain of one step: a script that sleeps, and succeeds."""
    script = f'cat >/dev/null; sleep {seconds:.2f}; echo \'{{"enchain": "result", "ok": true}}\''
    made = chain_pb2.Chain(
        inputs=to_struct({"type": "object", "properties": {"name": {"type": "string"}}}),
        steps=[
            chain_pb2.ChainStep(
                steps=["configure"],
                engine="script",
                version=version,
                inputs=to_value_map({"run": ["sh", "-c", script], "with": {}}),
                schema=chain_pb2.EngineSchema(inputs=to_struct(INPUTS), outputs=to_struct(OBJECT)),
            )
        ],
    )
    made.timeout.FromSeconds(60)
    return made


@asynccontextmanager
async def script_engine(etcd: str, folder: Path) -> AsyncIterator[None]:
    """Run the script engine's server as a process of its own."""
    with (folder / "engine.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "enchain.engines.script.main",
            f"--etcd={etcd}", f"--scope={folder / 'scope'}", f"--artifacts={folder}", "--listen=127.0.0.1:0",
            stdin=asyncio.subprocess.DEVNULL, stderr=log,
            env={**os.environ, "PYTHONPATH": os.getcwd()},  # noqa: PTH109 - the checkout's root
        )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def version_of(store: Store) -> str:
    """Wait until the engine is registered; answer its version."""

    async def registered() -> str:
        items = (await store.list(f"{keys.INSTANCES}script/")).items
        return decode(engine_pb2.EngineInstance, items[0].value).version if items else ""

    return await eventually(registered, within=30)


@pytest.fixture
async def desk(etcd: str, store: Store, tmp_path: Path) -> AsyncIterator[Desk]:
    """The site on a chain that sleeps for a moment, with a history."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(script_engine(etcd, tmp_path))
        old = await put_chain(store, sleeping(0.05, await version_of(store)))
        running = [await stack.enter_async_context(running_router(store, f"r{n}")) for n in range(2)]
        stub = await stack.enter_async_context(chain_service(store, tmp_path))
        await stack.enter_async_context(leading(store))
        yield Desk(store, old, old, running, stub)


async def wave(desk: Desk, name: str) -> list[Ended]:
    return list(await asyncio.gather(*(desk.provision(f"{name}-{n}", n) for n in range(AT_ONCE))))


async def longest(desk: Desk) -> float:
    """Wait until all provisions on the old chain are counted; answer how long the longest took."""

    async def counted() -> list[float]:
        item = await desk.store.get(keys.learned("switch-evidence", "site/default@r1"))
        known = decode(evidence_pb2.ChainOutcomes, item.value) if item else evidence_pb2.ChainOutcomes()
        return list(known.seconds) if known.operations == BEFORE else []

    return max(await eventually(counted, within=30))


async def add_chain(desk: Desk, chain: chain_pb2.Chain) -> str:
    """Save another chain, and leave the route where it is."""
    name = "workloads/site/chains/slower@r1"
    await put(desk.store, [Put(keys.chain("site", "slower", "r1"), encode(chain))])
    return name


async def test_a_slower_chain_is_taken_back_though_everything_on_it_succeeds(desk: Desk) -> None:
    past = [await wave(desk, f"past-{number}") for number in range(BEFORE // AT_ONCE)]
    # However busy this machine is: longer than any before, by more than is let pass.
    seconds = max(2 * await longest(desk), 0.5)
    desk.new = await add_chain(desk, sleeping(seconds, await version_of(desk.store)))

    made = await desk.switch(watch_timeout=WATCH, reason="to see")
    seen: list[Ended] = []
    while (await desk.read(made.name)).state != Switch.STATE_ROLLED_BACK:
        assert len(seen) <= 4 * BEFORE, "it was not noticed"
        seen += await wave(desk, f"new-{len(seen)}")
    after = await wave(desk, "after")
    ended = await desk.read(made.name)

    sys.stdout.write(f"\nscripts sleep for {seconds:.2f} s: {ended.rollback_reason}\n{len(seen)} since\n")
    everything = [each for some in past for each in some] + seen + after
    assert {each.state for each in everything} == {"SUCCEEDED"}
    assert ended.rollback_reason.startswith("SLOWER: provisions take ")
    evidence = ended.evidence
    assert (evidence.verdict, evidence.before.chain, evidence.after.chain) == ("SLOWER", desk.old, desk.new)
    assert (evidence.before.operations, evidence.before.failures, evidence.after.failures) == (BEFORE, 0, 0)
    assert evidence.after.operations > 0
    assert evidence.after.mean_seconds >= seconds > evidence.before.mean_seconds
    assert await desk.routed_to() == desk.old
    assert {each.chain for each in after} == {desk.old}
    assert {each.chain for each in seen[:AT_ONCE]} == {desk.new}
