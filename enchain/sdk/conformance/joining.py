"""Checks of keys: one key is done once, whoever asks, however often, and whether anybody listens."""

import asyncio

import grpc

from enchain.chains.values import to_python_map
from enchain.engine.v1 import engine_pb2
from enchain.sdk.conformance.calling import Stream
from enchain.sdk.conformance.catalogue import Group, require
from enchain.sdk.conformance.expecting import ABORTED, refusal, success
from enchain.sdk.conformance.probe import UPDATE, Probe, Work, same, told
from enchain.sdk.conformance.samples import Sample
from enchain.v1 import engine_pb2 as registry_pb2

CHECKS = Group()

_STATES = engine_pb2.GetStepResponse.State


@CHECKS.add("good")
async def known_key_is_joined(probe: Probe) -> None:
    """A known key is not done again: it answers `reattached`, from its first event, the same result."""
    work = await probe.good()
    assert work.stream is not None
    for token in (work.token, work.next_token()):
        joined = await probe.apply(work, token=token)
        success(joined, "the same Apply again")
        expect_joined(probe, work, joined, "the same Apply again")
        begins = [event.WhichOneof("event") for event in joined.events][:1]
        require(begins == ["accepted"], "the same Apply again does not tell from its first event")
        lost = len(work.stream.of("handle")) - len(joined.of("handle"))
        require(lost <= 0 or joined.of("handle"), "the same Apply again does not tell the handle")


def expect_joined(probe: Probe, work: Work, stream: Stream, what: str) -> None:
    """Expect that a stream joined work and told the very result of its first stream."""
    require(stream.reattached, f"{what} is not `reattached`")
    require(stream.result is not None, f"{what}: {told(stream)}")
    assert stream.result is not None
    witness = probe.inputs.witness
    if witness:
        first = to_python_map(work.result.outputs, field="outputs").get(witness)
        second = to_python_map(stream.result.outputs, field="outputs").get(witness)
        require(first == second, f"{what} did the work again: `{witness}` was {first!r} and is {second!r}")
    require(same(work.result, stream.result), f"{what} tells another result")


@CHECKS.add("good")
async def result_is_kept(probe: Probe) -> None:
    """GetStep answers FINISHED with the very result and handle that the stream told."""
    work = await probe.good()
    answer = await probe.get_step(work)
    finished = answer.state == _STATES.STATE_FINISHED
    require(finished, f"GetStep says {_STATES.Name(answer.state)} of work that has ended")
    require(same(answer.result, work.result), "GetStep tells another result than the stream")
    require(answer.HasField("handle"), "GetStep does not tell the handle")
    require(work.handle is not None and answer.handle == work.handle, "GetStep tells another handle")


@CHECKS.add("good", "changed")
async def other_parameters_are_refused(probe: Probe) -> None:
    """The key of known work with other parameters is refused with ALREADY_EXISTS, and changes nothing."""
    work = await probe.good()
    stream = await probe.apply(work, sample=probe.sample("changed"), token=work.next_token())
    refusal(stream, "a known key with other inputs", grpc.StatusCode.ALREADY_EXISTS)
    answer = await probe.get_step(work)
    require(same(answer.result, work.result), "a known key with other inputs changed the recorded result")


@CHECKS.add("good")
async def two_callers_make_one(probe: Probe) -> None:
    """Two calls of one key at the same moment do the work once and get the same result."""
    work = probe.new_work(_slow_or_good(probe))
    request = probe.apply_request(work.sample, probe.call(work.work_id))
    streams = [probe.open(work, request) for _ in range(2)]
    await asyncio.gather(*(stream.rest() for stream in streams))
    results = [success(stream, "two calls at once") for stream in streams]
    require(same(*results), "two calls of one key at once got different results")
    first = sum(not stream.reattached for stream in streams)
    require(first == 1, f"{first} of two calls of one key say that they began it")


def _slow_or_good(probe: Probe) -> Sample:
    return probe.inputs.samples.get("slow") or probe.sample("good")


@CHECKS.add("slow")
async def work_goes_on_without_listeners(probe: Probe) -> None:
    """Work runs detached: a stream that breaks stops nothing, and a later call joins the work."""
    work, stream = await probe.begin(probe.sample("slow"))
    require(not stream.of("result"), "the slow sample ended at once")
    stream.cut()
    answer = await probe.until_finished(work)
    finished = answer.state == _STATES.STATE_FINISHED
    require(finished, f"after its stream was cut, the work is {_STATES.Name(answer.state)}")
    joined = success(await _join(probe, work), "work whose stream was cut")
    require(same(joined, answer.result), "a call that joins tells another result than GetStep")


async def _join(probe: Probe, work: Work) -> Stream:
    joined = await probe.apply(work, token=work.next_token())
    require(joined.reattached, "a call that joins running work is not `reattached`")
    return joined


@CHECKS.add("good", "slow")
async def one_key_at_a_time(probe: Probe) -> None:
    """While one key of a work runs, another Apply of that work is refused with ABORTED, or waits for it."""
    work, stream = await probe.begin(probe.sample("slow"))
    update = probe.can(registry_pb2.CAPABILITY_UPDATE)
    call = probe.call(work.work_id, generation=2, **({"verb": UPDATE} if update else {}))
    second = await probe.open(work, probe.apply_request(probe.sample("good"), call)).rest()
    if second.refusal is not None:
        refusal(second, "a second key of work that runs", ABORTED)
        success(await stream.rest(), "the first key of the work")
    else:
        state = (await probe.get_step(work)).state
        require(state != _STATES.STATE_RUNNING, "two keys of one work ran at the same time")
