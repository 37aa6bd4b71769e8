"""Answers of a Prometheus to range queries, and which ranges to ask for. Pure.

`prometheus.py` calls it. A value that Prometheus reckons at a time is about the time before it, so it goes
into the cell that ends there. What a query answers in several series is added up like resources are
(`grid.py`).
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.demand.grid import CARRIED_CELLS, ResourceCell, cell_of, combined
from controlplane.demand.samples import Reason, value_fault
from controlplane.demand.signals import CELL_SECONDS, Signal
from controlplane.forecast.series import FloatArray
from enchain.chains.errors import InvalidArgumentError, MalformedError

POINTS_MAX = 10_000
"""Prometheus answers at most 11,000 points a series."""

SERIES_MAX = 1_000
"""More series in one answer are refused: the query should add them up itself."""


@dataclass(frozen=True, slots=True)
class Range:
    """What to ask for.

    Attributes:
        start: Beginning of the first cell.
        end: End of the last cell.
    """

    start: int
    end: int

    def parameters(self, query: str, timeout_seconds: float) -> Mapping[str, str]:
        """Answer the parameters of the query; it asks for some cells before, to be carried into the first."""
        first = self.start + (1 - CARRIED_CELLS) * CELL_SECONDS
        return {
            "query": query,
            "start": str(first),
            "end": str(self.end),
            "step": str(CELL_SECONDS),
            "timeout": f"{timeout_seconds:g}s",
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What a Prometheus answered.

    Attributes:
        values: Cells of the range, shape ((end - start) / 300,), NaN for gaps.
        rejected: Values that were left out, by cell and reason.
    """

    values: FloatArray
    rejected: Mapping[tuple[int, Reason], int]


def ranges(start: int, end: int) -> Iterator[Range]:
    """Split what is to be asked for into as much as is answered at once."""
    longest = (POINTS_MAX - CARRIED_CELLS) * CELL_SECONDS
    for first in range(start, end, longest):
        yield Range(first, min(end, first + longest))


def parse(body: bytes, signal: Signal, asked: Range) -> Answer:
    """Read an answer.

    Raises:
        InvalidArgumentError: Prometheus refused the query, or it answers too many series.
        MalformedError: It is no answer to a range query.
    """
    matrix = _matrix(body)
    if len(matrix) > SERIES_MAX:
        raise InvalidArgumentError(
            f"the query answers {len(matrix)} series, more than {SERIES_MAX}",
            reason=Reason.TOO_MANY_SERIES,
            remedy="Add them up in the query, such as with sum(…).",
        )
    cells: list[ResourceCell] = []
    rejected: Counter[tuple[int, Reason]] = Counter()
    try:
        for each in matrix:
            name = json.dumps(each["metric"], sort_keys=True)
            for time, text in each["values"]:
                cell, value = cell_of(float(time)) - CELL_SECONDS, float(text)
                fault = value_fault(signal, value)
                if fault is not None:
                    rejected[cell, fault] += 1
                else:
                    cells.append(ResourceCell(name, 0, cell, value))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _malformed(f"a series of it cannot be read: {error!r}") from error
    return Answer(combined(cells, asked.start, asked.end), rejected)


def _matrix(body: bytes) -> list[Any]:
    try:
        answer = json.loads(body)
        if answer["status"] == "error":
            raise InvalidArgumentError(
                f"Prometheus refuses the query: {answer.get('error', 'it does not say why')}",
                reason="QUERY_REFUSED",
                remedy="Correct `demand.prometheus` of the workload.",
            )
        data = answer["data"]
        if data["resultType"] != "matrix" or not isinstance(data["result"], list):
            raise _malformed("it is no matrix")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _malformed(repr(error)) from error
    else:
        return list(data["result"])


def _malformed(why: str) -> MalformedError:
    return MalformedError(f"what the Prometheus answered is no answer to a query: {why}", reason="NO_ANSWER")
