"""What experiments cost a router: one assignment, and a request while fifty experiments are loaded.

Run as `python -m benchmarks.assignment [--output json]`. Times are of CPU, the best of several rounds. Keys
have 28 characters, as ids have that routers make up, unless told. The goals are 3 µs for an assignment and
10 µs more for a request whose workload has fifty experiments in a layer than for one without any. Requests
that lack what an eligibility expression reads cost most: CEL makes an error, and the route decides after
all. A missed goal is printed, and is no failure, since machines differ; ratios say more of a busy machine.
"""

import argparse
import json
import time
import timeit
from collections.abc import Callable
from typing import NamedTuple

from dataplane.routing.choose import choose
from dataplane.table.table import Table, next_table
from enchain.chains import assignment, cohort, routes
from enchain.chains.units import Attributes
from enchain.chains.values import to_struct, to_value_map
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Batch, Event, EventKind, KeyValue
from enchain.v1 import chain_pb2, experiment_pb2

GOAL_ASSIGNMENT_MICROSECONDS = 3.0
GOAL_REQUEST_MICROSECONDS = 10.0
LOADED = 50
CALLS, ROUNDS = 2_000, 25
KEYS = [f"r-01kb{number:022d}" for number in range(CALLS)]
REQUESTS = [
    Attributes(key, tenant="default", region="eu", inputs=to_value_map({"size": "large"})) for key in KEYS
]
SHORT = [Attributes(f"site-{number:07d}") for number in range(CALLS)]


class Measured(NamedTuple):
    """Microseconds of CPU for each call, and how many times the plain hash of a key that is."""

    what: str
    microseconds: float
    ratio: float


def experiment(
    number: int = 0, *, in_layer: bool = False, eligibility: str = "", coverage: float = 100
) -> experiment_pb2.Experiment:
    """Two arms of half the keys each; in a layer the fiftieth part of it."""
    arms = [
        experiment_pb2.Arm(name=name, weight=50, chain=f"workloads/site/chains/{name}@r1") for name in "ab"
    ]
    phase = experiment_pb2.Phase(
        number=1,
        seed=f"01kbseed{number}",
        hash_version=cohort.HASH_VERSION,
        ranges=assignment.ranges(arms, coverage),
    )
    made = experiment_pb2.Experiment(
        name=f"workloads/site/experiments/e{number}",
        state=experiment_pb2.Experiment.STATE_RUNNING,
        arms=arms,
        eligibility=eligibility,
        phases=[phase],
    )
    if in_layer:
        part = cohort.LAYER_SLOTS // LOADED
        made.layer.layer = "layers/all"
        made.layer.start, made.layer.end = number * part, (number + 1) * part
    return made


def table_of(experiments: list[experiment_pb2.Experiment]) -> Table:
    """A router's table of one workload with its chains and these experiments."""
    anything = to_struct({"type": "object"})
    schema = chain_pb2.EngineSchema(inputs=anything, outputs=anything)
    step = chain_pb2.ChainStep(steps=["serve"], engine="process", version="1", schema=schema)
    chain = encode(chain_pb2.Chain(inputs=anything, steps=[step]))
    documents = {keys.chain("site", name, "r1"): chain for name in "ab"}
    documents[keys.route("site")] = encode(routes.whole("workloads/site/chains/a@r1"))
    for one in experiments:
        documents[keys.experiment("site", one.name.rpartition("/")[2])] = encode(one)
    events = [Event(EventKind.PUT, KeyValue(key, value, 1, 1)) for key, value in sorted(documents.items())]
    table = next_table(Table(), Batch(1, tuple(events), resync=True))[0]
    if table.refusals:
        raise SystemExit(f"the table refuses {table.refusals[0].reason}")
    return table


def microseconds(once: Callable[[], object]) -> float:
    """CPU of one call, where `once` makes `CALLS` of them."""
    return min(timeit.repeat(once, number=1, repeat=ROUNDS, timer=time.process_time)) / CALLS * 1e6


def requests_through(table: Table) -> Callable[[], object]:
    """Choose the chain of every request."""
    return lambda: [choose(table, "site", request) for request in REQUESTS]


def measure() -> tuple[list[Measured], dict[str, float]]:
    """Take all times, and what experiments add to a request."""
    alone = assignment.Assigner(experiment())
    eligible = "region == 'eu' && inputs.size == 'large'"
    layered = [experiment(number, in_layer=True) for number in range(LOADED)]
    empty = [experiment(number, in_layer=True, coverage=0.01) for number in range(LOADED)]
    picky, refusing, unsent = (
        [experiment(number, in_layer=True, eligibility=source) for number in range(LOADED)]
        for source in (eligible, eligible.replace("large", "small"), "inputs.colour == 'red'")
    )
    calls: dict[str, Callable[[], object]] = {
        "bucket of seed and key": lambda: [cohort.bucket("01kbseed0", key) for key in KEYS],
        "assignment": lambda: [alone.of_request(request) for request in REQUESTS],
        "assignment, 12 characters": lambda: [alone.of_request(request) for request in SHORT],
        "request without experiments": requests_through(table_of([])),
        "request, 1 experiment": requests_through(table_of([experiment()])),
        "request, 50 experiments": requests_through(table_of(layered)),
        "request, none of 50 takes it": requests_through(table_of(empty)),
        "request, eligible for 50": requests_through(table_of(picky)),
        "request, eligible for none of 50": requests_through(table_of(refusing)),
        "request, lacks an input they read": requests_through(table_of(unsent)),
    }
    times = {what: microseconds(call) for what, call in calls.items()}
    plain, none = times["bucket of seed and key"], times["request without experiments"]
    added = {what: taken - none for what, taken in times.items() if what.startswith("request, ")}
    return [Measured(what, taken, taken / plain) for what, taken in times.items()], added


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", choices=("text", "json"), default="text")
    asked = parser.parse_args()
    measured, added = measure()
    if asked.output == "json":
        print(json.dumps({"measured": [one._asdict() for one in measured], "added": added}, indent=2))
        return
    for one in measured:
        print(f"{one.what:33} {one.microseconds:7.2f} µs  {one.ratio:5.2f} times a plain hash")
    taken = next(one.microseconds for one in measured if one.what == "assignment")
    print(f"an assignment takes {taken:.2f} µs; the goal is {GOAL_ASSIGNMENT_MICROSECONDS:g}")
    for what, more in added.items():
        print(f"{what}: {more:+.2f} µs; the goal is {GOAL_REQUEST_MICROSECONDS:g}")


if __name__ == "__main__":
    main()
