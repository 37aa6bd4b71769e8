"""`enchain experiments show` as its users run it, on a control plane on real etcd."""

import asyncio
from pathlib import Path
from random import Random

from controlplane.catalog.artifacts import ArtifactCatalog
from controlplane.experiments.outcomes import OutcomeReader
from controlplane.loops.outbox import OutboxLoop
from controlplane.services import assemble
from enchain.artifacts.store import DirectoryArtifacts
from enchain.cli import exits
from enchain.process.clock import ManualClock, SystemClock
from enchain.process.servers import Server
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Put, Store, put
from enchain.v1 import experiment_pb2
from tests.harness.commands import Command
from tests.harness.outbox import START, write
from tests.harness.outcomes import assigned, draft


async def running(store: Store) -> None:
    """Put an experiment that runs, one of whose arms is quicker."""
    made = draft()
    made.state = experiment_pb2.Experiment.STATE_RUNNING
    made.goal.metric = "time"
    random = Random(4)
    await write(store, [
        assigned(n, arm=arm, seconds=random.lognormvariate(mean, 0.3))
        for n in range(1000)
        for arm, mean in (("control", 2.0), ("quick", 1.5))
    ])  # fmt: skip
    await OutboxLoop([OutcomeReader()], clock=ManualClock(START), rng=random).sweep(store)
    await put(store, [Put(keys.experiment("site", "faster"), encode(made))])


async def test_what_is_known_is_shown_printed_and_drawn(store: Store, tmp_path: Path) -> None:
    await running(store)
    server, picture = Server("127.0.0.1:0"), tmp_path / "intervals.png"
    assemble(server, store, ArtifactCatalog(DirectoryArtifacts(tmp_path / "a")), clock=SystemClock())
    command = Command(tmp_path, {"ENCHAIN_CONTROL": await server.start()})
    show = ("experiments", "show", "site/faster")
    try:
        shown = await asyncio.to_thread(command, *show, "--png", str(picture))
        told = await asyncio.to_thread(command, *show, "--output", "json")
        gone = await asyncio.to_thread(command, "experiments", "show", "site/nothing")
        older = await asyncio.to_thread(command, *show, "--phase", "3")
    finally:
        await server.stop(0)

    assert shown.code == exits.OK, shown.err
    rows = [line.split() for line in shown.out.splitlines()]
    assert ["quick", "time", "goal", "1000"] in [row[:4] for row in rows]
    assert shown.out.splitlines()[-1].startswith("better (quick): ")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert told.json["arm"] == "quick"
    assert (gone.code, older.code) == (exits.NOT_FOUND, exits.NOT_FOUND)
