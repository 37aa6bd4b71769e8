"""What people are shown of a pool."""

from controlplane.switching.launch_states import DRAINING, ENDED, FAILED, READY, STARTING
from controlplane.switching.pool_targets import Need
from controlplane.switching.pool_view import shown
from controlplane.switching.pool_world import World
from enchain.chains.decision_names import PoolName
from enchain.cli.commands.pools import POOL_COLUMNS
from enchain.v1.pool_pb2 import Pool
from tests.harness.pool_worlds import PATIENCE, V1, V2, engine, instance, launch, pool, world


def view(seen: World, name: PoolName = V1) -> Pool:
    return shown(seen, name, PATIENCE)


def line(told: Pool) -> list[str]:
    """The line of `enchain pools`, the engine left out."""
    return [str(column(told)) for name, column in POOL_COLUMNS.items() if name != "engine"]


def test_what_is_there_is_counted_whoever_runs_it() -> None:
    seen = world(
        pools=[pool(target=4, reason="fair")],
        document=engine(),
        launches=[
            launch(1),
            launch(2, DRAINING, deadline=60),
            launch(3, STARTING, deadline=60),
            launch(4, ENDED, ready=-500, ended=-400, reason="SURPLUS"),
        ],
        instances=[instance(1), instance(2, draining=True), instance(8), instance(9, draining=True)],
    )

    told = view(seen)

    assert line(told) == ["1.0", "4", "2", "1", "2", "fair", ""]
    assert [each.name[-1] for each in told.launches] == ["3", "2", "1"], "newest first, none that is over"
    assert told.launchable


def test_a_version_that_merely_has_instances_is_shown_too() -> None:
    told = view(world(instances=[instance(8)], needs={V1: Need(routes=("site",))}))

    assert line(told) == ["1.0", "-", "1", "0", "0", "run by others", ""]
    assert (told.floor, told.floor_reason) == (1, "routes of site lead to it")


def test_why_instances_are_not_there_is_said_with_the_next_attempt() -> None:
    failed = launch(1, FAILED, ended=0, attempts=3, reason="ENDED", description="exit code 1")
    said = "ENDED: exit code 1 (3 in a row did not come up; next try after 12:00:04Z)"

    assert view(world(pools=[pool()], document=engine(), launches=[failed])).problem == said
    again = launch(2, STARTING, deadline=60, attempts=4)
    assert view(world(pools=[pool()], document=engine(), launches=[failed, again])).problem == said
    well = [failed, launch(2, READY, ready=9)]
    assert (
        view(world(pools=[pool()], document=engine(), launches=well, instances=[instance(2)])).problem == ""
    )


def test_what_cannot_be_launched_here_says_what_to_do() -> None:
    nowhere = view(world(pools=[pool(target=2)], document=engine(command=False), instances=[instance(8)]))
    old = view(world(pools=[pool(V1, 1), pool(V2, 0, current=-1)], document=engine()))

    assert nowhere.problem.startswith("1 more are wanted: engines/tool names no command")
    assert old.problem.startswith("1 more are wanted: the engine's command starts 2.0, not 1.0")
    assert not nowhere.launchable


def test_a_pin_shows() -> None:
    told = view(world(pools=[pool(target=0, pinned=True)], document=engine(), needs={V1: Need(operations=2)}))

    assert line(told)[1] == "0 (pinned)"
    assert told.problem == "pinned at 0, and 1 are asked for: 2 running operations need it"
