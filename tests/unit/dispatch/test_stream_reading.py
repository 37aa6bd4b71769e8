"""What events of an engine mean, what breaks the protocol, and what is too much to show."""

import pytest

from dataplane.dispatch.floods import LINES_PER_SECOND, Flood, cut
from dataplane.dispatch.protocol import Reader, ViolationError
from dataplane.routing import events
from enchain.engine.v1 import engine_pb2
from enchain.v1 import diagnostic_pb2

StepEvent = engine_pb2.StepEvent
GOOD = engine_pb2.StepResult(outcome=diagnostic_pb2.OUTCOME_SUCCEEDED)


def read(*told: StepEvent) -> list[events.Event]:
    reader = Reader(0)
    meant = [event for one in told for event in reader.read(one)]
    return [*meant, reader.ended()]


def test_a_stream_that_keeps_the_protocol_is_understood() -> None:
    meant = read(
        StepEvent(seq=1, accepted=engine_pb2.StepAccepted(reattached=True)),
        StepEvent(seq=2, progress=engine_pb2.StepProgressed(message="half", fraction=0.5)),
        StepEvent(seq=4, heartbeat=engine_pb2.Heartbeat()),
        StepEvent(seq=9, result=GOOD),
    )

    assert meant == [
        events.StepAccepted(0, reattached=True),
        events.StepProgressed(0, "half", 0.5),
        events.StepResult(0, GOOD),
    ]


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ([StepEvent(seq=1, result=GOOD), StepEvent(seq=2, result=GOOD)], "two results"),
        (
            [StepEvent(seq=1, result=GOOD), StepEvent(seq=2, log=engine_pb2.LogLine(line="x"))],
            "after the result",
        ),
        ([], "without a result"),
        ([StepEvent(seq=1)], "an empty event"),
        ([StepEvent(seq=2, heartbeat=engine_pb2.Heartbeat()), StepEvent(seq=2, result=GOOD)], "out of order"),
        ([StepEvent(seq=1, result=engine_pb2.StepResult())], "no outcome"),
        ([StepEvent(seq=1, plan=engine_pb2.PlanResult())], "no place in a step"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_what_breaks_the_protocol_is_said(told: list[StepEvent], complaint: str) -> None:
    with pytest.raises(ViolationError) as broken:
        read(*told)
    assert complaint in broken.value.told


def test_a_flood_passes_what_its_bucket_holds_and_counts_the_rest() -> None:
    flood = Flood()
    passed = sum(flood.passes(10, 0.0) for _ in range(LINES_PER_SECOND + 50))

    assert passed == LINES_PER_SECOND
    assert flood.total == 50
    assert flood.passes(10, 1.0)
    assert flood.take_dropped() == 50
    assert flood.take_dropped() == 0


def test_large_lines_fill_the_bucket_sooner_and_are_cut() -> None:
    flood = Flood()

    assert sum(flood.passes(5_000_000, 0.0) for _ in range(100)) == 16
    assert len(cut("x" * 10_000)) == 4096
