"""`PoolService` on real etcd, and `enchain pools` and `enchain scale` as their users run them."""

import asyncio
from pathlib import Path
from typing import Any

from enchain.cli import exits
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import Put, put
from enchain.v1 import pool_pb2, pool_pb2_grpc
from enchain.v1.engine_pb2 import Engine, Launch, PoolBounds
from enchain.v1.presence_pb2 import AuditRecord
from tests.harness.commands import Command, Done
from tests.harness.controlplane import FILES, Plane, refusal


def service(plane: Plane) -> Any:
    return pool_pb2_grpc.PoolServiceStub(plane.channel)


async def save(plane: Plane, *, least: int = 0, most: int = 4, command: str = "tool-server") -> None:
    document = Engine(launch=Launch(process=[command]), pool=PoolBounds(min=least, max=most))
    await put(plane.store, [Put(keys.engine("tool"), encode(document))])


def asked(target: int, version: str = "-", **more: Any) -> pool_pb2.UpdatePoolRequest:
    """A request to keep so many instances of `tool`."""
    pool = pool_pb2.Pool(name=f"engines/tool/pools/{version}", target=target, **more)
    return pool_pb2.UpdatePoolRequest(pool=pool, reason="fair")


async def known(plane: Plane) -> None:
    """Let the command's version be known."""
    record = pool_pb2.Pool(name="engines/tool/pools/1.0")
    record.current_since.GetCurrentTime()
    await put(plane.store, [Put(keys.pool("tool", "1.0"), encode(record))])


async def test_a_target_is_set_for_a_version_that_nobody_knows_yet(plane: Plane) -> None:
    await save(plane)

    answer = await service(plane).UpdatePool(asked(3, pinned=True))

    assert (answer.name, answer.target, answer.wanted) == ("engines/tool/pools/-", 3, 3)
    assert (answer.pinned, answer.reason, answer.set_by) == (True, "fair", "anonymous")
    stored = await plane.store.get(keys.pool("tool", "-"))
    assert stored is not None
    assert not decode(pool_pb2.Pool, stored.value).wanted, "what follows from it is not stored"


async def test_without_a_version_the_commands_own_is_meant(plane: Plane) -> None:
    await save(plane)
    await known(plane)

    answer = await service(plane).UpdatePool(asked(2))
    got = await service(plane).GetPool(pool_pb2.GetPoolRequest(name="engines/tool/pools/-"))

    assert answer.name == got.name == "engines/tool/pools/1.0"
    assert got == answer


async def test_every_change_is_audited_and_no_change_is_none(plane: Plane) -> None:
    await save(plane)
    for target in (2, 2, 3):
        await service(plane).UpdatePool(asked(target))

    items = (await plane.store.list(keys.AUDIT)).items
    records = [decode(AuditRecord, item.value) for item in items]
    assert [(each.target, each.reason) for each in records] == [("engines/tool/pools/-", "fair")] * 2


async def test_a_stale_etag_changes_nothing(plane: Plane) -> None:
    await save(plane)
    first = await service(plane).UpdatePool(asked(1))
    await service(plane).UpdatePool(asked(2, etag=first.etag))

    error = await refusal(service(plane).UpdatePool(asked(3, etag=first.etag)))

    assert error.reason == "ETAG_MISMATCH"
    assert (await service(plane).GetPool(pool_pb2.GetPoolRequest(name="engines/tool/pools/-"))).target == 2


async def test_a_dry_run_changes_nothing(plane: Plane) -> None:
    await save(plane)
    request = asked(2)
    request.validate_only = True

    answer = await service(plane).UpdatePool(request)

    assert answer.wanted == 2
    assert await plane.store.get(keys.pool("tool", "-")) is None


async def test_a_target_out_of_the_engines_bounds_is_refused(plane: Plane) -> None:
    await save(plane, least=1, most=4)

    for target in (0, 5, -1):
        error = await refusal(service(plane).UpdatePool(asked(target)))
        assert (error.reason, error.violations[0].field) == ("OUT_OF_RANGE", "pool.target")
        assert "1 to 4" in error.message


async def test_what_nobody_knows_is_not_found(plane: Plane) -> None:
    missing = await refusal(service(plane).UpdatePool(asked(1)))
    await save(plane)
    no_pool = await refusal(service(plane).GetPool(pool_pb2.GetPoolRequest(name="engines/tool/pools/9.9")))
    no_name = await refusal(service(plane).GetPool(pool_pb2.GetPoolRequest(name="engines/tool/pools/a/b")))

    assert {missing.reason, no_pool.reason} == {"POOL_NOT_FOUND"}
    assert no_name.reason == "INVALID_NAME"


async def test_an_engine_with_a_command_has_a_pool_before_anything_was_asked_of_it(plane: Plane) -> None:
    await save(plane)

    listed = await service(plane).ListPools(pool_pb2.ListPoolsRequest(parent="engines/tool"))

    assert [(each.name, each.wanted, each.launchable) for each in listed.pools] == [
        ("engines/tool/pools/-", 0, True)
    ]


async def test_versions_that_merely_have_instances_are_listed_page_by_page(plane: Plane) -> None:
    await save(plane)
    await known(plane)
    await plane.start_engine("files", FILES, "2.1")
    await plane.start_engine("files", FILES, "2.1")

    first = await service(plane).ListPools(pool_pb2.ListPoolsRequest(parent="engines/-", page_size=1))
    second = await service(plane).ListPools(
        pool_pb2.ListPoolsRequest(parent="engines/-", page_size=1, page_token=first.next_page_token)
    )

    assert [(each.name, each.ready) for each in first.pools] == [("engines/files/pools/2.1", 2)]
    assert [each.name for each in second.pools] == ["engines/tool/pools/1.0"]
    assert second.next_page_token == ""


async def run(plane: Plane, folder: Path, *words: str) -> Done:
    command = Command(folder, {"ENCHAIN_CONTROL": plane.address})
    return await asyncio.to_thread(command, *words)


async def test_the_command_scales_pins_and_shows(plane: Plane, tmp_path: Path) -> None:
    await save(plane)

    scaled = await run(plane, tmp_path, "scale", "tool", "2", "--pin", "--reason", "fair")
    again = await run(plane, tmp_path, "scale", "tool", "3", "--reason", "bigger fair")
    shown = await run(plane, tmp_path, "pools", "-o", "json")
    unpinned = await run(plane, tmp_path, "scale", "tool", "3", "--unpin")
    refused = await run(plane, tmp_path, "scale", "tool", "9")

    assert scaled.out.splitlines()[0].split() == [
        "ENGINE", "VERSION", "TARGET", "READY", "STARTING", "DRAINING", "WHY", "PROBLEM",
    ]  # fmt: skip
    assert scaled.out.splitlines()[1].split() == ["tool", "-", "2", "(pinned)", "0", "0", "0", "fair"]
    assert "3 (pinned)" in again.out, "a pin stays until it is taken off"
    assert [(each["name"], each["target"], each["pinned"]) for each in shown.json] == [
        ("engines/tool/pools/-", 3, True)
    ]
    assert "(pinned)" not in unpinned.out
    assert (refused.code, "0 to 4" in refused.err) == (exits.INVALID, True)
