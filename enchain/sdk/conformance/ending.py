"""Checks of ends: cancel, deadline, update, destroy."""

import grpc

from enchain.engine.v1 import engine_pb2
from enchain.sdk.conformance.catalogue import Group, SkippedError, require
from enchain.sdk.conformance.expecting import nothing_stands, refusal, success
from enchain.sdk.conformance.probe import UPDATE, Probe, Work, same, succeeded, told
from enchain.sdk.conformance.streaming import expect_outputs
from enchain.v1 import diagnostic_pb2
from enchain.v1 import engine_pb2 as registry_pb2

CHECKS = Group()

_STATES = engine_pb2.GetStepResponse.State


@CHECKS.add("slow", capability=registry_pb2.CAPABILITY_CANCEL)
async def cancel_stops_work(probe: Probe) -> None:
    """CancelStep of running work answers `signalled`, and the work ends in one result: CANCELLED."""
    work, stream = await probe.begin(probe.sample("slow"))
    answer = await probe.cancel(work)
    if not answer.signalled:
        await probe.still_running(work)
    require(answer.signalled, "CancelStep of running work does not say `signalled`")
    await stream.rest()
    outcome = stream.result.outcome if stream.result is not None else None
    require(outcome == diagnostic_pb2.OUTCOME_CANCELLED, f"cancelled work ended otherwise: {told(stream)}")
    success(await probe.destroy(work, work.handle), "Destroy of cancelled work")
    await nothing_stands(probe, work, "Destroy of cancelled work", work.handle)


@CHECKS.add("good")
async def cancel_after_the_end_changes_nothing(probe: Probe) -> None:
    """CancelStep of work that has ended signals nothing, and the result stays."""
    work = await probe.good()
    answer = await probe.cancel(work)
    require(not answer.signalled, "CancelStep says that it signalled work that has ended")
    kept = await probe.get_step(work)
    require(same(kept.result, work.result), "CancelStep of work that has ended changed its result")


@CHECKS.add("slow", capability=registry_pb2.CAPABILITY_CANCEL)
async def deadline_is_honoured(probe: Probe) -> None:
    """Work that is not done at its deadline is stopped and does not succeed."""
    sample = probe.sample("slow")
    work = probe.new_work(sample)
    stream = await probe.apply(work, seconds=sample.seconds / 3)
    if stream.refusal is not None:
        refusal(stream, "work that is not done at its deadline", grpc.StatusCode.DEADLINE_EXCEEDED)
    else:
        require(stream.result is not None, told(stream))
        require(not succeeded(stream), f"it succeeded after its deadline of {sample.seconds / 3:g} s")
    state = (await probe.get_step(work)).state
    require(state != _STATES.STATE_RUNNING, "it runs on after its deadline")


@CHECKS.add("good", "changed", capability=registry_pb2.CAPABILITY_UPDATE)
async def update_changes_what_stands(probe: Probe) -> None:
    """Apply with UPDATE, the next generation and the prior handle changes what stands."""
    work = probe.new_work(probe.sample("good"))
    made = success(await probe.apply(work), "Apply of `good`")
    call = probe.call(work.work_id, verb=UPDATE, generation=2)
    request = probe.apply_request(probe.sample("changed"), call, prior=made.handle)
    stream = await probe.open(work, request).rest()
    success(stream, "the update to `changed`")
    require(not stream.reattached, "an update of the next generation is not new work")
    expect_outputs(Work(work.work_id, probe.sample("changed"), stream=stream), "after the update, ")
    if probe.can(registry_pb2.CAPABILITY_OBSERVE):
        presence = (await probe.observe(work, stream.handle)).presence
        present = presence == engine_pb2.ObserveResponse.PRESENCE_PRESENT
        require(present, "after an update, Observe does not say PRESENCE_PRESENT")


@CHECKS.add("good")
async def destroy_removes(probe: Probe) -> None:
    """Destroy with the handle succeeds, and nothing stands afterwards."""
    work, stream = await probe.gone()
    success(stream, "Destroy of what stands")
    await nothing_stands(probe, work, "Destroy", work.handle)


@CHECKS.add("good")
async def destroy_is_idempotent(probe: Probe) -> None:
    """The same Destroy joins; a later one of what is absent already, with the old handle, succeeds."""
    work, first = await probe.gone()
    joined = await probe.destroy(work, work.handle)
    result = success(joined, "the same Destroy again")
    require(joined.reattached, "the same Destroy again is not `reattached`")
    require(first.result is not None and same(first.result, result), "it tells another result")
    success(await probe.destroy(work, work.handle, generation=3), "Destroy of what is destroyed")


@CHECKS.add()
async def destroy_of_unknown_work_succeeds(probe: Probe) -> None:
    """Destroy of work that was never seen, without a handle, succeeds."""
    success(await probe.destroy(probe.new_work()), "Destroy of work that was never seen")


@CHECKS.add("good")
async def destroy_needs_no_handle(probe: Probe) -> None:
    """Destroy finds what was made by the work id alone."""
    work = probe.new_work(probe.sample("good"))
    made = success(await probe.apply(work), "Apply of `good`")
    success(await probe.destroy(work), "Destroy without a handle")
    await nothing_stands(probe, work, "Destroy without a handle", made.handle)


@CHECKS.add("failing")
async def destroy_clears_a_failure(probe: Probe) -> None:
    """Destroy after a failed Apply succeeds, and nothing stands afterwards."""
    work = probe.new_work(probe.sample("failing"))
    stream = await probe.apply(work)
    if succeeded(stream):
        raise SkippedError("the failing sample succeeds")
    success(await probe.destroy(work, work.handle), "Destroy after a failed Apply")
    await nothing_stands(probe, work, "Destroy after a failed Apply", work.handle)


@CHECKS.add("slow")
async def destroy_ends_running_work(probe: Probe) -> None:
    """Destroy of work whose Apply still runs leaves nothing, and the Apply does not succeed later."""
    work, stream = await probe.begin(probe.sample("slow"))
    await probe.still_running(work)
    success(await probe.destroy(work, work.handle), "Destroy of running work")
    await stream.rest()
    require(not succeeded(stream), "an Apply succeeded although its work was destroyed meanwhile")
    await nothing_stands(probe, work, "Destroy of running work", work.handle)
    state = (await probe.get_step(work)).state
    require(state != _STATES.STATE_RUNNING, "the Apply runs on although its work was destroyed")
