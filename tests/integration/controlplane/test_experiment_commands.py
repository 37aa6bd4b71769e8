"""`enchain apply` of an experiment and `enchain experiments`, as their users run them, on real etcd."""

import asyncio
from pathlib import Path

import pytest

from enchain.cli import exits
from tests.harness.commands import Command, Done
from tests.harness.controlplane import Plane
from tests.harness.pools import save_engine
from tests.harness.site import routed_to

DOCUMENT = (
    "{kind: Experiment, workload: site, name: ab, arms: {default: 50, via-files: 50}, goal: p95_time}\n"
)


class Desk:
    """The command, on a control plane."""

    def __init__(self, plane: Plane, folder: Path) -> None:
        self.plane = plane
        self.file = folder / "experiment.yaml"
        self.command = Command(folder, {"ENCHAIN_CONTROL": plane.address})

    async def run(self, *words: str) -> Done:
        """Run `enchain` while the control plane serves."""
        return await asyncio.to_thread(self.command, *words)

    async def apply(self, text: str) -> Done:
        """Apply a document."""
        await asyncio.to_thread(self.file.write_text, text)
        return await self.run("apply", "-f", str(self.file))


@pytest.fixture
def desk(saved: Plane, tmp_path: Path) -> Desk:
    return Desk(saved, tmp_path)


async def test_an_experiment_is_applied_started_asked_and_concluded(desk: Desk) -> None:
    applied, again = await desk.apply(DOCUMENT), await desk.apply(DOCUMENT)
    started = await desk.run("experiments", "start", "site/ab", "-o", "json")
    unchanged = await desk.apply(DOCUMENT)
    assigned = await desk.run("experiments", "assign", "site/ab", "one", "-o", "json")
    weighed = await desk.run("experiments", "weights", "site/ab", "default=20", "via-files=80%", "-o", "json")
    ended = await desk.run("experiments", "conclude", "site/ab", "--winner", "via-files", "--promote")
    described = await desk.run("experiments", "describe", "site/ab")
    listed = await desk.run("experiments", "list", "site")

    assert [each.out.split()[0] for each in (applied, again, unchanged)] == [
        "created", "unchanged", "unchanged",
    ]  # fmt: skip
    assert started.json["state"] == "STATE_RUNNING"
    assert assigned.json["reason"] == "ENROLLED"
    # What is 0 is left out, and the control's range begins there.
    assert assigned.json.get("start", 0) <= assigned.json.get("bucket", 0) < assigned.json["end"]
    assert [phase["number"] for phase in weighed.json["phases"]] == [1, 2]
    assert ended.code == exits.OK
    assert "enchain switch show site/" in ended.err
    assert "via-files" in await routed_to(desk.plane)
    for word in ("concluded", "winner via-files", "promoted by", "weights"):
        assert word in described.out
    assert "via-files (OPERATOR)" in listed.out


async def test_attributes_say_whether_a_request_is_eligible(desk: Desk) -> None:
    await desk.apply(
        DOCUMENT.replace("p95_time", "p95_time, eligibility: region == 'eu' && inputs.name == 'x'")
    )
    await desk.run("experiments", "start", "site/ab")
    ask = ("experiments", "assign", "site/ab", "one")

    unasked = await desk.run(*ask)
    taken = await desk.run(*ask, "-a", "region=eu", "--attribute", "inputs.name=x", "-o", "json")
    refused = await desk.run(*ask, "-a", "region=us", "-a", "inputs.name:=3")
    unknown = await desk.run(*ask, "-a", "colour=red")

    assert "whether the request is eligible was not asked (ENROLLED)" in unasked.out
    assert (taken.json["reason"], "not asked" in taken.json["description"]) == ("ENROLLED", False)
    assert "is not true of it (NOT_ELIGIBLE)" in refused.out
    assert unknown.code == exits.USAGE
    assert "`colour` is no attribute; there are tenant, requester" in unknown.err


async def test_a_dry_run_of_weights_and_coverage_changes_nothing(desk: Desk) -> None:
    await desk.apply(DOCUMENT)
    await desk.run("experiments", "start", "site/ab")
    before = await desk.plane.contents()

    weighed = await desk.run(
        "experiments", "weights", "site/ab", "default=20", "via-files=80", "--dry-run", "-o", "json"
    )
    covered = await desk.run("experiments", "coverage", "site/ab", "30", "--dry-run", "-o", "json")
    wrong = await desk.run("experiments", "weights", "site/ab", "default=20", "via-files=70", "--dry-run")

    assert [phase["number"] for phase in weighed.json["phases"]] == [1, 2]
    assert covered.json["phases"][0]["coverage"] == 30
    assert wrong.code == exits.INVALID
    assert await desk.plane.contents() == before


async def test_a_start_that_waits_for_instances_says_for_which(desk: Desk) -> None:
    serving = next(each for each in desk.plane.engines_started if each.instance.engine == "serving")
    await desk.plane.unregister(serving.instance)
    await save_engine(desk.plane.store, ["enchain-engine-process"], name="serving")
    await desk.apply(DOCUMENT)

    tried = await desk.run("experiments", "start", "site/ab", "--dry-run", "-o", "json")
    started = await desk.run("experiments", "start", "site/ab", "--warm-timeout", "90s")
    listed = await desk.run("experiments", "list", "site")
    shown = await desk.run("experiments", "show", "site/ab")
    described = await desk.run("experiments", "describe", "site/ab")
    moved = await desk.run("switch", "site", "via-files")
    ended = await desk.run("experiments", "conclude", "site/ab", "-o", "json")

    assert tried.json["state"] == "STATE_WARMING"
    assert "waiting for serving 1.0: 0 of 1 ready" in started.err
    for told in (listed, shown, described):
        assert "waiting for serving 1.0: 0 of 1 ready" in told.out
    assert " warming " in listed.out
    assert "EXPERIMENT_OWNS_ROUTE" in moved.err
    assert (ended.json["state"], ended.json.get("warming")) == ("STATE_CONCLUDED", None)


async def test_a_fault_names_line_field_cause_and_remedy(desk: Desk) -> None:
    sums = await desk.apply(DOCUMENT.replace("via-files: 50", "via-files: 60"))
    gone = await desk.apply(DOCUMENT.replace("via-files", "nowhere"))
    await desk.apply(DOCUMENT)
    await desk.run("experiments", "start", "site/ab")
    placed = await desk.apply(DOCUMENT.replace("default: 50, via-files: 50", "default: 20, via-files: 80"))
    moved = await desk.run("switch", "site", "via-files")

    assert sums.code == exits.INVALID
    assert "experiment.yaml:1: arms: the weights sum to 110 %" in sums.err
    assert gone.code == exits.NOT_FOUND
    assert "experiment.yaml:1: arms.nowhere" in gone.err
    assert "kind: Chain" in gone.err
    assert placed.code == exits.CONFLICT
    assert "enchain experiments weights" in placed.err
    assert moved.code == exits.CONFLICT
    told = "enchain experiments conclude workloads/site/experiments/ab"
    assert told in moved.err
    assert (await desk.run(*told.split()[1:])).code == exits.OK, "the remedy works as it is written"
