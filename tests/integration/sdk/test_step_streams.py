"""The engine protocol over real gRPC: streams come and go, work goes on, and nothing is done twice."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest

from enchain.chains.values import to_value_map
from enchain.engine.v1 import engine_pb2
from enchain.process.statuses import from_rpc_error
from enchain.v1 import diagnostic_pb2, operation_pb2
from enchain.v1 import engine_pb2 as registry_pb2
from tests.harness.appending import lines_of
from tests.harness.engine_instances import Instance, begun, refusal

NewInstance = Callable[..., Awaitable[Instance]]
State = engine_pb2.GetStepResponse


async def test_a_step_streams_what_happens_and_ends_in_one_result(instance: Instance) -> None:
    events = [event async for event in instance.stub.Apply(instance.request(instance.call(), gated=False))]

    kinds = [event.WhichOneof("event") for event in events]
    assert kinds[0] == "accepted"
    assert kinds.index("handle") < kinds.index("log")
    assert kinds.count("result") == 1
    assert kinds[-1] == "result"
    assert [event.log.line for event in events if event.WhichOneof("event") == "log"] == [
        "working",
        "finished",
    ]
    result = events[-1].result
    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert result.handle.schema == "appending/1"
    assert result.usage.peak_memory_bytes > 0
    assert lines_of(instance.effect) == ["begun", "done"]


async def test_a_stream_that_is_closed_stops_nothing_and_can_be_joined_again(instance: Instance) -> None:
    first = instance.stub.Apply(instance.request(instance.call()))
    await begun(instance)
    first.cancel()

    again = aiter(instance.stub.Apply(instance.request(instance.call())))
    accepted = await anext(again)
    instance.gate.touch()
    rest = [event async for event in again]

    assert (accepted.seq, accepted.accepted.reattached) == (1, True)
    assert rest[-1].result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert lines_of(instance.effect) == ["begun", "done"]


async def test_a_known_key_is_not_done_twice(instance: Instance) -> None:
    first = await instance.apply(instance.call())
    second = await instance.apply(instance.call(token=2))

    assert first == second
    assert lines_of(instance.effect) == ["begun", "done"]


async def test_two_callers_at_once_share_one_piece_of_work(instance: Instance) -> None:
    results = await asyncio.gather(*(instance.apply(instance.call()) for _ in range(4)))

    assert len({event.SerializeToString(deterministic=True) for event in results}) == 1
    assert lines_of(instance.effect) == ["begun", "done"]


async def test_another_generation_is_another_piece_of_work(instance: Instance) -> None:
    await instance.apply(instance.call())
    await instance.apply(instance.call(verb=operation_pb2.VERB_UPDATE, generation=2))

    assert lines_of(instance.effect) == ["begun", "done", "begun", "done"]


async def test_a_known_key_with_other_inputs_is_refused(instance: Instance) -> None:
    await instance.apply(instance.call())

    error = await refusal(instance.stub.Apply(instance.request(instance.call(), gated=False, code=1)))

    assert error.reason == "PARAMETERS_DIFFER"


async def test_a_lower_token_is_refused_for_every_method(instance: Instance) -> None:
    await instance.stub.GetStep(engine_pb2.GetStepRequest(call=instance.call(token=5)))

    error = await refusal(instance.stub.Apply(instance.request(instance.call(token=4))))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await instance.stub.CancelStep(engine_pb2.CancelStepRequest(call=instance.call(token=4)))

    assert error.reason == "STALE_TOKEN"
    assert caught.value.code() == grpc.StatusCode.ABORTED
    assert lines_of(instance.effect) == []


async def test_the_stream_of_a_newer_token_displaces_the_older_one(instance: Instance) -> None:
    old = instance.stub.Apply(instance.request(instance.call(token=1)))
    await begun(instance)

    new = instance.stub.Apply(instance.request(instance.call(token=2)))
    error = await refusal(old)
    instance.gate.touch()
    events = [event async for event in new]

    assert error.reason == "STALE_TOKEN"
    assert events[-1].result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert lines_of(instance.effect) == ["begun", "done"]


async def test_an_adopter_that_only_looks_displaces_the_old_caller_and_disturbs_nothing(
    instance: Instance,
) -> None:
    old = instance.stub.Apply(instance.request(instance.call(token=1)))
    await begun(instance)

    seen = await instance.stub.GetStep(engine_pb2.GetStepRequest(call=instance.call(token=2)))
    error = await refusal(old)
    instance.gate.touch()
    result = await instance.apply(instance.call(token=2), gated=True)

    assert seen.state == State.STATE_RUNNING
    assert seen.handle.schema == "appending/1"
    assert error.reason == "STALE_TOKEN"
    assert result.result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED


async def test_running_work_beats_its_heart(new_instance: NewInstance) -> None:
    instance = await new_instance(heartbeat_seconds=0.02)
    stream = instance.stub.Apply(instance.request(instance.call()))

    beats = 0
    async for event in stream:
        beats += event.WhichOneof("event") == "heartbeat"
        if beats == 3:
            instance.gate.touch()

    assert beats >= 3


async def test_a_cancelled_step_stops_its_tool_and_says_so(instance: Instance) -> None:
    stream = instance.stub.Apply(instance.request(instance.call()))
    await begun(instance)

    answer = await instance.stub.CancelStep(
        engine_pb2.CancelStepRequest(call=instance.call(), reason="changed my mind")
    )
    events = [event async for event in stream]

    result = events[-1].result
    assert answer.signalled
    assert result.outcome == diagnostic_pb2.OUTCOME_CANCELLED
    assert result.diagnostics[0].summary == "changed my mind"
    assert result.handle.schema == "appending/1"
    assert lines_of(instance.effect) == ["begun"]


async def test_a_step_cancelled_before_it_was_begun_never_begins(instance: Instance) -> None:
    answer = await instance.stub.CancelStep(engine_pb2.CancelStepRequest(call=instance.call()))

    last = await instance.apply(instance.call())

    assert not answer.signalled
    assert last.result.outcome == diagnostic_pb2.OUTCOME_CANCELLED
    assert lines_of(instance.effect) == []


async def test_a_tool_is_stopped_at_the_deadline(instance: Instance) -> None:
    last = await instance.apply(instance.call(seconds=0.5), gated=True)

    assert last.result.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert last.result.diagnostics[0].code == "DEADLINE_EXCEEDED"
    assert lines_of(instance.effect) == ["begun"]


async def test_nothing_begins_after_the_deadline(instance: Instance) -> None:
    error = await refusal(instance.stub.Apply(instance.request(instance.call(seconds=-1))))

    assert error.reason == "DEADLINE_PAST"
    assert lines_of(instance.effect) == []


async def test_a_destroy_stops_the_apply_that_runs_and_goes_first(instance: Instance) -> None:
    applying = instance.stub.Apply(instance.request(instance.call()))
    await begun(instance)

    call = instance.call(verb=operation_pb2.VERB_DEPROVISION, generation=2)
    destroyed = [event async for event in instance.stub.Destroy(engine_pb2.DestroyRequest(call=call))]
    applied = [event async for event in applying]

    assert destroyed[-1].result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert applied[-1].result.outcome != diagnostic_pb2.OUTCOME_SUCCEEDED
    assert lines_of(instance.effect) == ["begun", "destroyed"]


async def test_after_a_destroy_the_late_apply_is_refused(instance: Instance) -> None:
    call = instance.call(verb=operation_pb2.VERB_DEPROVISION, generation=2)
    await instance.stub.Destroy(engine_pb2.DestroyRequest(call=call)).read()

    error = await refusal(instance.stub.Apply(instance.request(instance.call())))

    assert error.reason == "STALE_GENERATION"


async def test_one_more_than_the_capacity_is_told_to_come_back(
    new_instance: NewInstance,
) -> None:
    instance = await new_instance(capacity=1)
    running = instance.stub.Apply(instance.request(instance.call()))
    await begun(instance)

    error = await refusal(instance.stub.Apply(instance.request(instance.call(work_id="02uid/append"))))
    joined = instance.stub.Apply(instance.request(instance.call()))
    assert await joined.read()
    instance.gate.touch()
    events = [event async for event in running]

    assert error.reason == "INSTANCE_BUSY"
    assert error.retry_after is not None
    assert events[-1].result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED


async def test_a_draining_instance_serves_known_keys_and_takes_no_new_ones(instance: Instance) -> None:
    running = instance.stub.Apply(instance.request(instance.call()))
    await begun(instance)

    drained = await instance.stub.Drain(engine_pb2.DrainRequest())
    error = await refusal(instance.stub.Apply(instance.request(instance.call(work_id="02uid/append"))))
    joined = instance.stub.Apply(instance.request(instance.call()))
    instance.gate.touch()
    events = [event async for event in joined]
    shaken = await instance.stub.Handshake(engine_pb2.HandshakeRequest())

    assert drained.running == 1
    assert error.reason == "DRAINING"
    assert events[-1].result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert shaken.instance.state == registry_pb2.EngineInstance.STATE_DRAINING
    running.cancel()


async def test_a_key_never_seen_is_absent_and_its_token_is_remembered(instance: Instance) -> None:
    seen = await instance.stub.GetStep(engine_pb2.GetStepRequest(call=instance.call(token=3)))

    error = await refusal(instance.stub.Apply(instance.request(instance.call(token=2))))

    assert seen.state == State.STATE_ABSENT
    assert error.reason == "STALE_TOKEN"


async def test_a_finished_key_tells_its_result_to_another_instance_of_the_scope(
    new_instance: NewInstance,
) -> None:
    one, two = await new_instance("one"), await new_instance("two")
    last = await one.apply(one.call())

    seen = await two.stub.GetStep(engine_pb2.GetStepRequest(call=two.call(token=2)))
    again = await two.apply(two.call(token=2))

    assert seen.state == State.STATE_FINISHED
    assert seen.result == last.result == again.result
    assert lines_of(one.effect) == ["begun", "done"]


async def test_a_second_instance_follows_what_the_first_one_does(
    new_instance: NewInstance,
) -> None:
    one, two = await new_instance("one"), await new_instance("two", heartbeat_seconds=0.02)
    first = one.stub.Apply(one.request(one.call()))
    await begun(one)

    second = two.stub.Apply(two.request(two.call(token=2)))
    async for event in second:
        if event.WhichOneof("event") == "heartbeat":
            break
    one.gate.touch()
    results = [[event async for event in stream][-1].result for stream in (first, second)]

    assert results[0] == results[1]
    assert results[0].outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert lines_of(one.effect) == ["begun", "done"]


async def test_a_second_instance_takes_up_what_the_first_one_let_go(
    new_instance: NewInstance,
) -> None:
    one, two = await new_instance("one"), await new_instance("two")
    first = one.stub.Apply(one.request(one.call()))
    await begun(one)
    await one.runner.close()
    broken = await refusal(first)

    running = await two.stub.GetStep(engine_pb2.GetStepRequest(call=two.call(token=2)))
    second = two.stub.Apply(two.request(two.call(token=2)))
    two.gate.touch()
    events = [event async for event in second]

    lines = [event.log.line for event in events if event.WhichOneof("event") == "log"]
    assert broken.reason == "INSTANCE_STOPPING"
    assert running.state == State.STATE_RUNNING
    assert events[0].accepted.reattached
    assert lines == ["working", "finished"]
    assert events[-1].result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert lines_of(one.effect) == ["begun", "done"]


async def test_inputs_off_the_schema_write_nothing_and_name_the_field(instance: Instance) -> None:
    request = engine_pb2.ApplyRequest(
        call=instance.call(), inputs=to_value_map({"effect": 7, "surprise": True})
    )

    error = await refusal(instance.stub.Apply(request))
    seen = await instance.stub.GetStep(engine_pb2.GetStepRequest(call=instance.call()))

    assert error.reason == "INPUTS_OFF_SCHEMA"
    assert {violation.field for violation in error.violations} == {"inputs", "inputs.effect"}
    assert seen.state == State.STATE_ABSENT


async def test_a_capability_that_the_engine_lacks_is_refused_by_name(instance: Instance) -> None:
    observing = instance.stub.Observe(engine_pb2.ObserveRequest(call=instance.call()))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await observing
    planning = await refusal(instance.stub.Plan(engine_pb2.PlanRequest(call=instance.call())))

    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert from_rpc_error(caught.value).metadata["capability"] == "CAPABILITY_OBSERVE"
    assert planning.metadata["capability"] == "CAPABILITY_PLAN"
