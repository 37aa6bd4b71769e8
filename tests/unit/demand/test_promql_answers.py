"""What a Prometheus answers to range queries, hostile answers included, and which ranges are asked for."""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from controlplane.demand.promql import POINTS_MAX, SERIES_MAX, Range, parse, ranges
from controlplane.demand.samples import Reason
from controlplane.demand.signals import Signal
from enchain.chains.errors import EnchainError, InvalidArgumentError, MalformedError

START = 1_767_225_600
ASKED = Range(START, START + 900)
NAN = float("nan")


def answer(*series: list[tuple[int, str]]) -> bytes:
    """A matrix; times are seconds after the start."""
    result = [
        {"metric": {"pod": str(index)}, "values": [[START + at, text] for at, text in values]}
        for index, values in enumerate(series)
    ]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


def test_a_value_goes_into_the_cell_that_ends_at_its_time() -> None:
    told = parse(answer([(300, "1.5"), (900, "2")]), Signal.CPU, ASKED)

    np.testing.assert_equal(told.values, [1.5, NAN, 2])
    assert not told.rejected


def test_several_series_are_added_up_and_a_silent_one_is_carried() -> None:
    told = parse(answer([(300, "1"), (600, "1"), (900, "1")], [(0, "5"), (300, "5")]), Signal.CPU, ASKED)

    np.testing.assert_equal(told.values, [6, 6, 6])


def test_bad_values_are_left_out_by_cell_and_reason() -> None:
    told = parse(answer([(300, "NaN"), (600, "+Inf"), (900, "-1")]), Signal.CPU, ASKED)

    assert not np.isfinite(told.values).any()
    assert told.rejected == {
        (START, Reason.NAN): 1,
        (START + 300, Reason.INFINITE): 1,
        (START + 600, Reason.NEGATIVE): 1,
    }


def test_an_empty_answer_is_all_gap() -> None:
    assert not np.isfinite(parse(answer(), Signal.CPU, ASKED).values).any()


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b"", MalformedError, "NO_ANSWER"),
        (b"<html>", MalformedError, "NO_ANSWER"),
        (b"[]", MalformedError, "NO_ANSWER"),
        (b"{}", MalformedError, "NO_ANSWER"),
        (b"\xff\xfe", MalformedError, "NO_ANSWER"),
        (b"[" * 100_000, MalformedError, "NO_ANSWER"),
        (b'{"status": "error", "error": "parse error"}', InvalidArgumentError, "QUERY_REFUSED"),
        (
            b'{"status":"success","data":{"resultType":"vector","result":[]}}',
            MalformedError,
            "NO_ANSWER",
        ),
        (answer([]).replace(b'"values": []', b'"values": [[1]]'), MalformedError, "NO_ANSWER"),
        (answer([]).replace(b'"values": []', b'"values": [["x", "1"]]'), MalformedError, "NO_ANSWER"),
        (answer([]).replace(b'"values": []', b'"values": 3'), MalformedError, "NO_ANSWER"),
        (answer([]).replace(b'"values": []', b'"values": [[NaN, "1"]]'), MalformedError, "NO_ANSWER"),
        (answer([]).replace(b'"values": []', b'"values": [[1e999, "1"]]'), MalformedError, "NO_ANSWER"),
        (answer(*[[]] * (SERIES_MAX + 1)), InvalidArgumentError, "TOO_MANY_SERIES"),
    ],
)
def test_what_is_no_answer_is_refused(body: bytes, kind: type[EnchainError], reason: str) -> None:
    with pytest.raises(kind) as caught:
        parse(body, Signal.CPU, ASKED)

    assert caught.value.reason == reason


def test_a_query_asks_for_what_is_carried_into_the_first_cell_too() -> None:
    told: dict[str, Any] = dict(ASKED.parameters("up", 20))

    assert told == {
        "query": "up",
        "start": str(START - 600),
        "end": str(START + 900),
        "step": "300",
        "timeout": "20s",
    }


def test_a_long_time_is_asked_for_in_parts() -> None:
    end = START + 25_000 * 300
    parts = list(ranges(START, end))

    assert (parts[0].start, parts[-1].end) == (START, end)
    assert all(one.end == next_.start for one, next_ in pairwise(parts))
    assert max((part.end - part.start) // 300 for part in parts) < POINTS_MAX
