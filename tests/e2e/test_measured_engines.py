"""Operations on real engines lead to performance profiles, which the command shows."""

import asyncio
from pathlib import Path
from typing import Any

from enchain.client import Client
from tests.e2e.conftest import House
from tests.harness.commands import Command
from tests.harness.waiting import eventually

SITES = 2


async def described(command: Command, engine: str) -> Any:
    """What the command says of an engine, for programs."""
    done = await asyncio.to_thread(command.here, "describe", "engine", engine, "-o", "json")
    return done.json


async def test_what_engines_did_is_measured_and_shown(house: House, client: Client, tmp_path: Path) -> None:
    command = Command(tmp_path, house.environment)
    for number in range(SITES):
        async for _ in client.provision("site", {"name": "measured"}, resource_id=f"measured-{number}"):
            pass
        async for _ in client.deprovision(f"measured-{number}"):
            pass

    async def measured(verb: str) -> Any:
        """The profile of `site` and `configure` by terraform, once all of this was counted."""
        for profile in (await described(command, "terraform"))["performance_profiles"]:
            if profile["workload"] == "workloads/site" and profile.get(verb, {}).get("count", 0) >= SITES:
                return profile[verb]
        return None

    provision = await eventually(lambda: measured("provision"), within=30)
    deprovision = await eventually(lambda: measured("deprovision"), within=30)
    shown = await asyncio.to_thread(command, "describe", "engine", "process")

    assert provision["success"] == deprovision["success"] == 1.0
    assert 0 < float(provision["duration"]["p50"].removesuffix("s")) < 60
    assert provision["concurrency"][0]["in_flight"] == 1
    rows = [line.split() for line in shown.out.splitlines()]
    assert ["site", "serve"] in [row[:2] for row in rows]
