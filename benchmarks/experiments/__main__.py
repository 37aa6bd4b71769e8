"""What conclusions from experiments are worth: false ones, power, and time to decision, by simulation.

Run as `python -m benchmarks.experiments [--runs 2000] [--looks 200] [--only TABLE]`. Tables: `false`,
`power`, `ratio`, `guardrail`, `cuped`, `coverage`, `speed`. Seeds are fixed. A missed goal is printed, and is
no failure.
"""

import argparse
from collections.abc import Callable

from benchmarks.experiments import tables

TABLES: dict[str, Callable[[int, int], None]] = {
    "false": tables.false_positives,
    "power": tables.power,
    "ratio": tables.sample_ratio,
    "guardrail": tables.guardrail,
    "cuped": tables.pre_period,
    "coverage": tables.coverage,
    "speed": tables.speed,
}


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--looks", type=int, default=200)
    parser.add_argument("--only", choices=sorted(TABLES), action="append")
    asked = parser.parse_args()
    for name in asked.only or TABLES:
        TABLES[name](asked.runs, asked.looks)


if __name__ == "__main__":
    main()
