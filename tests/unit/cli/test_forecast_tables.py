"""What `enchain forecast` says in its tables, and how its group is put together."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from controlplane.demand.signals import Signal
from controlplane.forecast.documents import forecast_message
from enchain.cli import exits
from enchain.cli.commands.forecast import COMMANDS
from enchain.cli.commands.forecast_jobs import JOB_COLUMNS, task
from enchain.cli.forecasts import (
    accuracy_rows,
    distance,
    event_rows,
    freshness,
    share_rows,
    step_rows,
    title,
    warning_lines,
)
from enchain.cli.job_progress import outcome, words
from enchain.cli.main import main
from enchain.v1 import forecast_pb2
from tests.harness.forecasts import ORIGIN, made, with_event


def test_a_table_shows_round_distances_and_the_last_step() -> None:
    rows, headings = step_rows(forecast_message(made()))

    assert headings == ["at", "ahead", "10 %", "50 %", "90 %", "99 %"]
    assert [row[1] for row in rows] == ["5m", "15m", "30m", "1h", "2h", "4h"]
    assert rows[0][0] == "Mon 12:05Z"


def test_with_and_without_events_stand_side_by_side() -> None:
    rows, headings = step_rows(forecast_message(with_event(made(), uplift=3.0, first=11, last=12)))

    assert headings[-1] == "50 % without events"
    hour = next(row for row in rows if row[1] == "1h")
    assert float(hour[3]) == pytest.approx(3 * float(hour[-1]), rel=0.01)


def test_a_forecast_says_of_what_it_is_and_how_fresh() -> None:
    forecast = forecast_message(made(Signal.MEMORY, level=3e9))
    now = datetime.fromtimestamp(ORIGIN, UTC) + timedelta(minutes=2)

    told = freshness(forecast, now)

    assert title(forecast) == "site · memory at 5m, in GiB"
    assert "made 1m40s ago from data up to 2026-11-30 12:00Z" in told
    assert "days of history" in told
    assert "864 values, 1% missing" in told
    assert "left out: 3 NAN" in told


def test_shares_are_told_by_steps_and_a_dropped_model_with_its_reason() -> None:
    rows, headings = share_rows(forecast_message(made()))

    assert headings == ["model", "steps 1-3", "steps 4-12", "steps 13-48", "note"]
    assert rows[0] == ["MSTL", "40%", "50%", "60%", ""]
    assert rows[2] == ["LSTM", "-", "-", "-", "the worker is down (WORKER_DOWN)"]


def test_buckets_that_are_not_told_are_numbered() -> None:
    _, headings = share_rows(forecast_message(replace(made(), bucket_ends=())))

    assert headings[1:4] == ["bucket 1", "bucket 2", "bucket 3"]


def test_an_event_tells_its_uplift_how_sure_and_from_what() -> None:
    forecast = forecast_message(with_event(made(), uplift=3.0))
    learned = forecast_pb2.EventEffect(
        event="workloads/site/plannedEvents/sale", uplift=2.0, uplift_spread=1.25, learned_from=4
    )
    forecast.events.append(learned)

    rows, _ = event_rows(forecast)

    assert rows == [
        ["launch", "3x", "2.3x to 3.9x", "3x", "what is expected"],
        ["sale", "2x", "1.6x to 2.5x", "-", "4 past events"],
    ]


def test_warnings_tell_remedy_and_code() -> None:
    assert warning_lines(forecast_message(made()).warnings) == [
        "warning: the forecasting worker is down → It is started again by itself. (WORKER_DOWN)"
    ]


def test_accuracy_is_a_row_for_each_model_and_bucket() -> None:
    bucket = forecast_pb2.BucketAccuracy(
        first_step=1, last_step=12, count=96, wql=0.0312, relative_wql=0.241, mase=0.4, smape=0.05,
        coverage_80=0.81, below_90=0.9, below_95=0.955, below_99=0.99,
    )  # fmt: skip
    models = [forecast_pb2.ModelAccuracy(model=name, buckets=[bucket]) for name in ("Combined", "MSTL")]

    rows, headings = accuracy_rows(forecast_pb2.ForecastAccuracy(models=models))

    assert len(headings) == len(rows[0])
    assert [row[0] for row in rows] == ["Combined", "MSTL"]
    assert rows[0][1:5] == ["1-12", "96", "0.031", "0.24"]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0s"), (59, "59s"), (300, "5m"), (5400, "1h30m"), (86_400, "1d"), (90_061, "1d1h")],
)
def test_distances_have_two_parts_at_most(seconds: int, told: str) -> None:
    assert distance(seconds) == told


def test_a_job_says_what_it_does_and_how_it_stands() -> None:
    job = forecast_pb2.ForecastJob(
        name="forecastJobs/01J",
        training=forecast_pb2.TrainForecasterRequest(seeds=2),
        state=forecast_pb2.JOB_STATE_RUNNING,
        progress=0.4,
        activity="epoch 3 of seed 1",
    )

    columns: list[Any] = list(JOB_COLUMNS.values())
    assert [column(job) for column in columns[:5]] == [
        "01J", "train all grids, 2 seeds", "running", "40%", "epoch 3 of seed 1",
    ]  # fmt: skip
    assert words(job) == "running 40%: epoch 3 of seed 1"
    asked = forecast_pb2.BacktestRequest(forecast="workloads/site/forecasts/cpu-5m", origins=8)
    assert task(forecast_pb2.ForecastJob(backtest=asked)) == "backtest site cpu-5m, 8 origins"


def test_only_a_job_that_succeeded_is_done() -> None:
    codes = {
        state: outcome(forecast_pb2.ForecastJob(state=state)) for state in forecast_pb2.JobState.values()
    }

    done = [forecast_pb2.JobState.Name(state) for state, code in codes.items() if code == exits.OK]
    assert done == ["JOB_STATE_SUCCEEDED"]


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"backtest"}))
def test_every_command_of_the_group_explains_itself(name: str) -> None:
    done = CliRunner().invoke(main, ["forecast", name, "--help"])

    assert done.exit_code == exits.OK, done.output
    assert done.stdout.startswith(f"Usage: main forecast {name}")


def test_the_group_explains_itself_without_grpc_or_protobuf() -> None:
    program = (
        "import sys\n"
        "from enchain.cli.main import main\n"
        "try: main(['forecast', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(m in ('grpc', 'rich') or m.startswith('google.protobuf') for m in sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, "enchain forecast --help imports gRPC, protobuf or rich"
    assert "backtest" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["forecast", "nothing"],
        ["forecast", "show", "site", "--signal", "gpu"],
        ["forecast", "show", "site", "--grid", "7m"],
        ["forecast", "train", "--seeds", "9"],
    ],
)
def test_wrong_usage_of_the_group_is_told_at_once(words: list[str]) -> None:
    done = CliRunner(env={"ENCHAIN_CONTROL": "127.0.0.1:1"}).invoke(main, words)

    assert done.exit_code == exits.USAGE
