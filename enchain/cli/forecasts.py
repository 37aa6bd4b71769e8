"""Forecasts in words: what the tables of `enchain forecast` say. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from enchain.cli.charts.fan import between, times_of
from enchain.cli.charts.units import Scale, number, scale_of
from enchain.cli.output import enum_word, last
from enchain.v1 import forecast_pb2

LEVELS = (0.1, 0.5, 0.9, 0.99)
"""The quantiles of the table."""

_DISTANCES = (
    300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 6 * 3600, 12 * 3600, 86_400, 2 * 86_400, 3 * 86_400, 7 * 86_400,
)  # fmt: skip
"""How far ahead a table looks, as far as the forecast goes."""

_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))

Rows = list[list[str]]


def forecast_name(workload: str, signal: str, grid: str) -> str:
    """Answer the full name of a forecast."""
    return f"workloads/{workload}/forecasts/{signal}-{grid}"


def distance(seconds: float) -> str:
    """Write a distance in time: `45m`, `4h`, `1d12h`."""
    rest, words = round(seconds), []
    for size, unit in _UNITS:
        if rest >= size:
            words.append(f"{rest // size}{unit}")
            rest %= size
    return "".join(words[:2]) or "0s"


def moment(time: Timestamp) -> str:
    """Write a time in UTC."""
    return time.ToDatetime(UTC).strftime("%Y-%m-%d %H:%MZ")


def steps_shown(forecast: forecast_pb2.Forecast) -> list[int]:
    """Answer which steps a table shows, from 0: at round distances, and the last."""
    step, count = max(forecast.step.seconds, 1), len(forecast.steps)
    wanted = {seconds // step - 1 for seconds in _DISTANCES if seconds % step == 0}
    return sorted({index for index in wanted if index < count} | ({count - 1} if count else set()))


def step_rows(forecast: forecast_pb2.Forecast) -> tuple[Rows, list[str]]:
    """Answer the table of a forecast's steps, and its headings: with and without events side by side."""
    scale = _scale(forecast)
    levels = list(forecast.levels)
    times = times_of(forecast)
    without = list(forecast.steps_without_events)
    rows = []
    for index in steps_shown(forecast):
        at = datetime.fromtimestamp(times[index], UTC).strftime("%a %H:%MZ")
        row = [at, distance(forecast.step.seconds * (index + 1))]
        values = list(forecast.steps[index].quantiles)
        row += [number(between(levels, values, level) * scale.factor) for level in LEVELS]
        if without:
            row.append(number(between(levels, list(without[index].quantiles), 0.5) * scale.factor))
        rows.append(row)
    headings = ["at", "ahead", *(f"{level * 100:g} %" for level in LEVELS)]
    return rows, headings + (["50 % without events"] if without else [])


def title(forecast: forecast_pb2.Forecast) -> str:
    """Say of what a forecast is, and in which unit."""
    workload, _, identifier = forecast.name.removeprefix("workloads/").partition("/forecasts/")
    signal, _, grid = identifier.partition("-")
    return f"{workload} · {signal} at {grid}, in {_scale(forecast).label}"


def freshness(forecast: forecast_pb2.Forecast, now: datetime) -> str:
    """Say when it was made, from what, and how whole that was."""
    data = forecast.data
    rung = enum_word(forecast_pb2.ForecastRung, forecast.rung, "FORECAST_RUNG_")
    made = distance((now - forecast.create_time.ToDatetime(UTC)).total_seconds())
    words = [f"made {made} ago from data up to {moment(forecast.origin_time)}", f"{rung} of history"]
    if data.points:
        words.append(f"{data.points} values, {data.gaps:.0%} missing")
    if data.source:
        words.append(f"over {data.source}")
    rejected = ", ".join(f"{count} {reason}" for reason, count in sorted(data.rejected.items()))
    return " · ".join([*words, *([f"left out: {rejected}"] if rejected else [])])


def share_rows(forecast: forecast_pb2.Forecast) -> tuple[Rows, list[str]]:
    """Answer the table of models and their shares in each horizon bucket, and its headings."""
    count = max((len(model.weights) for model in forecast.models), default=0)
    headings = ["model", *_buckets(list(forecast.bucket_ends), count), "note"]
    rows = []
    for model in forecast.models:
        shares = [f"{weight:.0%}" if weight else "-" for weight in model.weights]
        note = f"{model.description} ({model.reason})" if model.reason else model.version
        rows.append([model.model, *shares, *["-"] * (count - len(shares)), note])
    return rows, headings


def _buckets(ends: list[int], count: int) -> list[str]:
    if len(ends) != count:
        return [f"bucket {index + 1}" for index in range(count)]
    return [
        f"steps {first}-{last}" for first, last in zip([1, *(end + 1 for end in ends)], ends, strict=False)
    ]


def event_rows(forecast: forecast_pb2.Forecast) -> tuple[Rows, list[str]]:
    """Answer the table of planned events that touch a forecast, and its headings."""
    rows = []
    for event in forecast.events:
        spread = max(event.uplift_spread, 1.0)
        between_them = f"{event.uplift / spread:.2g}x to {event.uplift * spread:.2g}x"
        learned = f"{event.learned_from} past events" if event.learned_from else "what is expected"
        expected = f"{event.expected_uplift:g}x" if event.HasField("expected_uplift") else "-"
        rows.append([last(event.event), f"{event.uplift:.2g}x", between_them, expected, learned])
    return rows, ["event", "uplift", "80 % within", "expected", "from"]


def warning_lines(warnings: Sequence[forecast_pb2.ForecastWarning]) -> list[str]:
    """Write warnings for people, each with its remedy and its code."""
    return [
        f"warning: {warning.description}{f' → {warning.remedy}' if warning.remedy else ''} ({warning.reason})"
        for warning in warnings
    ]


def accuracy_rows(accuracy: forecast_pb2.ForecastAccuracy) -> tuple[Rows, list[str]]:
    """Answer the table of how good each model has been at each horizon, and its headings."""
    rows = [[model.model, *_bucket_row(bucket)] for model in accuracy.models for bucket in model.buckets]
    headings = ["model", "steps", "values", "wql", "of naive", "mase", "smape", "in 80 %"]
    return rows, [*headings, "≤ q90", "≤ q95", "≤ q99"]


def _bucket_row(bucket: forecast_pb2.BucketAccuracy) -> list[str]:
    return [
        f"{bucket.first_step}-{bucket.last_step}",
        str(bucket.count),
        f"{bucket.wql:.3f}",
        f"{bucket.relative_wql:.2f}",
        f"{bucket.mase:.2f}",
        f"{bucket.smape:.1%}",
        f"{bucket.coverage_80:.0%}",
        *(f"{share:.1%}" for share in (bucket.below_90, bucket.below_95, bucket.below_99)),
    ]


def _scale(forecast: forecast_pb2.Forecast) -> Scale:
    levels = list(forecast.levels)
    largest = max((between(levels, list(step.quantiles), 0.9) for step in forecast.steps), default=0.0)
    return scale_of(forecast.unit, largest)
