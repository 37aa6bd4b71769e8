"""`enchain forecast` and `enchain events` as their users run them, on a control plane on real etcd.

What the tables say is in tests/unit/cli. Here: that command and services fit together, and the exit codes.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from controlplane.catalog.artifacts import ArtifactCatalog
from controlplane.catalog.documents import write
from controlplane.forecast.job_runs import JobRuns
from controlplane.forecast.memory_work import MemoryForecastWork
from controlplane.forecast.serving import Desk
from controlplane.services import assemble
from enchain.artifacts.store import DirectoryArtifacts
from enchain.cli import exits
from enchain.process.clock import SystemClock
from enchain.process.servers import Server
from enchain.state import keys
from enchain.state.store import Store, put
from enchain.v1 import forecast_pb2, workload_pb2
from tests.harness.commands import Command, Done
from tests.harness.forecasts import CPU, ORIGIN, made, publish, with_event
from tests.harness.waiting import eventually

LAUNCH = """
kind: PlannedEvent
workload: site
name: launch
type: campaign
start: 2026-11-30T13:00:00Z
end: 2026-11-30T14:00:00Z
uplift: 3x
"""


@dataclass
class Desktop:
    """A control plane that leads until `leading` is closed, with the workload `site`, and the command."""

    store: Store
    command: Command
    work: MemoryForecastWork = field(default_factory=MemoryForecastWork)
    leading: ExitStack = field(default_factory=ExitStack)

    async def run(self, *words: str) -> Done:
        """Run the command while the control plane serves."""
        return await asyncio.to_thread(self.command, *words)


@pytest.fixture
async def desktop(store: Store, tmp_path: Path) -> AsyncIterator[Desktop]:
    async with AsyncExitStack() as stack:
        server, desk = Server("127.0.0.1:0"), Desk()
        artifacts = ArtifactCatalog(DirectoryArtifacts(tmp_path / "artifacts"))
        assemble(server, store, artifacts, clock=SystemClock(), desk=desk)
        address = await server.start()
        stack.push_async_callback(server.stop, 0)
        made_here = Desktop(store, Command(tmp_path, {"ENCHAIN_CONTROL": address}))
        stack.enter_context(made_here.leading).enter_context(desk.taken(made_here.work))
        await put(store, [write(keys.workload("site"), workload_pb2.Workload(name="workloads/site"))])
        yield made_here


async def test_events_are_created_listed_described_and_deleted(desktop: Desktop) -> None:
    times = ("--start", "2026-12-01T09:00:00+01:00", "--end", "2026-12-01T18:00:00+01:00")
    create = ("events", "create", "site", "launch", "--type", "campaign", *times, "--uplift", "3x")

    created = await desktop.run(*create, "-o", "json")
    again = await desktop.run(*create)
    other = await desktop.run(*create[:-1], "2x")
    listed = await desktop.run("events", "list", "site")
    got = await desktop.run("get", "events")
    described = await desktop.run("describe", "events", "site/launch", "-o", "json")
    deleted = await desktop.run("events", "delete", "site", "launch")
    gone = await desktop.run("delete", "events", "site/launch")

    assert created.json[0]["expected_uplift"] == 3.0
    assert (again.code, other.code) == (exits.OK, exits.CONFLICT)
    assert "2026-12-01 08:00Z" in listed.out
    assert listed.out == got.out
    assert described.json["start_time"] == "2026-12-01T08:00:00Z"
    assert "deleted event site/launch" in deleted.out
    assert gone.code == exits.NOT_FOUND


async def test_what_is_wrong_with_an_event_is_told_with_its_field(desktop: Desktop) -> None:
    times = ("--start", "2026-12-01T09:00Z", "--end", "2026-12-01T08:00Z")

    done = await desktop.run(
        "events", "create", "site", "launch", "--type", "campaign", *times, "--output", "json"
    )

    assert done.code == exits.INVALID
    fault = json.loads(done.err)["error"]["violations"][0]
    assert fault["field"] == "event.end_time"


async def test_events_are_applied_from_documents(desktop: Desktop) -> None:
    file = desktop.command.folder / "events.yaml"
    file.write_text(LAUNCH)

    dry = await desktop.run("apply", "-f", str(file), "--dry-run")
    nothing = await desktop.run("events", "list")
    first = await desktop.run("apply", "-f", str(file))
    again = await desktop.run("apply", "-f", str(file))
    file.write_text(LAUNCH.replace("3x", "learn"))
    changed = await desktop.run("apply", "-f", str(file))
    file.write_text(LAUNCH.replace("3x", "2000x"))
    wrong = await desktop.run("apply", "-f", str(file))

    name = "PlannedEvent workloads/site/plannedEvents/launch"
    assert dry.out.split("  ")[0].strip() == "created"
    assert "nothing found" in nothing.err
    assert [done.out.split(maxsplit=1)[0] for done in (first, again, changed)] == [
        "created", "unchanged", "changed",
    ]  # fmt: skip
    assert name in first.out
    assert wrong.code == exits.INVALID
    assert "events.yaml:8: uplift" in wrong.err


async def test_a_forecast_is_shown_with_all_that_is_known_of_it(desktop: Desktop) -> None:
    await publish(desktop.store, with_event(made()))

    shown = await desktop.run("forecast", "show", "site", "--signal", "cpu")
    as_json = await desktop.run("forecast", "show", "site", "--signal", "cpu", "-o", "json")
    listed = await desktop.run("forecast", "list")

    assert shown.code == exits.OK, shown.err
    assert "site · cpu at 5m, in cores" in shown.out
    for told in ("AHEAD", "WITHOUT EVENTS", "MSTL", "WORKER_DOWN", "launch", "864 values"):
        assert told in shown.out
    assert len(as_json.json["steps"]) == 48
    assert "cpu-5m" in listed.out


async def test_charts_show_history_and_go_without_it_where_nobody_leads(
    desktop: Desktop, tmp_path: Path
) -> None:
    await publish(desktop.store, made())
    desktop.work.measure(CPU, np.full(288, 4.0), start=ORIGIN - 287 * 300)
    file = tmp_path / "fan.png"
    plot = ("forecast", "show", "site", "--signal", "cpu", "--plot")

    both = await desktop.run(*plot, "--png", str(file))
    unasked = await desktop.run(*plot, "--history", "0")
    desktop.leading.close()
    without = await desktop.run(*plot)

    assert both.code == unasked.code == without.code == exits.OK, both.err
    assert "without history" in without.err
    assert "without history" not in unasked.err
    assert "╎ now" in without.out
    assert "╎ now" in both.out
    assert max(map(len, both.out.splitlines()[:20])) <= 100
    assert file.read_bytes().startswith(b"\x89PNG")
    assert f"wrote {file}" in both.err


async def test_what_is_missing_is_told_with_what_to_do(desktop: Desktop) -> None:
    nothing = await desktop.run("forecast", "show", "site", "--signal", "cpu")
    nowhere = await desktop.run("forecast", "show", "nowhere")
    unknown = await desktop.run("forecast", "accuracy", "site", "--signal", "cpu")

    assert {done.code for done in (nothing, nowhere, unknown)} == {exits.NOT_FOUND}
    assert "nothing was measured of cpu" in nothing.err
    assert "OTLP" in nothing.err


async def test_accuracy_is_shown_by_model_and_steps(desktop: Desktop) -> None:
    await publish(desktop.store, made())
    bucket = forecast_pb2.BucketAccuracy(first_step=1, last_step=12, count=96, wql=0.03, coverage_80=0.81)
    known = forecast_pb2.ForecastAccuracy(
        models=[forecast_pb2.ModelAccuracy(model="Combined", buckets=[bucket])]
    )
    await put(desktop.store, [write(keys.accuracy("site", "cpu-5m"), known)])

    done = await desktop.run("forecast", "accuracy", "site", "--signal", "cpu")

    assert done.code == exits.OK, done.err
    assert "Combined  1-12   96" in done.out


async def test_a_training_is_followed_to_its_end(desktop: Desktop) -> None:
    runs = JobRuns(desktop.store, SystemClock())
    training = asyncio.create_task(desktop.run("forecast", "train", "--wait", "--seeds", "1"))
    job = (await eventually(runs.waiting))[0]
    await runs.begin(job.name)
    await runs.report(job.name, 0.5, "epoch 3 of seed 1")
    await runs.succeed(job.name, forecast_pb2.TrainingResult(version="7", adopted=True, series=3))

    done = await training
    watched = await desktop.run("forecast", "watch", job.name.rpartition("/")[2], "-o", "json")

    assert done.code == exits.OK, done.err
    assert "version 7: forecasts take it from now on" in done.out
    assert "succeeded" in done.err
    assert watched.json["training_result"]["version"] == "7"


async def test_a_training_that_is_cancelled_or_fails_ends_with_a_code(desktop: Desktop) -> None:
    runs = JobRuns(desktop.store, SystemClock())
    begun = await desktop.run("forecast", "train", "-o", "json")
    job = begun.json[0]["name"].rpartition("/")[2]
    cancelled = await desktop.run("forecast", "cancel", job)
    watched = await desktop.run("forecast", "watch", job)
    failing = (await desktop.run("forecast", "train", "-o", "json")).json[0]["name"]
    failure = forecast_pb2.ForecastWarning(reason="NO_HISTORY", description="Nothing to learn from.")
    await runs.fail(failing, failure)
    failed = await desktop.run("forecast", "watch", failing)
    listed = await desktop.run("forecast", "jobs")

    assert f"enchain forecast watch {job}" in begun.err
    assert "cancelled" in cancelled.out
    assert (watched.code, failed.code) == (exits.FAILED, exits.FAILED)
    assert "Nothing to learn from. (NO_HISTORY)" in failed.out
    assert listed.out.count("train all grids") == 2


async def test_on_a_terminal_progress_is_a_bar(desktop: Desktop) -> None:
    runs = JobRuns(desktop.store, SystemClock())
    training = asyncio.create_task(
        asyncio.to_thread(desktop.command.on_a_terminal, "forecast", "train", "--wait")
    )
    job = (await eventually(runs.waiting))[0]
    await runs.begin(job.name)
    await runs.succeed(job.name, forecast_pb2.TrainingResult(version="7"))

    code, shown = await training

    assert code == exits.OK, shown
    assert "━" in shown
    assert "the one before was better and stays" in shown
