"""`python -m controlplane.offline --from METRICS.csv --workload FILE`: a recommendation without a cluster.

`enchain recommend --from` starts it. Results go to standard output, progress to standard error. Ends with 0,
with 3 where a file is wrong, and with 1 where no chain meets the service level.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from controlplane.offline import demand
from controlplane.offline.documents import load
from controlplane.offline.known import capacity_of, known_of, missing
from controlplane.planning.assembling import assemble
from controlplane.planning.documents import problem_of, recommendation_of
from controlplane.planning.plan import plan
from enchain.chains.errors import EnchainError
from enchain.chains.names import workload_id
from enchain.cli.charts.fan import fan_of
from enchain.cli.charts.picture import save_picture
from enchain.cli.charts.terminal import print_chart
from enchain.cli.exits import FAILED, INVALID, OK
from enchain.cli.output import plain, table
from enchain.cli.recommendations import RIVAL_COLUMNS, lines, rival_rows
from enchain.v1 import recommendation_pb2


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--from", "metrics", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True
)
@click.option(
    "--workload", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True
)
@click.option("--png", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--output", type=click.Choice(["table", "json", "yaml"]), default="table")
def main(metrics: Path, file: Path, png: Path | None, output: str) -> None:
    """Plan from files."""
    try:
        sys.exit(_recommend(metrics, file, png, output))
    except EnchainError as error:
        click.echo(f"error: {error.message}\n  → {error.remedy}\n  ({error.reason})", err=True)
        sys.exit(INVALID)


def _recommend(metrics: Path, file: Path, png: Path | None, output: str) -> int:
    now = datetime.now(UTC)
    written = load(file)
    workload = workload_id(written.workload.name)
    measured = demand.measured(metrics, workload, now, lambda words: click.echo(words, err=True))
    requests = measured.get("requests")
    known = known_of(
        written,
        {name: each.forecast for name, each in measured.items()},
        _resources(written.workload.demand.unit, measured),
    )
    first = next(iter(measured.values()))
    planned_at = datetime.fromtimestamp(first.forecast.origin_time.seconds, UTC)
    inputs = assemble(known, planned_at)
    for engine in inputs.engines:
        engine.capacity = capacity_of(engine.engine, written.expectations)
    made = recommendation_of(plan(problem_of(inputs)), inputs)
    made.name = f"workloads/{workload}/recommendations/offline"
    for gap in missing(written):
        made.reasons.add(
            reason="NOT_STATED", description=f"nothing is known of {gap}: state it as an Expectation"
        )
    _show(made, requests or first, png, output)
    return OK if made.chosen.feasible else FAILED


def _resources(unit: object, measured: dict[str, demand.Measured]) -> int:
    """Answer how many resources there are: as many as the newest utilisation takes."""
    counts = [
        float(each.newest[-1]) / unit[name]  # type: ignore[index]  # a protobuf map
        for name, each in measured.items()
        if name in unit and unit[name] > 0  # type: ignore[operator,index]  # likewise
    ]
    return round(max(counts, default=0.0))


def _show(
    made: recommendation_pb2.Recommendation, shown: demand.Measured, png: Path | None, output: str
) -> None:
    fan = fan_of(shown.forecast, shown.history)
    if png is not None:
        save_picture(fan, png, note="\n".join(lines(made)[:1]))
        click.echo(f"wrote {png}", err=True)
    if output != "table":
        click.echo(json.dumps(plain(made), indent=2))
        return
    print_chart(fan)
    click.echo()
    for line in lines(made):
        click.echo(line)
    click.echo()
    table(rival_rows(made), RIVAL_COLUMNS)


if __name__ == "__main__":
    main()
