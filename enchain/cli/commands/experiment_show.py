"""`enchain experiments show`: what is known of an experiment, as a table, for programs, or as a picture."""

from pathlib import Path

import click

from enchain.cli.experiment_words import (
    METRIC_HEADINGS,
    PREDICTION_HEADINGS,
    SHARE_HEADINGS,
    conclusion,
    length_line,
    metric_rows,
    prediction_rows,
    share_line,
    share_rows,
    title,
)
from enchain.cli.output import dump, output_option, plain, table
from enchain.cli.running import run
from enchain.client import Client
from enchain.v1 import experiment_pb2


@click.command("show")
@click.argument("name", metavar="WORKLOAD/EXPERIMENT")
@click.option("--phase", type=click.IntRange(1), metavar="N", help="Of which phase.  [default: the newest]")
@click.option(
    "--png", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Draw the intervals over time; needs enchain[plots].",
)  # fmt: skip
@output_option
def show_analysis(name: str, phase: int | None, file: Path | None, output: str) -> None:
    """Show what is known of WORKLOAD/EXPERIMENT. Look as often as you like: intervals stay valid."""
    workload, slash, experiment = name.partition("/")
    if not slash:
        raise click.UsageError("an experiment is named WORKLOAD/EXPERIMENT.")

    async def work(client: Client) -> None:
        request = experiment_pb2.GetAnalysisRequest(
            name=f"workloads/{workload}/experiments/{experiment}", phase=phase or 0, looks=bool(file)
        )
        analysis = await client.experiments.GetAnalysis(request)
        if output != "table":
            dump(plain(analysis), output)
        else:
            _print(analysis)
        if file:
            from enchain.cli.charts.intervals import save_intervals  # noqa: PLC0415 - only where asked for

            save_intervals(analysis, file)
            click.echo(f"wrote {file}", err=True)

    run(work, output=output)


def _print(analysis: experiment_pb2.ExperimentAnalysis) -> None:
    """Print all that is known, for people; what to do stands last."""
    click.echo(title(analysis))
    tables = (
        (metric_rows(analysis), METRIC_HEADINGS),
        (share_rows(analysis), SHARE_HEADINGS),
        (prediction_rows(analysis), PREDICTION_HEADINGS),
    )
    for rows, headings in tables:
        if rows:
            click.echo()
            table(rows, headings)
    click.echo()
    if analysis.sample_ratio.arms:
        click.echo(share_line(analysis))
    if length := length_line(analysis):
        click.echo(length)
    for warning in analysis.warnings:
        click.echo(f"warning: {warning}")
    click.echo(conclusion(analysis))
