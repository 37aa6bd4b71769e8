"""`python -m benchmarks.scaling --data DIR`: what scaling ahead of demand costs, and what it misses.

Sizes: capacity over demand at one headroom for all series that leaves a share of steps short, for enchain,
other scalers and the oracle, all with the same past. Simulation: requests and instances in virtual time. Ends
with 0 whatever was found: a target that is missed is printed, and is no failure.
"""

import argparse
import json
import sys

from benchmarks.forecasting.asking import tell
from benchmarks.scaling import reading
from benchmarks.scaling.drawing import draw
from benchmarks.scaling.running import Asked, run
from benchmarks.scaling.telling import document, show
from controlplane.forecast.backtest.asking import runnable
from controlplane.forecast.backtest.driver import Resources
from controlplane.forecast.backtest.plan import usual
from controlplane.forecast.registry import LIGHT, NAMES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    reading.add_options(parser)
    asked = parser.parse_args()
    plan = usual(asked.freq)
    cases = reading.read_cases(asked.data, asked.columns, asked.until, plan)
    steps = min(len(case.series) - plan.scored(len(case.series))[0] for case in cases)
    wanted = Asked(
        members=runnable(asked.members.split(",") if asked.members else NAMES, tell),
        walkers=runnable(asked.walkers.split(",") if asked.walkers else tuple(LIGHT), tell),
        steps=min(asked.steps or steps, steps),
        event_steps=asked.event_steps,
        resources=Resources(asked.jobs, asked.cache),
        seed=asked.seed,
        every=asked.every,
    )
    tell(f"{len(cases)} series; the walk has {wanted.steps} steps; seed {wanted.seed}")
    found = run(cases, reading.event_case(cases, asked.data), plan, wanted, tell)
    if asked.png:
        draw(found, asked.png)
    if asked.output == "json":
        json.dump(document(found, asked.seed), sys.stdout, indent=2)
    else:
        show(found, asked.seed)


if __name__ == "__main__":
    main()
