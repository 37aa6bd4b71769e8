"""What backtests and trainings may ask for, and what is filled in."""

import pytest

from controlplane.catalog.job_rules import backtest_job, ended, fingerprint, request_id_of, training_job
from enchain.chains.errors import InvalidArgumentError
from enchain.v1 import forecast_pb2


def backtest(**fields: object) -> forecast_pb2.BacktestRequest:
    return forecast_pb2.BacktestRequest(forecast="workloads/site/forecasts/cpu-5m", **fields)  # type: ignore[arg-type]  # fields by name


def test_what_was_left_out_is_filled_in_by_the_grid() -> None:
    five_minutes = backtest_job(backtest(), 300).backtest
    hours = backtest_job(backtest(), 3600).backtest

    assert (five_minutes.origins, five_minutes.stride, five_minutes.horizon) == (8, 139, 48)
    assert (hours.origins, hours.stride, hours.horizon) == (8, 37, 48)
    assert training_job(forecast_pb2.TrainForecasterRequest()).training.seeds == 2


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({"origins": -1}, ["origins"]),
        ({"origins": 65, "stride": -5, "horizon": 289}, ["origins", "stride", "horizon"]),
        ({"models": ["Theta", "Oracle"]}, ["models[1]"]),
    ],
)
def test_a_wrong_backtest_is_refused_with_every_fault(fields: dict[str, object], faults: list[str]) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        backtest_job(backtest(**fields), 300)

    assert [fault.field for fault in caught.value.violations] == faults


def test_a_wrong_training_is_refused_with_every_fault() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        training_job(forecast_pb2.TrainForecasterRequest(grid="7m", seeds=9))

    assert [fault.field for fault in caught.value.violations] == ["seeds", "grid"]


def test_combined_is_a_model_too() -> None:
    assert backtest_job(backtest(models=["Combined"]), 300).backtest.models == ["Combined"]


def test_a_fingerprint_is_of_the_task_alone() -> None:
    one = backtest_job(backtest(request_id="a"), 300)
    same = backtest_job(backtest(request_id="b", origins=8), 300)
    other = backtest_job(backtest(request_id="a", origins=9), 300)

    assert fingerprint(one) == fingerprint(same) != fingerprint(other)
    assert request_id_of(one) == "a"


@pytest.mark.parametrize("state", forecast_pb2.JobState.values())
def test_a_job_ends_once(state: forecast_pb2.JobState.ValueType) -> None:
    word = forecast_pb2.JobState.Name(state)

    assert ended(forecast_pb2.ForecastJob(state=state)) == word.endswith(("SUCCEEDED", "FAILED", "CANCELLED"))
