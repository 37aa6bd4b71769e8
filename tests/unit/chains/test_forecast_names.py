"""Names of planned events, forecasts and jobs. What all names have in common is in `test_names.py`."""

from collections.abc import Callable

import pytest

from enchain.chains.errors import InvalidArgumentError
from enchain.chains.names import ForecastName, PlannedEventName, forecast_job_id, forecast_job_name

JOB = "01J0ABCDEFGHJKMNPQRSTVWXYZ"


@pytest.mark.parametrize(
    "name",
    [PlannedEventName("site", "launch-2"), ForecastName("site", "cpu-5m"), ForecastName("s", "requests-1h")],
)
def test_what_is_put_together_comes_apart_again(name: PlannedEventName | ForecastName) -> None:
    assert type(name).parse(str(name)) == name


def test_what_belongs_to_a_forecast_is_named_after_it() -> None:
    name = ForecastName("site", "memory-1h")

    assert name.accuracy == "workloads/site/forecasts/memory-1h/accuracy"
    assert name.demand == "workloads/site/forecasts/memory-1h/demand"
    assert ForecastName.parse(name.accuracy, part="accuracy") == name
    assert ForecastName.parse(name.demand, part="demand") == name


def test_a_job_is_named_by_its_id() -> None:
    assert forecast_job_id(forecast_job_name(JOB)) == JOB


@pytest.mark.parametrize(
    ("parse", "name"),
    [
        (PlannedEventName.parse, "workloads/site/plannedEvents/Launch"),
        (PlannedEventName.parse, "workloads/site/events/launch"),
        (PlannedEventName.parse, "workloads/-/plannedEvents/launch"),
        (ForecastName.parse, "workloads/site/forecasts/cpu"),
        (ForecastName.parse, "workloads/site/forecasts/gpu-5m"),
        (ForecastName.parse, "workloads/site/forecasts/cpu-05m"),
        (ForecastName.parse, "workloads/site/forecasts/cpu-5m/accuracy"),
        (forecast_job_id, "forecastJobs/1"),
        (forecast_job_id, JOB),
        (forecast_job_id, ""),
    ],
)
def test_other_names_are_refused_with_the_field(parse: Callable[[str, str], object], name: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse(name, "here")

    assert [fault.field for fault in caught.value.violations] == ["here"]
