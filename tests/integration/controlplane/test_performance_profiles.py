"""Performance profiles over gRPC and by the command, on real etcd, out of entries that a loop folds."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from controlplane.catalog.profiles import ProfileCatalog, Reckoned
from controlplane.demand.request_rate import RequestRateReader
from controlplane.loops.election import Election
from controlplane.loops.outbox import OutboxLoop
from controlplane.profiles import starts
from controlplane.profiles.reader import ProfileReader
from enchain.cli import exits
from enchain.process.clock import SystemClock
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Put, put
from enchain.v1 import engine_pb2, workload_pb2
from tests.harness.commands import Command
from tests.harness.controlplane import Plane, refusal
from tests.harness.outbox import START, waiting, write
from tests.harness.profiles import CLEAN, ended, step
from tests.harness.site import save_site
from tests.harness.waiting import eventually

ENTRIES = [
    *(ended(step(float(seconds)), step(0.5, name="serve", engine="process")) for seconds in range(1, 41)),
    *(ended(step(2, outcome=CLEAN, code="NO_QUOTA")) for _ in range(10)),
    ended(step(3, version="2026/03 β"), workload="shop"),
]


@pytest.fixture
async def measured(plane: Plane) -> AsyncIterator[Plane]:
    """A control plane whose leader has folded those entries, and an engine that was launched before."""
    await write(plane.store, ENTRIES)
    started = starts.fold(starts.empty("terraform", "1.15.0"), 4.5, START)
    await put(plane.store, [Put(keys.starts("terraform", "1.15.0"), encode(started))])
    clock, rng = SystemClock(), Random(0)
    loop = OutboxLoop((RequestRateReader(), ProfileReader()), clock=clock, rng=rng, gather_seconds=0)
    election = Election(plane.store, "one", plane.address, ttl_seconds=5, clock=clock, rng=rng)
    leader = asyncio.create_task(election.run((loop,)), name="lead")
    try:
        await eventually(lambda: _folded(plane), within=30)
        yield plane
    finally:
        leader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leader


async def _folded(plane: Plane) -> bool:
    return not await waiting(plane.store)


async def listed(plane: Plane, parent: str = "workloads/-", **fields: Any) -> Any:
    request = engine_pb2.ListPerformanceProfilesRequest(parent=parent, **fields)
    return await plane.engines.ListPerformanceProfiles(request)


async def get(plane: Plane, profile: str) -> Any:
    name = f"workloads/{profile.replace('/', '/performanceProfiles/', 1)}"
    return await plane.engines.GetPerformanceProfile(engine_pb2.GetPerformanceProfileRequest(name=name))


async def test_a_profile_says_what_an_engine_was_measured_to_do(measured: Plane) -> None:
    profile = await get(measured, "site/configure.terraform@1.15.0")

    assert (profile.provision.count, profile.provision.success) == (50, 0.8)
    assert dict(profile.provision.failures) == {"NO_QUOTA": 0.2}
    assert abs(profile.provision.duration.p50.ToTimedelta() / timedelta(seconds=20) - 1) < 0.011
    assert profile.cold_start.mean.ToTimedelta() == timedelta(seconds=4.5)


async def test_profiles_are_listed_by_workload_and_by_engine_page_by_page(measured: Plane) -> None:
    every = [each.name for each in (await listed(measured)).performance_profiles]
    first = await listed(measured, page_size=2)
    second = await listed(measured, page_size=2, page_token=first.next_page_token)
    of_engine = (await listed(measured, "workloads/site", engine="process")).performance_profiles

    assert every == [
        "workloads/shop/performanceProfiles/configure.terraform@2026%2F03%20%CE%B2",
        "workloads/site/performanceProfiles/configure.terraform@1.15.0",
        "workloads/site/performanceProfiles/serve.process@1.15.0",
    ]
    assert [each.name for page in (first, second) for each in page.performance_profiles] == every
    assert [each.engine for each in of_engine] == ["process"]
    assert (await listed(measured, "workloads/none")).performance_profiles == []


async def test_an_odd_version_is_got_by_its_name_and_shown_as_it_is(measured: Plane) -> None:
    profile = await get(measured, "shop/configure.terraform@2026%2F03%20%CE%B2")

    assert (profile.version, profile.provision.count) == ("2026/03 β", 1)


async def test_what_was_never_measured_and_what_is_no_name_are_refused(plane: Plane) -> None:
    missing = await refusal(get(plane, "site/configure.terraform@9"))
    wrong = await refusal(get(plane, "site/configure"))
    parent = await refusal(listed(plane, "workloads/No"))

    assert (missing.reason, wrong.violations[0].field) == ("PROFILE_NOT_FOUND", "name")
    assert parent.violations[0].field == "parent"


async def test_all_profiles_of_a_workload_are_read_at_once_and_anew_once_they_have_changed(
    measured: Plane,
) -> None:
    catalog = ProfileCatalog(measured.store)
    first = await catalog.of_workload("site")
    await write(measured.store, [ended(step(7))])
    await eventually(lambda: _folded(measured), within=30)

    again = await catalog.of_workload("site")

    assert [each.provision.count for each in first] == [50, 40]
    assert [each.provision.count for each in again] == [51, 40]
    assert list(again) == list(await ProfileCatalog(measured.store).of_workload("site"))


async def test_only_what_has_changed_is_reckoned_again_by_whichever_catalogue(measured: Plane) -> None:
    reckoned = Reckoned()
    first = await ProfileCatalog(measured.store, reckoned).of_workload("site")
    first[0].provision.count = 0
    again = await ProfileCatalog(measured.store, reckoned).of_workload("site")
    assert (reckoned.times, [each.provision.count for each in again]) == (2, [50, 40])

    await write(measured.store, [ended(step(7))])
    await eventually(lambda: _folded(measured), within=30)
    await ProfileCatalog(measured.store, reckoned).of_workload("site")

    assert reckoned.times == 3


async def test_a_workload_takes_its_profiles_with_it_and_no_others(site: Plane) -> None:
    saved = await save_site(site)
    reader = ProfileReader()
    for subject in ("site/configure.files@1.0", "sites/configure.files@1.0"):
        value = encode(reader.empty(subject))
        await put(site.store, [Put(keys.learned("profiles", subject), value)])

    request = workload_pb2.DeleteWorkloadRequest(name="workloads/site", etag=saved.etag)
    await site.workloads.DeleteWorkload(request)

    left = (await site.store.list(keys.PROFILES)).items
    assert [item.key for item in left] == [f"{keys.PROFILES}sites/configure.files@1.0"]


async def test_statistics_that_cannot_be_read_hide_no_others(measured: Plane) -> None:
    await put(measured.store, [Put(f"{keys.PROFILES}site/serve.process@1.15.0", b"oops")])
    await put(measured.store, [Put(keys.starts("terraform", "1.15.0"), b"oops")])

    found = (await listed(measured, "workloads/site")).performance_profiles

    assert [(each.engine, each.HasField("cold_start")) for each in found] == [("terraform", False)]


async def test_the_command_describes_an_engine_with_what_it_was_measured_to_do(
    measured: Plane, tmp_path: Path
) -> None:
    command = Command(tmp_path, {"ENCHAIN_CONTROL": measured.address})
    await measured.engines.CreateEngine(
        engine_pb2.CreateEngineRequest(engine_id="terraform", engine=engine_pb2.Engine(description="Plans"))
    )

    shown = await asyncio.to_thread(command, "describe", "engine", "terraform")
    whole = await asyncio.to_thread(command, "describe", "engines", "terraform", "-o", "json")
    missing = await asyncio.to_thread(command, "describe", "engine", "nothing")

    assert shown.code == exits.OK, shown.err
    assert "engine terraform: Plans" in shown.out
    rows = [line.split() for line in shown.out.splitlines()]
    assert ["site", "configure", "1.15.0", "provision", "50", "80.0%"] in [row[:6] for row in rows]
    assert "site configure 1.15.0 provision: fails by NO_QUOTA 20.0%" in shown.out
    assert [each["provision"]["count"] for each in whole.json["performance_profiles"]] == [1, 50]
    assert whole.json["name"] == "engines/terraform"
    assert missing.code == exits.NOT_FOUND
