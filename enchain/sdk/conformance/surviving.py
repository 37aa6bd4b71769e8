"""Checks that end the engine server's life: killed in the middle of work, and drained. They come last."""

import grpc

from enchain.engine.v1 import engine_pb2
from enchain.sdk.conformance.catalogue import Group, require
from enchain.sdk.conformance.expecting import ABORTED, STALE, refusal, refused, success
from enchain.sdk.conformance.joining import expect_joined
from enchain.sdk.conformance.probe import Probe, Work, told
from enchain.v1 import engine_pb2 as registry_pb2

CHECKS = Group()

_STATES = engine_pb2.GetStepResponse.State


@CHECKS.add("good", "slow", restarts=True)
async def crash_loses_no_work(probe: Probe) -> None:
    """Work in whose middle the server was killed is known afterwards, with its handle, and ends in a result.

    Where the engine declares REATTACH, in the success that it would have been. Destroy clears it.
    """
    work = (await probe.restarted()).running
    assert work is not None
    answer = await probe.get_step(work, token=work.next_token())
    require(answer.state != _STATES.STATE_ABSENT, "after a crash, GetStep says ABSENT of work that was begun")
    if work.handle is not None:  # a newer one may have been recorded since
        require(answer.HasField("handle"), "after a crash, the handle that was told is lost")
    joined = await probe.apply(work, token=work.next_token())
    require(joined.result is not None, f"after a crash, {told(joined)}")
    require(joined.reattached, "after a crash, the work is begun as if it were new")
    if probe.can(registry_pb2.CAPABILITY_REATTACH):
        success(joined, "after a crash, an engine that declares REATTACH")
    success(await probe.destroy(work, work.handle), "Destroy of work that was interrupted")


@CHECKS.add("good", restarts=True)
async def crash_loses_no_result(probe: Probe) -> None:
    """Work that had ended before the server was killed is not done again: it answers the same result."""
    work = (await probe.restarted()).finished
    joined = await probe.apply(work, token=work.next_token())
    expect_joined(probe, work, joined, "after a crash, the same Apply")


@CHECKS.add("good", restarts=True)
async def crash_loses_no_token(probe: Probe) -> None:
    """Tokens that were recorded before the server was killed are still in force."""
    buried = Work((await probe.restarted()).buried, probe.sample("good"))
    stream = await probe.apply(buried, token=4)
    refusal(stream, "after a crash, Apply with a lower token", ABORTED, reason=STALE)
    call = probe.get_step(buried, token=4)
    await refused(call, "after a crash, GetStep with a lower token", ABORTED, reason=STALE)


@CHECKS.add("good", drains=True)
async def drain_refuses_new_work_only(probe: Probe) -> None:
    """After Drain, new keys are refused with UNAVAILABLE; known keys are answered, and running work ends.

    The handshake says DRAINING from then on.
    """
    finished = probe.new_work(probe.sample("good"))
    success(await probe.apply(finished), "Apply of `good`")
    gone = Work(finished.work_id, finished.sample, stream=await probe.destroy(finished, finished.handle))
    running = stream = None
    if "slow" in probe.inputs.samples:
        running, stream = await probe.begin(probe.sample("slow"))
        require(not stream.of("result"), "the slow sample ended at once")
    drained = await probe.caller.drain(engine_pb2.DrainRequest(reason="conformance"))
    probe.drained = True
    if running is not None and not drained.running:
        await probe.still_running(running)
    expected = 1 if running is not None else 0
    require(drained.running >= expected, f"Drain says that {drained.running} pieces of work run")
    fresh = probe.new_work(finished.sample)
    refusal(await probe.apply(fresh), "Apply of a new key after Drain", grpc.StatusCode.UNAVAILABLE)
    answer = await probe.get_step(finished)
    require(answer.state == _STATES.STATE_FINISHED, "after Drain, GetStep does not tell a known result")
    joined = await probe.destroy(finished, finished.handle)
    expect_joined(probe, gone, joined, "after Drain, a known Destroy")
    if running is not None and stream is not None:
        success(await stream.rest(), "work that ran when Drain came")
        success(await probe.apply(running, token=running.next_token()), "after Drain, work that has ended")
    instance = (await probe.shake_hands()).instance
    draining = instance.state == registry_pb2.EngineInstance.STATE_DRAINING
    require(draining, "after Drain, the handshake does not say STATE_DRAINING")
