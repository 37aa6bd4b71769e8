"""Events of one piece of work: numbers, what gives way to a slow reader, and who is displaced."""

from datetime import UTC, datetime

import pytest

from enchain.chains.errors import ConflictError
from enchain.engine.v1 import engine_pb2
from enchain.sdk.calls import Token
from enchain.sdk.events import LOG_LINES_MAX, STREAMS_MAX, TAKEOVER_STEP, EventLog, Stream
from enchain.v1 import diagnostic_pb2

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def new_log(takeovers: int = 0) -> EventLog:
    events = EventLog(lambda: NOW, takeovers)
    events.publish(engine_pb2.StepEvent(accepted=engine_pb2.StepAccepted(instance="i")))
    return events


def say(events: EventLog, line: str) -> None:
    events.publish(engine_pb2.StepEvent(log=engine_pb2.LogLine(line=line)))


def end(events: EventLog) -> None:
    outcome = diagnostic_pb2.OUTCOME_SUCCEEDED
    events.end(engine_pb2.StepEvent(result=engine_pb2.StepResult(outcome=outcome)))


async def all_of(stream: Stream) -> list[engine_pb2.StepEvent]:
    return [event async for event in stream.events()]


async def test_a_slow_reader_loses_the_oldest_lines_counted_and_nothing_durable() -> None:
    events = new_log()
    stream = events.stream(Token())
    events.publish(engine_pb2.StepEvent(handle=diagnostic_pb2.Handle(schema="x/1")))
    for number in range(LOG_LINES_MAX + 10):
        say(events, str(number))
    end(events)

    read = await all_of(stream)

    kinds = [event.WhichOneof("event") for event in read]
    lines = [event.log for event in read if event.WhichOneof("event") == "log"]
    assert kinds[:2] == ["accepted", "handle"]
    assert kinds[-1] == "result"
    assert (lines[0].line, lines[0].dropped) == ("10", 10)
    assert sum(line.dropped for line in lines) + len(lines) == LOG_LINES_MAX + 10


async def test_only_the_newest_progress_waits_for_a_slow_reader() -> None:
    events = new_log()
    stream = events.stream(Token())
    for number in range(100):
        events.publish(engine_pb2.StepEvent(progress=engine_pb2.StepProgressed(message=str(number))))
    end(events)

    told = [e.progress.message for e in await all_of(stream) if e.WhichOneof("event") == "progress"]

    assert told == ["99"]


async def test_a_late_reader_gets_all_that_was_kept_and_is_told_that_it_joins() -> None:
    events = new_log()
    say(events, "early")
    end(events)

    first, second = await all_of(events.stream(Token())), await all_of(events.stream(Token(), joined=True))

    assert [event.seq for event in first] == [event.seq for event in second] == [1, 2, 3]
    assert not first[0].accepted.reattached
    assert second[0].accepted.reattached


async def test_numbers_go_on_growing_when_another_process_takes_the_work_up() -> None:
    before, after = new_log(), new_log(takeovers=1)
    end(before)
    end(after)

    last = (await all_of(before.stream(Token())))[-1].seq
    first = (await all_of(after.stream(Token())))[0].seq

    assert last < first == TAKEOVER_STEP + 1


async def test_there_is_only_one_result_and_nothing_after_it() -> None:
    events = new_log()
    stream = events.stream(Token())
    end(events)
    events.end(
        engine_pb2.StepEvent(result=engine_pb2.StepResult(outcome=diagnostic_pb2.OUTCOME_FAILED_PARTIAL))
    )
    say(events, "too late")

    read = await all_of(stream)

    assert [event.WhichOneof("event") for event in read] == ["accepted", "result"]
    assert read[-1].result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED


async def test_the_streams_of_older_callers_break_with_the_reason() -> None:
    events = new_log()
    old, new = events.stream(Token(1, 1)), events.stream(Token(1, 2))

    events.displace(Token(1, 2), ConflictError("overtaken", reason="STALE_TOKEN"))
    end(events)

    with pytest.raises(ConflictError):
        await all_of(old)
    assert (await all_of(new))[-1].WhichOneof("event") == "result"


async def test_the_oldest_stream_gives_way_when_there_are_too_many() -> None:
    events = new_log()
    streams = [events.stream(Token()) for _ in range(STREAMS_MAX + 1)]

    with pytest.raises(ConflictError) as caught:
        await all_of(streams[0])
    end(events)

    assert caught.value.reason == "TOO_MANY_STREAMS"
    assert [(await all_of(stream))[-1].WhichOneof("event") for stream in streams[1:]] == [
        "result"
    ] * STREAMS_MAX


async def test_a_reader_who_comes_after_the_work_was_let_go_is_told_so_too() -> None:
    events = new_log()
    events.break_off(ConflictError("let go", reason="INSTANCE_STOPPING"))

    with pytest.raises(ConflictError):
        await all_of(events.stream(Token()))
