"""`python -m controlplane.forecast.backtest --data DIR --freq 5min|1h`: how good forecasts would have been.

Runs the models over the past of real series, origin by origin, and prints how good they were; with
`--forecasts` it writes what they forecast. Results go to standard output, progress to standard error. Ends
with 0, with 3 where the data or an option are wrong, and with 1 where a model's process died.
"""

import json
import os
import sys
from pathlib import Path

import click
from rich.console import Console

from controlplane.forecast.backtest.asking import asked, runnable
from controlplane.forecast.backtest.driver import Resources
from controlplane.forecast.backtest.eventfile import events
from controlplane.forecast.backtest.plan import FREQUENCIES, Case, Plan, usual
from controlplane.forecast.backtest.session import SHOWN, Session, Wanted, backtest
from controlplane.forecast.backtest.traces import Choice, cases, instants
from controlplane.forecast.backtest.writing import WIDTH, document, show, write_forecasts
from controlplane.forecast.registry import COMBINED, NAMES
from enchain.chains.errors import CallerError, EnchainError

FAILED = 1
INVALID = 3
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
"""What the numeric libraries read how many threads they may start from."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
    help="Folder of CSV files: `timestamp` and columns of values.",
)  # fmt: skip
@click.option("--freq", type=click.Choice(list(FREQUENCIES)), required=True, help="Grid that is forecast.")
@click.option(
    "--origins", type=click.IntRange(1), default=8, show_default=True, help="Origins that are scored."
)
@click.option("--stride", type=click.IntRange(1), help="Steps between them  [default: 139 or 37]")
@click.option("--horizon", type=click.IntRange(1), default=48, show_default=True, help="Steps ahead.")
@click.option("--models", "names", multiple=True, help="Models, by commas: names, Combined or module:Class.")
@click.option("--members", multiple=True, help="Models that are combined  [default: all]")
@click.option("--forecasts", "out", type=click.Path(dir_okay=False, path_type=Path), help="Write a CSV file.")
@click.option("--columns", multiple=True, help="Of files with several columns only this; may be repeated.")
@click.option("--until", multiple=True, metavar="STEM=TIMESTAMP", help="Cut a file off; may be repeated.")
@click.option(
    "--events", "planned", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV file of planned events: series,name,type,start,end[,uplift].",
)  # fmt: skip
@click.option("--history", type=click.IntRange(1), help="Days models are shown  [default: 14 or 56]")
@click.option(
    "--calibration", type=click.IntRange(0), default=6, show_default=True,
    help="Origins before the scored ones that the combination learns from.",
)  # fmt: skip
@click.option("--spacing", type=click.IntRange(1), help="Steps between those  [default: 48 or 13]")
@click.option(
    "--refit/--no-refit", default=None,
    help="Global models learn anew before the scored origins  [default: at 1h]",
)  # fmt: skip
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Keep forecasts in a folder.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--seed", type=int, default=0, show_default=True, help="All randomness comes from it.")
@click.argument("more", nargs=-1, metavar="[MODEL]...")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def main(
    folder: Path,
    freq: str,
    origins: int,
    stride: int | None,
    horizon: int,
    names: tuple[str, ...],
    members: tuple[str, ...],
    out: Path | None,
    columns: tuple[str, ...],
    until: tuple[str, ...],
    planned: Path | None,
    history: int | None,
    calibration: int,
    spacing: int | None,
    refit: bool | None,  # noqa: FBT001 - click passes flags by name
    cache: Path | None,
    jobs: int,
    seed: int,
    more: tuple[str, ...],
    output: str,
) -> None:
    """Forecast the past of real series, and say how good that would have been.

    Models may also follow one another, as in `--models Combined LSTM Naive`.
    """
    if more and not names:
        raise click.UsageError(f"unexpected {more[0]}: models come after --models")
    plan = usual(
        freq,
        origins=origins,
        stride=stride,
        horizon=horizon,
        calibration=calibration,
        spacing=spacing,
        days=history,
        refit=refit,
        seed=seed,
    )
    try:
        able = runnable((COMBINED, *NAMES), tell)
        wanted = Wanted(
            asked((*names, *more), (*NAMES, COMBINED)) or tuple(name for name in SHOWN if name in able),
            asked(members, NAMES) or tuple(name for name in able if name != COMBINED),
        )
        choice = Choice(plan.step_seconds, columns, instants(until), events(planned) if planned else None)
        _run(cases(folder, choice, plan, tell), wanted, plan, Resources(jobs, cache), out, output)
    except EnchainError as error:
        click.echo(f"error: {error.message}", err=True)
        if error.remedy:
            click.echo(f"  {error.remedy}", err=True)
        sys.exit(INVALID if isinstance(error, CallerError) else FAILED)


def _run(
    found: list[Case], wanted: Wanted, plan: Plan, resources: Resources, out: Path | None, output: str
) -> None:
    threads = str(max(1, (os.cpu_count() or 1) // resources.jobs))
    for name in THREADS:
        os.environ.setdefault(name, threads)  # the pool's processes inherit it
    tell(f"{len(found)} series, models {', '.join(wanted.run)}")
    session = backtest(found, wanted, plan, resources, tell)
    if out is not None:
        write_forecasts(out, session.models, session.made, plan.origins)
    _print(session, output)


def _print(session: Session, output: str) -> None:
    if output == "json":
        click.echo(json.dumps(document(session.results), indent=2))
        return
    show(session.results, Console() if sys.stdout.isatty() else Console(width=WIDTH))


def tell(words: str) -> None:
    """Say what is going on."""
    click.echo(words, err=True)


if __name__ == "__main__":
    main()
