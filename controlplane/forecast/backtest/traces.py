"""From a folder of CSV files to the series that are forecast, on one grid.

The backtest's command calls it. Each file that is left out is told, with the reason. It never makes a series
finer than it was measured, and never forecasts the same column twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from controlplane.forecast.backtest.csvfile import NoTraceError, Trace, instant, read
from controlplane.forecast.backtest.plan import Case, Plan, bounded
from controlplane.forecast.series import DAY, Event, FloatArray, Series
from enchain.chains.errors import InvalidArgumentError

COARSENED_DAYS = 28
"""How long a finer trace must be to be forecast on a coarser grid: weeks must be in it."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which series are wanted.

    Attributes:
        step_seconds: On which grid.
        columns: Of files with several columns, only these: names, or `stem:name`. None given: all.
        until: By stem, the time before which a file is cut off, seconds since the epoch.
        events: By series or stem.
    """

    step_seconds: int
    columns: Sequence[str] = ()
    until: Mapping[str, int] | None = None
    events: Mapping[str, tuple[Event, ...]] | None = None


def cases(folder: Path, choice: Choice, plan: Plan, tell: Tell) -> list[Case]:
    """Read all series of a folder that can be backtested.

    Raises:
        InvalidArgumentError: A file is wrong, an option names what is not there, or nothing is left.
    """
    paths = sorted(folder.glob("*.csv"))
    stems = {path.stem for path in paths}
    for stem in choice.until or {}:
        if stem not in stems:
            raise _unknown("--until", stem, folder)
    found: list[Case] = []
    columns: set[str] = set()
    for path in paths:
        try:
            trace = read(path)
            columns |= {name for each in trace.columns for name in (each, f"{trace.stem}:{each}")}
            found += _cases(trace, choice, plan, tell)
        except NoTraceError as reason:
            tell(f"skipped {path.name}: {reason}")
    for column in choice.columns:
        if column not in columns:
            raise _unknown("--columns", column, folder)
    if not found:
        raise InvalidArgumentError(
            f"{folder} holds no series that can be backtested",
            reason="NO_SERIES",
            remedy="Give a folder of CSV files with a `timestamp` column, on the grid asked for or finer.",
            metadata={"folder": str(folder)},
        )
    _tell_of_events(choice, found, tell)
    return found


def instants(pairs: Sequence[str]) -> dict[str, int]:
    """Read `STEM=TIMESTAMP` options.

    Raises:
        InvalidArgumentError: One is not written so.
    """
    read_ones = {}
    for pair in pairs:
        stem, _, text = pair.partition("=")
        time = instant(text)
        if not stem or time is None:
            raise InvalidArgumentError(
                f"--until {pair}: not a file's stem, `=` and a time",
                reason="OPTION_INVALID",
                remedy="Write --until requests=2026-01-31T00:00:00Z.",
                metadata={"option": "--until", "value": pair},
            )
        read_ones[stem] = time
    return read_ones


def coarser(trace: Trace, step_seconds: int) -> Trace:
    """Answer a trace on a coarser grid of whole multiples of its step, each value the mean of its part.

    Parts begin at multiples of the new step since the epoch. What was not measured does not count; a part
    in which nothing was measured is a gap.
    """
    offset = trace.start % step_seconds
    columns = {name: _means(values, offset, trace, step_seconds) for name, values in trace.columns.items()}
    return Trace(trace.stem, trace.start - offset, step_seconds, columns)


def _means(values: FloatArray, offset: int, trace: Trace, step_seconds: int) -> FloatArray:
    part = (offset + trace.step_seconds * np.arange(len(values))) // step_seconds
    measured = np.isfinite(values)
    count = np.bincount(part[measured], minlength=int(part[-1]) + 1)
    total = np.bincount(part[measured], weights=values[measured], minlength=int(part[-1]) + 1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _cases(trace: Trace, choice: Choice, plan: Plan, tell: Tell) -> list[Case]:
    """Answer a file's series."""
    several = len(trace.columns) > 1
    gridded = _before(_on_grid(trace, choice.step_seconds), (choice.until or {}).get(trace.stem))
    found = []
    for name, values in gridded.columns.items():
        identifier = f"{trace.stem}:{name}" if several else trace.stem
        if several and choice.columns and not {name, f"{trace.stem}:{name}"} & set(choice.columns):
            continue
        if (fault := _fault(values, plan)) is not None:
            tell(f"skipped {identifier}: {fault}")
            continue
        series = Series(identifier, gridded.start, gridded.step_seconds, values)
        found.append(bounded(Case(series, trace.stem, _events(identifier, trace.stem, choice)), plan))
    return found


def _on_grid(trace: Trace, step_seconds: int) -> Trace:
    if trace.step_seconds == step_seconds:
        return trace
    if trace.step_seconds > step_seconds or step_seconds % trace.step_seconds:
        raise NoTraceError(f"its grid of {trace.step_seconds} s does not make one of {step_seconds} s")
    coarse = coarser(trace, step_seconds)
    days = len(next(iter(coarse.columns.values()))) * step_seconds / DAY
    if days < COARSENED_DAYS:
        raise NoTraceError(f"on a grid of {step_seconds} s it has {days:.0f} days, not {COARSENED_DAYS}")
    return coarse


def _before(trace: Trace, until: int | None) -> Trace:
    """Answer what lies before a time."""
    if until is None:
        return trace
    length = max(0, -((trace.start - until) // trace.step_seconds))
    return Trace(
        trace.stem,
        trace.start,
        trace.step_seconds,
        {name: values[:length] for name, values in trace.columns.items()},
    )


def _fault(values: FloatArray, plan: Plan) -> str | None:
    """Say why a series cannot be backtested."""
    if (values < 0).any():
        return "it has negative values, and demand has none"
    first = plan.scored(len(values))[0]
    if first < plan.least:
        return f"{len(values)} values leave {first} before the first origin, not {plan.least}"
    if not np.isfinite(values[: plan.starts(len(values))[0]]).any():
        return "nothing was measured before the first origin"
    return None


def _events(identifier: str, stem: str, choice: Choice) -> tuple[Event, ...]:
    known = choice.events or {}
    return known.get(identifier, ()) + (known.get(stem, ()) if stem != identifier else ())


def _tell_of_events(choice: Choice, found: Sequence[Case], tell: Tell) -> None:
    """Tell of events of series that are not forecast."""
    names = {case.series.id for case in found} | {case.source for case in found}
    for series in choice.events or {}:
        if series not in names:
            tell(f"the events of {series} are not used: no such series is forecast")


def _unknown(option: str, name: str, folder: Path) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{option} names {name}, which is not among the series read from {folder}",
        reason="OPTION_INVALID",
        remedy="Use a file's name without `.csv`, or a column's name as it stands in the heading.",
        metadata={"option": option, "value": name, "folder": str(folder)},
    )
